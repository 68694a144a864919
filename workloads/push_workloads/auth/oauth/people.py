"""Who a provider says that somebody is. Pure: answers of providers in, which are not to be trusted in their shape."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from push_workloads.auth.accounts import MAX_NAME, email_of, name_of
from push_workloads.common.errors import BadRequest, PushError

MAX_SUBJECT: Final = 255  # ASCII characters (OpenID Connect Core §2, `sub`)


class ProviderFailed(PushError):
    """The provider is away, or answers what makes no sense. The message is for our log and has no secret in it."""

    code = "provider_failed"
    status = 502


class Person(NamedTuple):
    """`subject` is theirs at that provider for ever. `email`: in our spelling, and only when the provider has seen that
    it is theirs; addresses that were not verified are nobody's."""

    provider: str
    subject: str
    email: str | None
    name: str | None


def from_claims(provider: str, claims: dict[str, Any]) -> Person:
    """Of a verified ID token, or of that and the answer of `userinfo`. `email_verified` has to be `true` itself: some
    providers say "false" in quotes, which is a text like another."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isascii():
        raise ProviderFailed("the provider's `sub` is no text of 1 to 255 ASCII characters")
    email = claims.get("email") if claims.get("email_verified") is True else None
    return Person(provider, subject, _email(email), _name(claims.get("name")))


def from_github(provider: str, user: Any, emails: Any) -> Person:
    """Of `/user` and `/user/emails`. Not `login`, which can change hands; not `email` in `/user`, which is what
    somebody chose to show."""
    number = user.get("id") if isinstance(user, dict) else None
    if type(number) is not int or number <= 0:
        raise ProviderFailed("GitHub's /user has no id")
    verified = [one for one in emails if _is_verified(one)] if isinstance(emails, list) else []
    chosen = sorted(verified, key=lambda one: one.get("primary") is not True)
    return Person(provider, str(number), _email(chosen[0]["email"]) if chosen else None, _name(user.get("name")))


def _is_verified(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("verified") is True and isinstance(entry.get("email"), str)


def _email(text: Any) -> str | None:
    try:
        return email_of(text) if isinstance(text, str) else None
    except (BadRequest, UnicodeEncodeError):
        return None


def _name(text: Any) -> str | None:
    try:
        return name_of(text[:MAX_NAME]) if isinstance(text, str) else None
    except BadRequest:
        return None
