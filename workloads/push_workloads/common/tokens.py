"""Access tokens: HS256 JWTs with one shared secret, checked locally by every service; and the service credential, a
key that a customer's own backend shows instead of a token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import jwt

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized
from push_workloads.common.subjects import BadId, token

ALGORITHM = "HS256"
MAX_TOKEN_BYTES = 4096
LEEWAY_SECONDS = 5
RESERVED = "$"  # begins ids that are no user's
SERVICE = "$service"  # whom the service credential speaks for
NEVER = 2**53


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid token speaks for, and until when (Unix seconds). `session_id`: of the login that it descends from,
    None for a token that was made elsewhere. `scopes`: of a service credential; None: whatever the user may."""

    user_id: str
    expires_at: int
    session_id: str | None = None
    issued_at: int = NEVER
    scopes: frozenset[str] | None = None


class Tokens:
    """Signs and checks tokens. Holds the key, does no I/O."""

    def __init__(self, config: TokenConfig) -> None:
        self._config = config
        self._decoder = jwt.PyJWT()

    @property
    def ttl_seconds(self) -> int:
        return self._config.ttl_seconds

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
        return jwt.encode(claims, self._config.secret, algorithm=ALGORITHM)

    def verify(self, text: str | None) -> Identity:
        """The identity behind a token, or Unauthorized: one answer for every fault, so that nothing can be probed."""
        if not text or len(text) > MAX_TOKEN_BYTES:
            raise Unauthorized("the access token is missing or not valid")
        key = self._config.service_key
        if key is not None and hmac.compare_digest(text.encode("utf-8", "replace"), key):
            return Identity(SERVICE, NEVER)
        try:
            claims = self._decoder.decode(
                text,
                self._config.secret,
                algorithms=[ALGORITHM],
                audience=self._config.issuer,
                issuer=self._config.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "iat"]},
            )
            token(claims["sub"])
            if claims["sub"].startswith(RESERVED):
                raise ValueError("not the id of a user")
            session_id = claims.get("sid")
            if not isinstance(session_id, str | None):
                raise TypeError("sid is text")
            return Identity(claims["sub"], int(claims["exp"]), session_id, int(claims["iat"]))
        except (jwt.PyJWTError, BadId, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized("the access token is missing or not valid") from error


def bearer(header: str | None) -> str | None:
    """The token in an `Authorization: Bearer …` header (RFC 6750 §2.1), None when there is none."""
    scheme, _, value = (header or "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None
