"""A gateway in numbers, for the operator: it decides by them how many gateways there are, and who leaves which."""

from __future__ import annotations

import os
import resource
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from push_workloads.gateway.departures import Departures, Draining
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.handshake import Door

STATM: Final = Path("/proc/self/statm")
UNAUTHORIZED: Final = 401


class Snapshot(Struct, frozen=True):
    """What `GET /stats` answers. Counters only grow within one `boot`. `outbound_bytes`: what waits for slow clients
    now; `loop_lag_ms`: the worst of the last 10 s."""

    boot: str
    epoch: int
    uptime_s: float
    connections: int
    max_connections: int
    accepted: int
    refused: int
    auth_failures: int
    disconnects: int
    reconnects_asked: int
    outbound_bytes: int
    fell_behind: int
    loop_lag_ms: float
    pressure: int
    nats: bool
    nats_lost: int
    frames_in: int
    frames_out: int
    delivered: int
    cpu_seconds: float
    rss_bytes: int
    draining: Draining | None


class Stats:
    """Reads them, at a cost that does not grow with the clients."""

    def __init__(self, gateway: Gateway, door: Door, departures: Departures, has_nats: Callable[[], bool]) -> None:
        self._gateway = gateway
        self._door = door
        self._departures = departures
        self._has_nats = has_nats
        self._boot = secrets.token_hex(8)
        self._started = time.monotonic()

    def read(self, epoch: int) -> Snapshot:
        """`epoch`: of the operator that was obeyed last."""
        gateway, refused = self._gateway, self._door.refused
        return Snapshot(
            boot=self._boot,
            epoch=epoch,
            uptime_s=round(time.monotonic() - self._started, 3),
            connections=len(gateway.clients),
            max_connections=gateway.config.max_connections,
            accepted=gateway.accepted,
            refused=sum(refused.values()),
            auth_failures=refused.get(UNAUTHORIZED, 0),
            disconnects=gateway.disconnects,
            reconnects_asked=gateway.reconnects_asked,
            outbound_bytes=gateway.outbound_bytes(),
            fell_behind=gateway.fell_behind,
            loop_lag_ms=round(gateway.ingress.worst_lag() * 1000, 3),
            pressure=int(gateway.ingress.level),
            nats=self._has_nats(),
            nats_lost=gateway.bus_losses,
            frames_in=gateway.frames_in,
            frames_out=gateway.frames_out,
            delivered=gateway.hub.delivered,
            cpu_seconds=round(_cpu_seconds(), 3),
            rss_bytes=_rss_bytes(),
            draining=self._departures.draining(),
        )


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system


def _rss_bytes() -> int:
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:  # no Linux: the most it ever was
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
