"""Ports of the local platform: listening sockets that units inherit, and free ports that servers are told."""

from __future__ import annotations

import errno
import socket

from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError
from push_operator.plan.workload import PUBLIC, Plan

LOOPBACK = "127.0.0.1"
BACKLOG = 1024
_ALL_OF_IT = ("", "0.0.0.0", "::", "localhost")  # noqa: S104 - compared, not bound
_HOSTS = "give --host an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"


def listening(host: str, port: int, advice: str) -> socket.socket:
    """A listening TCP socket, bound without SO_REUSEPORT so that another listener on the port is seen, not joined.

    Raises ClusterError naming the port and `advice` when it is taken, or the host when it is not this machine.
    """
    try:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(host, port, advice, error) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that only lingers in TIME_WAIT is free
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except (OSError, UnicodeError) as error:
        made.close()
        raise _refusal(host, port, advice, error) from error
    return made


def _refusal(host: str, port: int, advice: str, error: OSError | UnicodeError) -> ClusterError:
    if isinstance(error, socket.gaierror | UnicodeError):
        return ClusterError(f"the host name {host} is unknown: {_HOSTS}")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return ClusterError(f"{host} is not an address of this machine: {_HOSTS}")
    why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
    return ClusterError(f"port {port} on {host} {why}: {advice}")


class PublicSockets:
    """One listening socket a public port, open as long as the platform: all replicas of a component share it.

    A unit that stops closes its copy; connections still in the queue stay with the others.
    """

    def __init__(self, host: str, offset: int) -> None:
        self.host, self.offset = host, offset
        self._open: dict[tuple[str, str], socket.socket] = {}  # by component and name of the port

    def open_for(self, plan: Plan) -> None:
        """Opens what is not open yet and closes what the plan does not have. All or nothing on a port in use."""
        wanted = {(w.component, port.name): port.number for w in plan.workloads for port in w.ports if port.public}
        opened = {}
        try:
            for key, number in wanted.items():
                if key not in self._open:
                    opened[key] = listening(self.host, number + self.offset, _advice(key[0]))
        except ClusterError:
            for made in opened.values():
                made.close()
            raise
        self._open |= opened
        for key in [one for one in self._open if one not in wanted]:
            self._open.pop(key).close()

    def descriptors(self, component: str) -> dict[str, int]:
        """Those that are open for a component, by name of the port."""
        return {name: made.fileno() for (owner, name), made in self._open.items() if owner == component}

    def port(self, component: str) -> int | None:
        """The number that the port which each service has is open under, the offset included; None when it is not."""
        made = self._open.get((component, PUBLIC))
        return int(made.getsockname()[1]) if made is not None else None

    @property
    def reached_at(self) -> str:
        """The host by which this machine reaches them."""
        if self.host in _ALL_OF_IT:
            return LOOPBACK
        return f"[{self.host}]" if ":" in self.host else self.host

    def close(self) -> None:
        for made in self._open.values():
            made.close()
        self._open.clear()


class KeptPorts:
    """Ports of servers that open their own sockets: free when picked, the same in the next run if still free."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._settled: dict[str, int] = {}

    def port(self, component: str, name: str) -> int:
        """The port of one component, settled for the life of this process."""
        key = f"{component}/{name}"
        if key not in self._settled:
            kept = self._state.load_ports()
            self._settled[key] = _free_port(kept.get(key, 0))
            if kept.get(key) != self._settled[key]:
                self._state.save_ports({**kept, key: self._settled[key]})
        return self._settled[key]


def _free_port(preferred: int) -> int:
    """`preferred` when nobody has it, else any other."""
    for candidate in (preferred, 0) if preferred else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((LOOPBACK, candidate))
                probe.listen(1)
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ClusterError("this machine has no free port")


def _advice(component: str) -> str:
    return (
        f"{component} needs it; stop the program that has it (another `push up`?), "
        "or move all ports with --port-offset N"
    )
