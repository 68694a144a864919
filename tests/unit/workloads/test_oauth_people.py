"""Who a provider says that somebody is, and which account they get: tables and properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth.accounts import Account
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.oauth.linking import (
    AccountExists,
    Create,
    EmailRequired,
    Link,
    SignIn,
    decide,
    not_the_owners,
    refusal_to_link,
    refusal_to_unlink,
)
from push_workloads.auth.oauth.people import Person, ProviderFailed, from_claims, from_github
from push_workloads.common.errors import PushError

ADA = Account("u1", "ada@example.com", "Ada", "hash", 1000)
EVE = Account("u2", "eve@example.com", None, "hash", 1000)
PERSON = Person("github", "1", "ada@example.com", "Ada")
PROVEN = Identity("google", "9", "u1", "ada@example.com", True, 1000)

CLAIMS: dict[str, tuple[dict[str, Any], Person]] = {
    "all of it": ({"email": "Ada@Example.com", "email_verified": True, "name": " Ada "}, PERSON),
    "an address that is not verified": ({"email": "a@b.example", "email_verified": False}, PERSON._replace(email=None)),
    "an address of which nothing is said": ({"email": "a@b.example"}, PERSON._replace(email=None)),
    "verified in quotes": ({"email": "a@b.example", "email_verified": "true"}, PERSON._replace(email=None)),
    "verified as a number": ({"email": "a@b.example", "email_verified": 1}, PERSON._replace(email=None)),
    "no address": ({"email": "ada", "email_verified": True}, PERSON._replace(email=None)),
    "two addresses": ({"email": "a@b.example,c@d.example", "email_verified": True}, PERSON._replace(email=None)),
    "a list of addresses": ({"email": ["a@b.example"], "email_verified": True}, PERSON._replace(email=None)),
    "half a letter": ({"email": "\ud800@b.example", "email_verified": True}, PERSON._replace(email=None)),
    "a name with a line break": ({"name": "Ada\nEve"}, PERSON._replace(email=None, name=None)),
    "a name that is too long": ({"name": "A" * 500}, PERSON._replace(email=None, name="A" * 100)),
}


@pytest.mark.parametrize(("claims", "person"), CLAIMS.values(), ids=CLAIMS.keys())
def test_claims(claims: dict[str, Any], person: Person) -> None:
    made = from_claims("github", {"sub": "1", **claims})
    assert made == person._replace(name=person.name if "name" in claims else None)


@pytest.mark.parametrize("subject", [None, "", 1, "ä", "x" * 256, ["1"]])
def test_without_a_subject_there_is_nobody(subject: Any) -> None:
    with pytest.raises(ProviderFailed):
        from_claims("acme", {"sub": subject, "email": "a@b.example", "email_verified": True})


def _mail(email: Any, verified: Any = True, primary: Any = False) -> dict[str, Any]:
    return {"email": email, "verified": verified, "primary": primary}


EMAILS: dict[str, tuple[Any, str | None]] = {
    "the primary one": ([_mail("b@x.example"), _mail("a@x.example", primary=True)], "a@x.example"),
    "the first that is verified": ([_mail("a@x.example", False, True), _mail("b@x.example")], "b@x.example"),
    "none that is verified": ([_mail("a@x.example", False, True)], None),
    "verified in quotes": ([_mail("a@x.example", "true")], None),
    "none": ([], None),
    "another shape": ({"message": "no scope"}, None),
    "entries of another shape": ([None, "a@x.example", {}, _mail(None)], None),
}


@pytest.mark.parametrize(("emails", "email"), EMAILS.values(), ids=EMAILS.keys())
def test_github_addresses(emails: Any, email: str | None) -> None:
    user = {"id": 7, "login": "ada", "email": "shown@x.example", "name": "Ada"}
    assert from_github("github", user, emails) == Person("github", "7", email, "Ada")


@pytest.mark.parametrize("user", [None, [], {}, {"id": "7"}, {"id": 0}, {"id": True}, {"id": 7.0}, {"login": "ada"}])
def test_github_without_an_id(user: Any) -> None:
    with pytest.raises(ProviderFailed):
        from_github("github", user, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["sub", "id", "email", "email_verified", "verified", "primary", "name"]) | st.text(), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(JSON, JSON)
def test_whatever_github_answers(user: Any, emails: Any) -> None:
    try:
        made = from_github("github", user, emails)
    except ProviderFailed:
        return
    assert made.subject.isdigit()
    assert made.email is None or any(
        isinstance(one, dict) and one.get("verified") is True for one in emails if isinstance(emails, list)
    )


@given(st.dictionaries(st.sampled_from(["sub", "email", "email_verified", "name"]), JSON))
def test_whatever_claims_say(claims: dict[str, Any]) -> None:
    try:
        made = from_claims("acme", claims)
    except ProviderFailed:
        return
    assert made.email is None or claims["email_verified"] is True


# Which account ---------------------------------------------------------------------------------------------------

DECISIONS: dict[str, tuple[Person, Account | None, Account | None, list[Identity], object]] = {
    "known": (PERSON, ADA, None, [], SignIn(ADA)),
    "known, with another's address by now": (PERSON, EVE, ADA, [PROVEN], SignIn(EVE)),
    "known, without an address": (PERSON._replace(email=None), ADA, None, [], SignIn(ADA)),
    "nobody, without an address": (PERSON._replace(email=None), None, None, [], EmailRequired),
    "new": (PERSON, None, None, [], Create("ada@example.com")),
    "the same verified address on both sides": (PERSON, None, ADA, [PROVEN], Link(ADA)),
    "an account that never proved its address": (PERSON, None, ADA, [], AccountExists),
    "an account that proved another address": (
        PERSON, None, ADA, [Identity("google", "9", "u1", "other@example.com", False, 1)], AccountExists),
    "an account with an identity without an address": (
        PERSON, None, ADA, [Identity("google", "9", "u1", None, False, 1)], AccountExists),
    "somebody else's proof": (
        PERSON, None, ADA, [Identity("google", "9", "u2", "ada@example.com", False, 1)], AccountExists),
}  # fmt: skip


@pytest.mark.parametrize(("person", "known", "of_email", "its", "wanted"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decisions(
    person: Person, known: Account | None, of_email: Account | None, its: list[Identity], wanted: object
) -> None:
    if isinstance(wanted, type) and issubclass(wanted, PushError):
        with pytest.raises(wanted):
            decide(person, known, of_email, its)
    else:
        assert decide(person, known, of_email, its) == wanted


emails = st.sampled_from(["ada@example.com", "eve@example.com", None])
identities = st.builds(
    Identity, st.just("google"), st.just("9"), st.sampled_from(["u1", "u2"]), emails, st.booleans(), st.just(1)
)


@given(emails, st.sampled_from([ADA, EVE]), st.lists(identities, max_size=4))
def test_nobody_gets_an_account_by_an_address_that_one_side_has_not_proved(
    email: str | None, account: Account, its: list[Identity]
) -> None:
    of_email = account if account.email == email else None
    try:
        decided = decide(PERSON._replace(email=email), None, of_email, its)
    except (EmailRequired, AccountExists):
        return
    if isinstance(decided, Link):
        assert any((one.user_id, one.email) == (account.id, account.email) for one in its)
    else:
        assert decided == Create(email or "")
        assert of_email is None


def test_what_a_proof_of_the_address_takes_away() -> None:
    other, nobodys = (Identity("github", email or "x", "u1", email, False, 1) for email in ("eve@example.com", None))
    assert not_the_owners(ADA, [PROVEN, other, nobodys]) == [other, nobodys]


def test_linking_and_unlinking() -> None:
    assert refusal_to_link("u1", None) is None
    assert refusal_to_link("u1", PROVEN) is None
    assert refusal_to_link("u2", PROVEN) is not None
    assert refusal_to_unlink(PROVEN, 1) is None
    assert refusal_to_unlink(PROVEN, 0) is not None
    added = Identity("google", "9", "u1", None, False, 1)
    assert refusal_to_unlink(added, 0) is None
