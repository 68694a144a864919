"""Everything that the clients of this process share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final, Protocol, cast

from push_workloads.common.revocations import Revocation, Unrevoked
from push_workloads.common.subjects import inbox_subject
from push_workloads.common.tasks import Spawner
from push_workloads.gateway import codes
from push_workloads.gateway.actions import Who
from push_workloads.gateway.catchup import CatchUp
from push_workloads.gateway.config import GatewayConfig
from push_workloads.gateway.cursors import CursorWriter
from push_workloads.gateway.devices import Devices, Notice
from push_workloads.gateway.groups import Groups
from push_workloads.gateway.hub import Hub, Member
from push_workloads.gateway.ingress import Ingress
from push_workloads.gateway.log import Log
from push_workloads.gateway.measures import Measures
from push_workloads.gateway.presence import Open, PresenceWriter
from push_workloads.gateway.receipts import ReceiptWriter
from push_workloads.gateway.rights import Rights
from push_workloads.gateway.traces import Traces
from push_workloads.gateway.watching import Watcher, Watching

CLOSE_WAIT_SECONDS: Final = 2.0
TICK_SECONDS: Final = 1.0
TICK_SLICE: Final = 500


class Client(Member, Watcher, Protocol):
    """A connected client, whatever it is connected by."""

    number: int

    @property
    def closing(self) -> bool:
        """It is going already."""
        ...

    def backlog(self) -> int:
        """What waits because the client reads slowly."""
        ...

    def compare(self, number: int) -> None:
        """A connection of this device has that number."""
        ...

    def open(self) -> Open:
        """What the presence service is told of it."""
        ...

    def give_way(self) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def tick(self, now: float) -> None: ...

    def bus_lost(self) -> None: ...

    def topics_changed(self) -> None: ...

    def check_login(self) -> None:
        """Closes it if its token is revoked."""
        ...

    def abort(self) -> None: ...


class Gateway:
    """Once in a process."""

    def __init__(
        self,
        config: GatewayConfig,
        hub: Hub,
        log: Log,
        presence: PresenceWriter,
        cursors: CursorWriter,
        devices: Devices,
        rights: Rights,
        receipts: ReceiptWriter,
        spawner: Spawner,
        unrevoked: Unrevoked,
        watching: Watching,
        traces: Traces | None = None,
    ) -> None:
        self.config = config
        self.hub = hub
        self.log = log
        self.presence = presence
        self.cursors = cursors
        self.devices = devices
        self.rights = rights
        self.groups = Groups(rights, cursors)
        self.receipts = receipts
        self.catchup = CatchUp(hub, log)
        self.ingress = Ingress(config.max_lag_ms / 1000, config.max_in_flight, lambda: log.unanswered)
        self.spawner = spawner
        self.unrevoked = unrevoked
        self.watching = watching
        self.traces = traces  # None: nothing is traced
        self.measures = Measures(hub.deliveries)
        self.clients: set[Client] = set()
        self.slow: set[Client] = set()  # those who read more slowly than they are sent
        self.draining = False
        self.frames_in = self.frames_out = self.fell_behind = self.displaced = self.accepted = 0
        self.disconnects = self.reconnects_asked = self.bus_losses = 0
        self.shed: dict[str, int] = {}  # what is not stored and was not sent to a slow client, by type
        self.joins = asyncio.Semaphore(64)
        self.left = asyncio.Event()  # some client went

    def sessions(self) -> Iterable[Open]:
        return [one.open() for one in self.clients]

    def sockets_of(self, user_id: str) -> list[Client]:
        """Those of a user that are here."""
        return [cast(Client, member) for member in self.hub.members(inbox_subject(user_id))]

    def end(self, user_id: str, session_id: str) -> None:
        """Closes a session; its device's cursors stay."""
        for one in self.sockets_of(user_id):
            if one.who.session_id == session_id:
                one.close(codes.ENDED, "ended by the user")

    def revoked(self, one: Revocation) -> None:
        """Closes the sockets of those whose token is not good any more."""
        for client in self.sockets_of(one.user_id):
            client.check_login()

    def connections(self) -> Iterable[tuple[Who, int]]:
        return [(one.who, one.number) for one in self.clients]

    def displace(self, notice: Notice) -> None:
        """Closes the older connections of a device."""
        for member in self.others(notice.user_id, notice.device_id):
            member.compare(notice.number)

    def others(self, user_id: str, device_id: str) -> list[Client]:
        """The connections of a device that are here."""
        return [one for one in self.sockets_of(user_id) if one.who.device_id == device_id]

    async def tick(self) -> None:
        """Once a second, every session in slices, so that no slice holds the loop long."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.log.sweep()
            if self.traces is not None:
                self.traces.sweep(time.monotonic())
            waiting = list(self.clients)
            for start in range(0, len(waiting), TICK_SLICE):
                now = time.monotonic()
                for one in waiting[start : start + TICK_SLICE]:
                    one.tick(now)
                await asyncio.sleep(0)

    def topics_changed(self) -> None:
        self.spawner.spawn(self._recheck_topics())

    async def _recheck_topics(self) -> None:
        """Who reads a topic that is not theirs any more hears so; in slices, as a tick is."""
        clients = list(self.clients)
        for start in range(0, len(clients), TICK_SLICE):
            for one in clients[start : start + TICK_SLICE]:
                one.topics_changed()
            await asyncio.sleep(0)

    def outbound_bytes(self) -> int:
        """What waits for slow clients now."""
        return sum(one.backlog() for one in self.slow)

    def bus_lost(self) -> None:
        self.bus_losses += 1
        self.rights.lost()
        if self.traces is not None:
            self.traces.bus_lost()
        for one in tuple(self.clients):
            one.bus_lost()

    async def emptied(self) -> None:
        """Until no client is left."""
        while self.clients:
            self.left.clear()
            await self.left.wait()
