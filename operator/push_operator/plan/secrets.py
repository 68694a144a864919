"""The user's Secrets, as far as planning may know them: not their values, but what these come to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from push_operator.plan.workload import Plan, SecretKey

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value by its length in bytes, and by a digest that tells nothing but that it is another one than before."""

    size: int
    digest: str


Secrets = Mapping[str, Mapping[str, SecretValue]]
"""By name of the Secret, then by key; what is not there is left out."""


def known(value: bytes, key: bytes) -> SecretValue:
    """`key` is the platform's own and secret: without it, whoever reads the revision in an object's name could try
    passwords against it."""
    return SecretValue(len(value), hashlib.blake2b(value, digest_size=DIGEST_BYTES, key=key[-64:]).hexdigest())


def digests(keys: Iterable[SecretKey], found: Secrets) -> dict[str, str]:
    """The digests of those of the keys that are there, by their path."""
    values = {key.path: found.get(key.secret, {}).get(key.key) for key in keys}
    return {path: value.digest for path, value in values.items() if value is not None}


def lacking(plan: Plan, found: Secrets) -> str:
    """What the user has to add to the Secrets that the manifest names before the plan can run; empty when nothing."""
    keys = sorted((key for key in plan.given_keys() if not key.optional), key=lambda key: (key.secret, key.key))
    for name, needed in groupby(keys, key=lambda key: key.secret):
        told = _lack(name, list(needed), found.get(name))
        if told:
            return told
    return ""


def _lack(name: str, needed: list[SecretKey], values: Mapping[str, SecretValue] | None) -> str:
    if values is None:
        return f"Secret {name} is not there: make one with the key {', '.join(key.key for key in needed)}"
    missing = [key.key for key in needed if key.key not in values]
    if missing:
        return f"Secret {name} has no key {', '.join(missing)}: add it"
    for key in needed:
        if values[key.key].size < key.min_bytes:
            return f"Secret {name}: {key.key} has {values[key.key].size} bytes and needs at least {key.min_bytes}"
    return ""
