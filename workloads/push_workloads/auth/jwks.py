"""Our public keys, for whoever wants to check our access tokens: the other services, and the customer's own."""

from __future__ import annotations

import time

from msgspec import Struct

from push_workloads.common.http import Call, Route
from push_workloads.common.keys import MAX_AGE_SECONDS
from push_workloads.common.tokens import JWKS_PATH, Tokens


class PublicKey(Struct, omit_defaults=True):
    """A member of a JWK set (RFC 7517 §4): of ES256, or of EdDSA, which has no `y`."""

    kty: str
    crv: str
    kid: str
    alg: str
    use: str
    x: str
    y: str | None = None


class KeySet(Struct):
    """A JWK set (RFC 7517 §5). Empty where tokens are signed with a shared secret."""

    keys: list[PublicKey]


def jwks_route(tokens: Tokens) -> Route:
    async def jwks(_: Call) -> KeySet:
        return KeySet([PublicKey(**key) for key in tokens.jwks(int(time.time()))])

    summary = "The public keys of access tokens"
    return Route("GET", JWKS_PATH, jwks, summary, KeySet, auth=False, max_age=MAX_AGE_SECONDS)
