"""Who else may sign tokens that are good here, and what is known of their keys. Pure: times are seconds of a clock that
only goes forward.

A token whose key is not known is put off, not refused: the keys may have changed since they were fetched. It is refused
once they were fetched anew, after it was first seen, and its key was not among them. So a storm of made-up keys costs
one request every few seconds, and nobody is turned away for good on stale knowledge.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.keys import ALGORITHMS, Key, SigningKey

DEFAULT_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
STALE_SECONDS: Final = 24 * 3600.0  # keys that could not be fetched anew for so long are trusted no more
FORGET_SECONDS: Final = 60.0  # after it an unknown key is worth another request
MAX_UNKNOWN: Final = 256
RETRY_AFTER_MS: Final = 2000
MAX_GRANTS: Final = 100  # of one claim
MAX_GRANT_CHARS: Final = 128
NOT_VALID: Final = "the access token is missing or not valid"
WAIT: Final = "the key of this access token is being fetched; try again"


class BadIssuers(ValueError):
    """The text is no list of trusted issuers; what it says names the field."""


class TopicClaims(Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the claims that list topics, or beginnings of their names with a `*` behind."""

    read: str | None = None
    write: str | None = None


class TrustedIssuer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One that signs tokens for us. Its keys are at `jwks_url`, or where its discovery document says. Its users are
    called `user_id_prefix` and what `user_id_claim` says. `own`: tokens of our own auth service."""

    issuer: str
    audience: str
    user_id_prefix: str
    jwks_url: str | None = None
    user_id_claim: str = "sub"
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    topic_claims: TopicClaims = TopicClaims()
    allow_insecure: bool = False
    own: bool = False


def read_issuers(text: str) -> tuple[TrustedIssuer, ...]:
    """Those of the manifest. Raises BadIssuers."""
    try:
        listed = msgspec.json.decode(text, type=tuple[TrustedIssuer, ...])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadIssuers(str(error)) from error
    for one in listed:
        if not one.algorithms or not set(one.algorithms) <= set(ALGORITHMS):
            raise BadIssuers(f"algorithms: one or more of {', '.join(ALGORITHMS)}")
        for url in (one.issuer, one.jwks_url):
            if url is not None and not may_fetch(url, one.allow_insecure):
                raise BadIssuers(f"{url} must begin with https://, or allowInsecure be true")
    if len({one.issuer for one in listed}) < len(listed):
        raise BadIssuers("issuer: each only once")
    return listed


def may_fetch(url: str, allow_insecure: bool) -> bool:
    """Keys that come over plain HTTP are whoever's stands on the way: only where the manifest says that nobody does."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in (("https", "http") if allow_insecure else ("https",)) and bool(parts.hostname)


# What of its keys is known --------------------------------------------------------------------------------------------


class KeySource:
    """The keys of one issuer, as they were last fetched. `local`: our own, which need no fetching."""

    def __init__(self, issuer: TrustedIssuer, local: Sequence[SigningKey] = ()) -> None:
        self.issuer = issuer
        self.local = local
        self._wanted: Callable[[], None] = lambda: None
        self._clock: Callable[[], float] = lambda: 0.0
        self._keys: Mapping[str, Key] = {}
        self._fetched_at: float | None = None  # when that was begun: what came to be later may not be in it
        self._unknown: OrderedDict[str, float] = OrderedDict()

    @property
    def known(self) -> bool:
        return self._fetched_at is not None

    def open(self, wanted: Callable[[], None], clock: Callable[[], float]) -> None:
        """From now on somebody fetches: `wanted` is called when that should be soon; by this clock all times are."""
        self._wanted, self._clock = wanted, clock

    def take(self, keys: Mapping[str, Key], asked_at: float) -> None:
        """All that there are, by kid; the answer to a question of that moment. A key that is not in it is void."""
        self._keys, self._fetched_at = keys, asked_at

    def find(self, kid: str) -> Key:
        """Raises Unavailable while it cannot be told whether there is such a key, then Unauthorized."""
        now = self._clock()
        if self._fetched_at is None or now - self._fetched_at > STALE_SECONDS:
            raise Unavailable(WAIT, retry_after_ms=RETRY_AFTER_MS)
        key = self._keys.get(kid)
        if key is not None:
            return key
        seen_at = self._unknown.get(kid)
        if seen_at is None or now - seen_at > FORGET_SECONDS:
            self._ask_for(kid, now)
        elif self._fetched_at > seen_at:
            raise Unauthorized(NOT_VALID)
        raise Unavailable(WAIT, retry_after_ms=RETRY_AFTER_MS)

    def _ask_for(self, kid: str, now: float) -> None:
        self._unknown.pop(kid, None)
        self._unknown[kid] = now
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)
        self._wanted()


# What its claims say --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grants:
    """Topics that a token itself gives rights to: names, or beginnings of names with a `*` behind."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    def reads(self, topic: str) -> bool:
        return _covers(self.read, topic)

    def writes(self, topic: str) -> bool:
        return _covers(self.write, topic)


NO_GRANTS: Final = Grants()


def _covers(grants: Sequence[str], topic: str) -> bool:
    return any(topic.startswith(one[:-1]) if one.endswith("*") else topic == one for one in grants)


def grants_of(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Grants:
    """Raises TypeError or ValueError when such a claim is no list of topics."""
    named = issuer.topic_claims
    if named.read is None and named.write is None:
        return NO_GRANTS
    return Grants(_topics(claims, named.read), _topics(claims, named.write))


def _topics(claims: Mapping[str, Any], name: str | None) -> tuple[str, ...]:
    listed = claims.get(name, []) if name is not None else []
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise TypeError("a claim of topics is a list of texts")
    if len(listed) > MAX_GRANTS or not all(1 <= len(one) <= MAX_GRANT_CHARS for one in listed):
        raise ValueError(f"a claim of topics has at most {MAX_GRANTS} of 1 to {MAX_GRANT_CHARS} characters")
    return tuple(listed)


def user_id_of(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> str:
    """Raises TypeError or ValueError when the claim is not there, or no text."""
    value = claims.get(issuer.user_id_claim)
    if not isinstance(value, str):
        raise TypeError("the claim of the user's id is text")
    if not value:
        raise ValueError("the claim of the user's id is empty")
    return issuer.user_id_prefix + value
