"""Finds out which groups the users who connect are in: some at a time, until it is answered. Those who wait cost next
to nothing, also when the message service is away for long."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol

from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import Membership
from push_workloads.common.subjects import group
from push_workloads.gateway.actions import Who
from push_workloads.gateway.cursors import CursorWriter
from push_workloads.gateway.frames import Place
from push_workloads.gateway.rights import Rights

AT_ONCE: Final = 64
PAUSE_FIRST, PAUSE_LAST = 0.2, 5.0
_log = logging.getLogger(__name__)


class Asker(Protocol):
    """Who waits."""

    who: Who

    @property
    def closing(self) -> bool: ...

    def grouped(self, memberships: list[Membership], places: Mapping[str, Place]) -> None:
        """The answer: the groups, and where this device stopped in them."""


class Groups:
    """Asks for all clients of this process."""

    def __init__(self, rights: Rights, cursors: CursorWriter) -> None:
        self._rights = rights
        self._cursors = cursors
        self._waiting: deque[Asker] = deque()
        self._wake = asyncio.Event()

    def ask(self, asker: Asker) -> None:
        self._waiting.append(asker)
        self._wake.set()

    async def run(self) -> None:
        pause = 0.0
        while True:
            await self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            failed = await self._answer(batch)
            if failed and not pause:
                _log.warning("clients wait for their groups: the message service does not answer")
            pause = min(max(pause * 2, PAUSE_FIRST), PAUSE_LAST) if failed else 0.0
            self._waiting.extendleft(reversed(failed))
            if not self._waiting:
                self._wake.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries

    async def _answer(self, batch: list[Asker]) -> list[Asker]:
        """Those who were not answered."""
        here = [asker for asker in batch if not asker.closing]
        told = await asyncio.gather(*(self._one(asker) for asker in here))
        return [asker for asker, answered in zip(here, told, strict=True) if not answered]

    async def _one(self, asker: Asker) -> bool:
        try:
            memberships = await self._rights.memberships(asker.who.user_id)
            names = [group(one.group_id) for one in memberships]
            places = await self._cursors.read(asker.who, names) if asker.who.resumes else {}
        except Unavailable:
            return False
        try:
            asker.grouped(memberships, places)
        except Exception:  # noqa: BLE001 - one client's fault must not end the process
            _log.exception("the groups of a client could not be read")
        return True
