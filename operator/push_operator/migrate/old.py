"""An old deployment whose parts are known, and where what is decided about it goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from push_operator.fields import Node
from push_operator.migrate.commands import Command, create_secret
from push_operator.migrate.report import Report
from push_operator.migrate.settings import Setting, settings_named
from push_operator.migrate.stack import Service, Stack

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Old:
    """The five services that the stack has, by what they are, and the names of those behind them. `name`, `namespace`:
    of the PushCluster to be."""

    name: str
    namespace: str | None
    services: Mapping[str, Service]
    backing: Mapping[str, Sequence[str]]
    stack: Stack
    report: Report

    def settings(self, *names: str) -> list[Setting]:
        return settings_named(names, list(self.services.values()), self.stack)

    def paths(self, kind: str) -> tuple[str, ...]:
        """Where the servers of a kind stand in the stack."""
        return tuple(f"services.{name}" for name in self.backing.get(kind, ()))

    def secret(self, part: str) -> str:
        """What the Secret for this part is called."""
        return f"{self.name}-{part}"

    def make_secret(self, part: str, keys: Mapping[str, str], settings: Sequence[Setting]) -> Command:
        return create_secret(self.secret(part), self.namespace, keys, [one.source for one in settings])


def is_taken(read: Any, **fields: Any) -> bool:
    """Whether a part of the manifest with these fields is valid: `read` is how the model reads it."""
    faults: list[Any] = []
    read(Node(fields, "", faults))
    return not faults
