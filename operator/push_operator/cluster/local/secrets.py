"""Secrets of the local platform: generated once and kept, or given in the manifest; one file each, mode 0600."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from push_operator.cluster.local.state import read_kept, write_private
from push_operator.errors import ClusterError
from push_operator.plan.names import REVISION_KEY
from push_operator.plan.secrets import Secrets, known
from push_operator.plan.workload import GeneratedSecret, Plan, SecretKey

VALUE_BYTES = 32


class SecretStore:
    """Reads and writes `<folder>/<name>.json`, a mapping of key to text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, values: Mapping[str, str]) -> None:
        """Keeps a Secret that the manifest gives, in place of what was kept under that name."""
        if self._load(name) != values:
            self._save(name, values)

    def ensure(self, wanted: GeneratedSecret) -> None:
        """Makes the keys that are not there yet; a value, once made, never changes."""
        kept = self._load(wanted.name)
        missing = [key for key in wanted.keys if key not in kept]
        if missing:
            self._save(wanted.name, kept | {key: _random_value() for key in missing})

    def value(self, wanted: SecretKey) -> str | None:
        """The text under a key, None when it is optional and not there. Raises ClusterError when it must be there."""
        value = self._load(wanted.secret).get(wanted.key)
        if value is None and not wanted.optional:
            raise missing_key(wanted)
        return value

    def found(self, plan: Plan) -> Secrets:
        """What is known of the values that the user gives. Makes the key for that when it is not there yet."""
        names = {key.secret for key in plan.given_keys()}
        if not names:
            return {}
        for secret in plan.secrets:
            self.ensure(secret)
        (key,) = (self._load(secret.name)[REVISION_KEY] for secret in plan.secrets)
        loaded = {name: self._load(name) for name in names}
        return {
            name: {entry: known(value.encode(), key.encode()) for entry, value in values.items()}
            for name, values in loaded.items()
            if values
        }

    def check(self) -> None:
        """Raises ClusterError, naming the file, when a Secret that is kept is damaged."""
        for path in sorted(self._folder.glob("*.json")):
            self._load(path.stem)

    def _load(self, name: str) -> dict[str, str]:
        return read_kept(self._folder / f"{name}.json", _is_texts, "a mapping of keys to text") or {}

    def _save(self, name: str, values: Mapping[str, str]) -> None:
        write_private(self._folder / f"{name}.json", json.dumps(values, indent=2))


def check_references(plan: Plan, store: SecretStore, given: Mapping[str, Mapping[str, str]]) -> None:
    """Raises ClusterError when a workload needs a key that is neither generated, nor `given`, nor kept, or whose value
    is too short."""
    for wanted in plan.given_keys():
        value = given[wanted.secret].get(wanted.key) if wanted.secret in given else store.value(wanted)
        if value is None and not wanted.optional:
            raise missing_key(wanted)
        if value is not None and len(value.encode()) < wanted.min_bytes:
            raise short_key(wanted, len(value.encode()))


def missing_key(wanted: SecretKey) -> ClusterError:
    return ClusterError(f"Secret {wanted.secret} has no key {wanted.key}: add a Secret document to the manifest")


def short_key(wanted: SecretKey, length: int) -> ClusterError:
    return ClusterError(
        f"Secret {wanted.secret}: {wanted.key} has {length} bytes and needs at least {wanted.min_bytes}: "
        "make one with `openssl rand -hex 32`"
    )


def _is_texts(kept: Any) -> bool:
    return isinstance(kept, dict) and all(isinstance(value, str) for value in kept.values())


def _random_value() -> str:
    # The letter in front keeps the NATS configuration from reading an all-digit value as a number.
    return "s" + secrets.token_hex(VALUE_BYTES)
