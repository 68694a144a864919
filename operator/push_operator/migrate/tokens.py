"""Access tokens: the key that signs them, and how long they live. Pure."""

from __future__ import annotations

from typing import Final

from push_operator.migrate.commands import printing
from push_operator.migrate.old import Old, Spec
from push_operator.migrate.settings import Setting
from push_operator.plan.env import KEY_BYTES

KEY_NAMES: Final = ("JWT_SECRET",)
LIFE_NAMES: Final = ("ACCESS_TOKEN_TTL_SECONDS", "JWT_EXPIRY_HOURS")
_SECONDS: Final = {"ACCESS_TOKEN_TTL_SECONDS": 1, "JWT_EXPIRY_HOURS": 3600}
_LEAST_SECONDS, _MOST_SECONDS = 60, 365 * 86_400
_ACCEPTED: Final = (
    "Tokens that this key has signed are accepted when they are HS256 with sub, iat and exp, and say pushcluster as "
    "iss and as aud; who holds another one signs in again"
)


def tokens(old: Old) -> Spec:
    """`spec.tokens`."""
    made = {**_key(old), **_life(old)}
    return {"tokens": made} if made else {}


def _key(old: Old) -> Spec:
    found = old.settings(*KEY_NAMES)
    if not found:
        old.report.left("", "no JWT_SECRET was found: the operator makes a signing key, and everybody signs in again")
        return {}
    first = found[0]
    short = _short(first)
    if short:
        old.report.left(first.path, short)
        return {}
    _differing(old, found)
    name = old.secret("tokens")
    old.report.taken(first.path, f"spec.tokens.signingKeysSecret is {name}, which is yours to make. {_ACCEPTED}")
    command = old.make_secret("tokens", {"JWT_SECRET": printing(first.source)}, [first])
    old.report.todo("", f"make the Secret {name} from what the old services have, before you apply", command)
    return {"signingKeysSecret": name}


def _short(key: Setting) -> str:
    size = len((key.value or "").encode("utf-8", "replace"))
    if not 0 < size < KEY_BYTES:
        return ""
    return f"has {size} bytes, and a signing key needs {KEY_BYTES}: a new one is made, and everybody signs in again"


def _differing(old: Old, found: list[Setting]) -> None:
    if len({one.value for one in found if one.value}) > 1:
        old.report.todo(found[0].path, "the old services do not all have the same key: this one is taken for all")


def _life(old: Old) -> Spec:
    for one in old.settings(*LIFE_NAMES):
        number = one.value or ""
        if number.isascii() and number.isdecimal() and len(number) < 12:
            seconds = int(number) * _SECONDS[one.name]
            if _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
                old.report.taken(one.path, f"spec.tokens.accessTokenTtlSeconds is {seconds}")
                return {"accessTokenTtlSeconds": seconds}
        old.report.left(one.path, "is no whole number from a minute to a year: tokens live for a day")
    return {}
