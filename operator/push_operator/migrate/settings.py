"""What the old services were told in their environment and in Docker secrets, by the names of the setting. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from push_operator.migrate.stack import SecretUse, Service, Stack


@dataclass(frozen=True, slots=True)
class InEnvironment:
    """A variable of a service."""

    service: str
    variable: str


@dataclass(frozen=True, slots=True)
class InFile:
    """A Docker secret, as a file in a service's containers. `stack_file`: what it was made from, if the stack says."""

    service: str
    path: str
    stack_file: str | None


Source = InEnvironment | InFile


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one service. `value` None: only what runs knows it. It may be secret: it goes into no text."""

    path: str
    name: str
    value: str | None
    source: Source


def settings_named(names: Sequence[str], services: Sequence[Service], stack: Stack) -> list[Setting]:
    """Every place where one of these names has a value, the first name first; a name with `_FILE` is that of a file,
    and a Docker secret may be called like a variable."""
    return [one for name in names for service in services for one in _of(name, service, stack)]


def _of(name: str, service: Service, stack: Stack) -> Iterator[Setting]:
    path = f"{service.path}.environment.{name}"
    if name in service.environment:
        yield Setting(path, name, service.environment[name], InEnvironment(service.name, name))
    file = service.environment.get(f"{name}_FILE")
    uses = [use for use in service.secrets if (use.path == file if file else name in _called(use))]
    for use in uses:
        source = InFile(service.name, use.path, stack.secrets.get(use.source))
        yield Setting(f"{service.path}.secrets.{use.source}", name, None, source)
    if file and not uses:
        yield Setting(f"{path}_FILE", name, None, InFile(service.name, file, None))


def _called(use: SecretUse) -> set[str]:
    """The variables that a Docker secret may be meant for."""
    return {re.sub("[^A-Za-z0-9]", "_", one).upper() for one in (use.source, use.path.rpartition("/")[2])}
