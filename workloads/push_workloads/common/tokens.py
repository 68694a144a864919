"""Access tokens: JWTs (RFC 7519) that every service checks by itself, and the service credential, a key that a
customer's own backend shows instead of a token.

Three kinds are good: signed by our auth service with one of its private keys; signed with the shared secret (HS256), as
in the system that this one replaces; and those of issuers that the manifest trusts. RFC 8725 is what is held to.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
from msgspec import UNSET, Struct, UnsetType

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized
from push_workloads.common.issuers import (
    NO_GRANTS,
    NOT_VALID,
    Grants,
    KeySource,
    TrustedIssuer,
    grants_of,
    user_id_of,
)
from push_workloads.common.keys import as_jwk, published, signing
from push_workloads.common.subjects import BadId, token

SHARED: Final = "HS256"  # the algorithm of the shared secret, and of nothing else
MAX_TOKEN_BYTES: Final = 4096
LEEWAY_SECONDS: Final = 5
RESERVED: Final = "$"  # begins ids that are no user's
SERVICE: Final = "$service"  # whom the service credential speaks for
NEVER: Final = 2**53
OWN_ALGORITHMS: Final = ("ES256", "EdDSA")
JWKS_PATH: Final = "/.well-known/jwks.json"
# Others are for something else: a logout token is signed by the same key (RFC 8725 §3.11).
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid token speaks for, and until when (Unix seconds). `session_id`: of the login that it descends from,
    None for a token that was made elsewhere. `grants`: what the token itself lets its bearer read and write. `scopes`:
    of a service credential; None: whatever the user may."""

    user_id: str
    expires_at: int
    session_id: str | None = None
    issued_at: int = NEVER
    grants: Grants = NO_GRANTS
    scopes: frozenset[str] | None = None


class _Header(Struct):
    """What counts of a token's header (RFC 7515 §4.1), and what must not be there: where to find a key is for us to
    know, and `crit` names what we would have to understand."""

    alg: str
    kid: str | None = None
    typ: str = "JWT"
    jku: Any = UNSET
    jwk: Any = UNSET
    x5u: Any = UNSET
    x5c: Any = UNSET
    crit: Any = UNSET
    b64: Any = UNSET
    zip: Any = UNSET


class _Claimed(Struct):
    """Who has signed the token, as it says itself."""

    iss: str | UnsetType = UNSET


_FORBIDDEN: Final = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip")
_header: Final = msgspec.json.Decoder(_Header).decode
_claimed: Final = msgspec.json.Decoder(_Claimed).decode
_FAULTS: Final = (jwt.PyJWTError, BadId, ValueError, TypeError, OverflowError, RecursionError)


class Tokens:
    """Signs and checks tokens. Holds keys, does no I/O: `sources` are filled by others (`fetching.py`)."""

    def __init__(self, config: TokenConfig) -> None:
        self._config = config
        self._decoder = jwt.PyJWT()
        # The shared secret never checks what names another algorithm, nor a public key what names this one.
        self._shared = jwt.PyJWK({"kty": "oct", "k": _encoded(config.secret)}, SHARED) if config.secret else None
        own = TrustedIssuer(config.issuer, config.issuer, "", algorithms=OWN_ALGORITHMS, own=True,
                            jwks_url=config.keys_url and config.keys_url + JWKS_PATH, allow_insecure=True)  # fmt: skip
        self._own = own
        ours = (KeySource(own, config.signing_keys),) if config.keys_url or config.signing_keys else ()
        self.sources = (*ours, *(KeySource(one) for one in config.trusted))
        self._by_issuer = {one.issuer.issuer: one for one in self.sources}

    @property
    def ttl_seconds(self) -> int:
        return self._config.ttl_seconds

    def waiting(self) -> str | None:
        """A readiness check: nobody can be let in before our own keys are known. Those of others keep nobody waiting
        but their own users."""
        lacking = any(one.issuer.own and not one.known for one in self.sources)
        return "the keys of access tokens are not known yet: the auth service does not answer" if lacking else None

    def jwks(self, now: int) -> list[dict[str, str]]:
        """Our public keys at that time (Unix seconds), as members of a JWK set; empty with a shared secret alone."""
        return [as_jwk(one) for one in published(self._config.signing_keys, now).values()]

    def issue(self, user_id: str, now: int, token_id: str, session_id: str | None = None) -> str:
        """A token for this user from `now` (Unix seconds) on; `token_id` becomes its `jti`, `session_id` its `sid`."""
        claims = {
            "iss": self._config.issuer,
            "aud": self._config.issuer,
            "sub": user_id,
            "iat": now,
            "exp": now + self._config.ttl_seconds,
            "jti": token_id,
            **({"sid": session_id} if session_id is not None else {}),
        }
        if not self._config.signing_keys:
            return jwt.encode(claims, self._config.secret or b"", algorithm=SHARED)
        own = signing(self._config.signing_keys, now)
        return jwt.encode(claims, own.private, algorithm=own.key.algorithm, headers={"kid": own.key.kid})

    def verify(self, text: str | None) -> Identity:
        """The identity behind a token. Raises Unauthorized, one answer for every fault, so that nothing can be probed;
        Unavailable while it cannot be told whether its key is good."""
        if not text or len(text) > MAX_TOKEN_BYTES:
            raise Unauthorized(NOT_VALID)
        key = self._config.service_key
        if key is not None and hmac.compare_digest(text.encode("utf-8", "replace"), key):
            return Identity(SERVICE, NEVER)
        try:
            return self._verify(text)
        except _FAULTS as error:
            raise Unauthorized(NOT_VALID) from error

    def _verify(self, text: str) -> Identity:
        parts = text.split(".")
        if len(parts) != 3:
            raise ValueError("no compact serialization (RFC 7515 §3.1)")
        header = _header(_decoded(parts[0]))
        if header.typ.lower() not in _TYPES or any(getattr(header, name) is not UNSET for name in _FORBIDDEN):
            raise ValueError("a header that is not taken")
        if header.alg == SHARED:
            return self._by_secret(text, header)
        return self._by_key(text, header, _claimed(_decoded(parts[1])).iss)

    def _by_secret(self, text: str, header: _Header) -> Identity:
        if self._shared is None or header.kid is not None:
            raise ValueError("there is no shared secret, or it is not for this token")
        claims = self._claims(text, self._shared.key, SHARED, self._own, ("sub",))
        return self._identity(self._own, claims)

    def _by_key(self, text: str, header: _Header, issuer: str | UnsetType) -> Identity:
        source = self._by_issuer.get(issuer) if isinstance(issuer, str) else None
        if source is None or header.kid is None:
            raise ValueError("nobody who is trusted")
        key = source.find(header.kid)
        required = ("sub", "jti") if source.issuer.own else ()
        return self._identity(source.issuer, self._claims(text, key.public, key.algorithm, source.issuer, required))

    def _claims(
        self, text: str, key: Any, algorithm: str, issuer: TrustedIssuer, required: tuple[str, ...]
    ) -> dict[str, Any]:
        """Of a token that names just this algorithm, is signed with it by this key, and was meant for us."""
        claims: dict[str, Any] = self._decoder.decode(
            text,
            key,
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", *required]},
        )
        return claims

    def _identity(self, issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Identity:
        user_id = user_id_of(issuer, claims)
        token(user_id)
        if user_id.startswith(RESERVED):
            raise ValueError("not the id of a user")
        if "cnf" in claims:
            raise ValueError("bound to a key that its bearer would have to prove (RFC 7800 §3.1)")
        session_id = claims.get("sid") if issuer.own else None
        if not isinstance(session_id, str | None):
            raise TypeError("sid is text")
        grants = grants_of(issuer, claims)
        return Identity(user_id, min(int(claims["exp"]), NEVER), session_id, min(int(claims["iat"]), NEVER), grants)


def _decoded(part: str) -> bytes:
    return jwt.utils.base64url_decode(part.encode("ascii"))


def _encoded(secret: bytes) -> str:
    return jwt.utils.base64url_encode(secret).decode()


def bearer(header: str | None) -> str | None:
    """The token in an `Authorization: Bearer …` header (RFC 6750 §2.1), None when there is none."""
    scheme, _, value = (header or "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None
