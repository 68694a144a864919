"""What the manifest says of access tokens, and of the keys that the operator makes for them. Pure.

A key that the operator made is called by when that was, in Unix seconds; which there are stands in an annotation, so
that a rotation is a change of the object like any other, and no secret passes through anybody's hands. The first key,
of a cluster that was never rotated, is called 0. When each signs follows from these numbers alone: the auth service
comes to the same by the same rule (`push_workloads/common/keys.py`; a contract test holds the two together).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from push_operator.errors import ClusterError
from push_operator.fields import Node

KEYS_ANNOTATION: Final = "pushcluster.io/signing-keys"
FIRST_KEY: Final = (0,)
MAX_KEYS: Final = 16
PUBLISH_SECONDS: Final = 900  # a new key is published for so long before it signs
GRACE_SECONDS: Final = 60  # for how long an old one is kept beyond the last token that it signed
MAX_ISSUERS: Final = 16
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
DEFAULT_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
_ADDRESS: Final = r"(?=.{1,512}$)https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?"
_ADDRESS_MEANS: Final = "an address such as https://login.example.com, without a password"
_TEXT: Final = r"[!-~]([ -~]{0,254}[!-~])?"
_PREFIX: Final = r"([a-z0-9][a-z0-9-]{0,30}:)?"
_PREFIX_MEANS: Final = "lower-case letters, digits or '-' and a colon, such as \"corp:\", or empty"


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Somebody whose tokens are good here, as the services read it. `jwks_url` None: its discovery document says."""

    issuer: str
    audience: str
    user_id_prefix: str
    jwks_url: str | None
    user_id_claim: str
    algorithms: tuple[str, ...]
    read_claim: str | None
    write_claim: str | None
    allow_insecure: bool


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Access tokens. `signing_keys_secret`: has the key `JWT_SECRET`, shared by all services (HS256).
    `private_keys_secret`: has the key `SIGNING_KEYS`, private keys in PEM, which sign in its place. With neither the
    operator makes private keys, by `key_times`."""

    signing_keys_secret: str | None
    access_token_ttl_seconds: int
    private_keys_secret: str | None = None
    key_times: tuple[int, ...] = FIRST_KEY
    trusted_issuers: tuple[TrustedIssuer, ...] = ()

    @property
    def makes_keys(self) -> bool:
        return self.signing_keys_secret is None and self.private_keys_secret is None


def tokens_of(node: Node, annotations: Node) -> TokenSpec:
    """What `spec.tokens` and the annotation say."""
    made = TokenSpec(
        signing_keys_secret=node.name_of("signingKeysSecret"),
        access_token_ttl_seconds=node.integer("accessTokenTtlSeconds", 86_400, 60, 365 * 86_400),
        private_keys_secret=node.name_of("privateKeysSecret"),
        key_times=_key_times(annotations),
        trusted_issuers=tuple(_issuer(one) for one in node.children("trustedIssuers", MAX_ISSUERS)),
    )
    if len({one.issuer for one in made.trusted_issuers}) < len(made.trusted_issuers):
        node.fault("trustedIssuers", "must not name one issuer twice")
    node.done()
    return made


def _key_times(annotations: Node) -> tuple[int, ...]:
    text = annotations.raw(KEYS_ANNOTATION)
    if text is None:
        return FIRST_KEY
    words = text.split(",") if isinstance(text, str) else []
    times = tuple(int(word) for word in words if word.isascii() and word.isdecimal() and len(word) <= 10)
    if not 1 <= len(words) <= MAX_KEYS or len(times) < len(words) or any(b <= a for a, b in pairwise(times)):
        means = f"1 to {MAX_KEYS} times in Unix seconds, growing, with commas between: `push keys rotate` writes it"
        annotations.fault(KEYS_ANNOTATION, f"must be {means}")
        return FIRST_KEY
    return times


def _issuer(node: Node) -> TrustedIssuer:
    topics = node.child("topicClaims")
    made = TrustedIssuer(
        issuer=node.text("issuer", "", _ADDRESS, _ADDRESS_MEANS),
        audience=node.text("audience", "", _TEXT, "the text that its tokens for us have as `aud`"),
        user_id_prefix=node.text("userIdPrefix", "", _PREFIX, _PREFIX_MEANS),
        jwks_url=node.text("jwksUrl", "", _ADDRESS, _ADDRESS_MEANS) or None,
        user_id_claim=node.text("userIdClaim", "sub", _TEXT, "the name of a claim"),
        algorithms=_algorithms(node),
        read_claim=topics.text("read", "", _TEXT, "the name of a claim") or None,
        write_claim=topics.text("write", "", _TEXT, "the name of a claim") or None,
        allow_insecure=node.boolean("allowInsecure", False),
    )
    for name, means in _REQUIRED.items():
        if not node.has(name):
            node.fault(name, f"required: {means}")
    for name, url in (("issuer", made.issuer), ("jwksUrl", made.jwks_url)):
        if url and url.startswith("http://") and not made.allow_insecure:
            node.fault(name, "must begin with https://; allowInsecure: true is for an issuer in the same cluster")
    topics.done()
    node.done()
    return made


_REQUIRED: Final = {
    "issuer": "the address that its tokens have as `iss`",
    "audience": "what its tokens for us have as `aud`",
    "userIdPrefix": 'what its users\' ids begin with here, such as "corp:"; "" takes them as they are, so that a user '
    "of ours or of another issuer with the same id is the same user",
}


def _algorithms(node: Node) -> tuple[str, ...]:
    given = node.texts("algorithms", "|".join(ALGORITHMS), f"one of {', '.join(ALGORITHMS)}", len(ALGORITHMS))
    return tuple(dict.fromkeys(given)) or DEFAULT_ALGORITHMS


def issuers_text(issuers: Sequence[TrustedIssuer]) -> str:
    """As the services read them; equal ones are equal texts."""
    return json.dumps([_as_read(one) for one in issuers], ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _as_read(one: TrustedIssuer) -> dict[str, Any]:
    claims = {name: claim for name, claim in (("read", one.read_claim), ("write", one.write_claim)) if claim}
    return {
        "issuer": one.issuer,
        "audience": one.audience,
        "userIdPrefix": one.user_id_prefix,
        "userIdClaim": one.user_id_claim,
        "algorithms": one.algorithms,
        **({"jwksUrl": one.jwks_url} if one.jwks_url else {}),
        **({"topicClaims": claims} if claims else {}),
        **({"allowInsecure": True} if one.allow_insecure else {}),
    }


# Rotation -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """One key: made, signing from then on, published until (None: as long as no newer one signs). Unix seconds."""

    made: int
    signs_from: int
    until: int | None


def schedule(times: Sequence[int], ttl_seconds: int) -> list[KeyTimes]:
    """When each key signs: the first from the start, each other one once everybody knows it."""
    starts = [0, *(at + PUBLISH_SECONDS for at in times[1:])]
    ends = [*(start + ttl_seconds + GRACE_SECONDS for start in starts[1:]), None]
    return [KeyTimes(*row) for row in zip(times, starts, ends, strict=True)]


def rotated(tokens: TokenSpec, now: int, *, at_once: bool) -> str:
    """The annotation with one more key, and without those that nobody needs any more. `at_once`: with the new one
    alone, so that all tokens of the others are void. Raises ClusterError, which says what to do."""
    if not tokens.makes_keys:
        secret = tokens.private_keys_secret or tokens.signing_keys_secret
        raise ClusterError(f"the keys are your own: change Secret {secret}, as docs/tokens.md says")
    rows = schedule(tokens.key_times, tokens.access_token_ttl_seconds)
    if not at_once and rows[-1].signs_from > now:
        raise ClusterError(f"the newest key signs only in {rows[-1].signs_from - now} s: rotate after that; "
                           "--now makes all other keys void at once")  # fmt: skip
    if now <= tokens.key_times[-1]:
        raise ClusterError("the newest key is from this moment or later: is this machine's clock right?")
    if at_once:
        return str(now)
    kept = [row.made for row in rows if row.until is None or row.until > now]
    if len(kept) >= MAX_KEYS:
        raise ClusterError(f"{MAX_KEYS} keys are needed still, by tokens that live "
                           f"{tokens.access_token_ttl_seconds} s: rotate less often")  # fmt: skip
    return ",".join(str(at) for at in (*kept, now))


def annotations_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    given = (body.get("metadata") or {}).get("annotations")
    return given if isinstance(given, Mapping) else {}
