"""The environment of one unit: planned values made real on this machine, and little else of this process's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from push_operator.cluster.local.secrets import SecretStore
from push_operator.plan.workload import PUBLIC, Address, DataPath, EnvValue, SecretKey

INHERITED = ("PATH", "HOME", "LANG", "TZ")


DRAIN_SECONDS: Final = 3
"""What a gateway's clients have when its process is told to stop: that ends with Ctrl-C, which waits for ten seconds at
most. A gateway that the operator empties before is not hurried by it."""


def base_env(environ: Mapping[str, str]) -> dict[str, str]:
    """What every program gets: a proxy setting or a cloud key of the user's shell is none of its business."""
    return {name: environ[name] for name in INHERITED if name in environ}


def descriptor_variable(port: str) -> str:
    """The variable by which a unit is told of a listening socket that it inherits for one of its ports."""
    return "FD" if port == PUBLIC else f"{port.upper()}_FD"


def planned_env(
    planned: Mapping[str, EnvValue], secrets: SecretStore, at: Callable[[str, str], tuple[str, int]], data: Path
) -> dict[str, str]:
    """The variables of a workload as text; `at`: where a port of a component is reached. Raises ClusterError when a
    Secret lacks a key."""
    made = {}
    for name, value in planned.items():
        text = _text(value, secrets, at, data)
        if text is not None:
            made[name] = text
    return made | ({"DRAIN_SECONDS": str(DRAIN_SECONDS)} if "DRAIN_SECONDS" in made else {})


def _text(value: EnvValue, secrets: SecretStore, at: Callable[[str, str], tuple[str, int]], data: Path) -> str | None:
    match value:
        case SecretKey():
            return secrets.value(value)
        case Address():
            return value.at(*at(value.component, value.port))
        case DataPath():
            return str(data / value.file)
        case _:
            return value
