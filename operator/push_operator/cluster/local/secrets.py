"""Secrets of the local platform: generated once and kept, or given in the manifest; one file each, mode 0600."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from push_operator.cluster.local.state import write_private
from push_operator.errors import ClusterError
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

    def _load(self, name: str) -> dict[str, str]:
        path = self._folder / f"{name}.json"
        try:
            kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ClusterError(f"{path} cannot be read ({error}): mend it or remove it") from error
        return kept

    def _save(self, name: str, values: Mapping[str, str]) -> None:
        write_private(self._folder / f"{name}.json", json.dumps(values, indent=2))


def check_references(plan: Plan, store: SecretStore, given: Mapping[str, Mapping[str, str]]) -> None:
    """Raises ClusterError when a workload needs a key that is neither generated, nor `given`, nor kept."""
    generated = {(secret.name, key) for secret in plan.secrets for key in secret.keys}
    for workload in plan.workloads:
        for value in workload.env.values():
            if not isinstance(value, SecretKey) or (value.secret, value.key) in generated:
                continue
            if value.secret in given:
                if value.key not in given[value.secret] and not value.optional:
                    raise missing_key(value)
            else:
                store.value(value)


def missing_key(wanted: SecretKey) -> ClusterError:
    return ClusterError(f"Secret {wanted.secret} has no key {wanted.key}: add a Secret document to the manifest")


def _random_value() -> str:
    # The letter in front keeps the NATS configuration from reading an all-digit value as a number.
    return "s" + secrets.token_hex(VALUE_BYTES)
