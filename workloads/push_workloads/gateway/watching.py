"""Tells the sockets of this gateway about the users whom they watch.

Who may see whom is asked of the message service, for many pairs at once; the status is read from Redis once, and then
kept right by what is announced to all gateways. Nothing is told of a user before both are known. Either may have been
missed, or be out of date: after a lost connection, and about once a minute besides, what is watched is read again, and
rights are asked for anew in turn, 200 a second. A block or a setting is heeded as soon as the message service tells it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from push_workloads.common import announcements
from push_workloads.common.announcements import Announcement
from push_workloads.common.looking import FAILURES, Trouble
from push_workloads.common.presence_changes import read_presence
from push_workloads.common.questions import MAX_WATCHED
from push_workloads.common.tasks import Spawner, beside, wait
from push_workloads.gateway.actions import Who
from push_workloads.gateway.frames import presence_frame
from push_workloads.gateway.rights import Rights
from push_workloads.gateway.watched import Watched, WatchTable

PAGE: Final = MAX_WATCHED
GROWTH: Final = 10  # of a page with each answer, up to PAGE
PATROL_SECONDS: Final = 60.0
RIGHTS_PER_SECOND: Final = 200  # asked for anew, whatever is watched here
HURRY_SECONDS: Final = 0.05  # between two pages after a lost connection
SLICE: Final = 1000  # watchers of one user that are told without a turn for the others
_log = logging.getLogger(__name__)


class Watcher(Hashable, Protocol):
    """A socket that watches."""

    who: Who

    def presence(self, frame: bytes) -> bool:
        """Tells it; False when it reads too slowly to be told now."""


class Watching:
    """Of all sessions of this process. `sockets_of` gives those of a user that are here."""

    def __init__(
        self, cache: Any, rights: Rights, spawner: Spawner, sockets_of: Callable[[str], Iterable[Watcher]]
    ) -> None:
        self._cache = cache
        self._rights = rights
        self._spawner = spawner
        self._sockets_of = sockets_of
        self.table: WatchTable[Watcher] = WatchTable()
        # Pairs to be decided, the oldest first, and whether the watcher is to be told in any case. No more than there
        # are in the table, but for a page that nobody answered.
        self._open: dict[tuple[Watcher, str], bool] = {}
        self._some_open = asyncio.Event()
        self._page = PAGE  # pairs of the next question: fewer after one that was not answered, perhaps for its size
        self._missed: dict[Watcher, set[str]] = {}  # what was not told because the watcher is slow
        self._hurry = asyncio.Event()
        self._trouble = Trouble(_log, "who is watched cannot be told")

    @property
    def held(self) -> int:
        """Pairs that wait to be decided, and those that a slow watcher is still to be told of."""
        return len(self._open) + sum(map(len, self._missed.values()))

    def watch(self, watcher: Watcher, user_ids: Sequence[str]) -> list[str]:
        """They are told of as soon as it is known how it is with them; those for whom there is no room."""
        left_out = self.table.add(watcher, user_ids)
        self._ask((watcher, one) for one in user_ids if one not in left_out)
        return left_out

    def unwatch(self, watcher: Watcher, user_ids: Iterable[str]) -> None:
        gone = self.table.of(watcher).intersection(user_ids)
        self.table.remove(watcher, gone)
        for user_id in gone:
            self._open.pop((watcher, user_id), None)
        if (missed := self._missed.get(watcher)) is not None:
            missed.difference_update(gone)

    def left(self, watcher: Watcher) -> None:
        """The socket is gone."""
        self.unwatch(watcher, self.table.of(watcher))
        self._missed.pop(watcher, None)

    def reads_again(self, watcher: Watcher) -> None:
        """It was slow, and has read what it was sent."""
        for user_id in self._missed.pop(watcher, ()):
            if self.table.watches(watcher, user_id):
                self._tell(watcher, user_id)

    def announced(self, payload: bytes) -> None:
        """Something came over the bus. Never raises."""
        try:
            told = announcements.decode(payload)
        except msgspec.DecodeError as error:
            _log.warning("an announcement of presence cannot be read: %s", error)
            return
        watched = self.table.get(told.user_id)
        if watched is not None and watched.take(told):
            self._tell_all(watched)

    def rights_changed(self, user_id: str) -> None:
        """Who may see this user, or whom this user may see, is another question now."""
        watched = self.table.get(user_id)
        if watched is not None:
            self._ask_again((watcher, user_id) for watcher in (*watched.shown_to, *watched.hidden_from))
        for socket in self._sockets_of(user_id):
            self._ask_again((socket, other) for other in self.table.of(socket))

    def back(self) -> None:
        """The bus was away, and with it what was announced."""
        self._hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with beside(self._decide(), self._look_at_rights()):
            await self._look_at_users()

    # Deciding

    def _ask(self, pairs: Iterable[tuple[Watcher, str]]) -> None:
        self._open.update(dict.fromkeys(pairs, True))
        self._some_open.set()

    def _ask_again(self, pairs: Iterable[tuple[Watcher, str]]) -> None:
        for pair in pairs:
            self._open.setdefault(pair, False)
        self._some_open.set()

    async def _decide(self) -> None:
        while True:
            await self._some_open.wait()
            if not self._open:
                self._some_open.clear()
                continue
            page = self._next_page()
            if not page:
                continue
            try:
                await self._decide_page(page)
                self._trouble.is_over()
                self._page = min(PAGE, self._page + GROWTH)
            except FAILURES as error:
                self._trouble.is_there(error)
                self._page = max(1, self._page // 2)
                asked = {pair: True for pair, in_any_case in page.items() if in_any_case}
                self._open = page | self._open | asked  # these first, and what was asked meanwhile counts
                await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries

    def _next_page(self) -> dict[tuple[Watcher, str], bool]:
        # The first pairs at one go: to look for the first one again after each walks over all that were removed before.
        oldest = list(islice(self._open, self._page))
        taken = {pair: self._open.pop(pair) for pair in oldest}
        return {pair: in_any_case for pair, in_any_case in taken.items() if self.table.watches(*pair)}

    async def _decide_page(self, page: dict[tuple[Watcher, str], bool]) -> None:
        allowed = await self._rights.may_watch([(watcher.who.user_id, user_id) for watcher, user_id in page])
        seen = {user_id for (_, user_id), may in zip(page, allowed, strict=True) if may}
        await self._read([one for one in seen if (it := self.table.get(one)) is not None and not it.known])
        for ((watcher, user_id), in_any_case), may in zip(page.items(), allowed, strict=True):
            is_new = self.table.show(watcher, user_id) if may else self.table.hide(watcher, user_id)
            if (is_new or in_any_case) and self.table.watches(watcher, user_id):
                self._tell(watcher, user_id)

    # Telling

    def _tell(self, watcher: Watcher, user_id: str) -> None:
        """Whom it may not see is offline, and was never seen: as a user is of whom nothing is known."""
        watched = self.table.get(user_id)
        if watched is None:
            return
        if watcher in watched.shown_to:
            frame = presence_frame(user_id, watched.status, watched.last_seen)
        else:
            frame = presence_frame(user_id, "offline", None)
        self._send(watcher, user_id, frame)

    def _send(self, watcher: Watcher, user_id: str, frame: bytes) -> None:
        if not watcher.presence(frame):
            self._missed.setdefault(watcher, set()).add(user_id)

    def _tell_all(self, watched: Watched[Watcher]) -> None:
        if len(watched.shown_to) > SLICE:
            self._spawner.spawn(self._tell_in_slices(watched))
            return
        frame = presence_frame(watched.user_id, watched.status, watched.last_seen)
        for watcher in watched.shown_to:
            self._send(watcher, watched.user_id, frame)

    async def _tell_in_slices(self, watched: Watched[Watcher]) -> None:
        """Each is told what is so by then: what is announced meanwhile is overtaken by nothing older."""
        everyone = list(watched.shown_to)
        for start in range(0, len(everyone), SLICE):
            frame = presence_frame(watched.user_id, watched.status, watched.last_seen)
            for watcher in everyone[start : start + SLICE]:
                if watcher in watched.shown_to:
                    self._send(watcher, watched.user_id, frame)
            await asyncio.sleep(0)

    # Looking again

    async def _read(self, user_ids: Sequence[str]) -> None:
        """Raises what the Redis client raises."""
        known = [(one, it.revision) for one in user_ids if (it := self.table.get(one)) is not None]
        found = await read_presence(self._cache, [user_id for user_id, _ in known])
        for (user_id, revision), told in zip(known, found, strict=True):
            self._was_read(user_id, revision, told)

    def _was_read(self, user_id: str, revision: int, told: Announcement) -> None:
        watched = self.table.get(user_id)
        if watched is not None and watched.read(told, revision, asyncio.get_running_loop().time()):
            self._tell_all(watched)

    async def _look_at_users(self) -> None:
        trouble = Trouble(_log, "the status of who is watched cannot be read")
        while True:
            users, in_hurry = self.table.users, self._hurry.is_set()
            self._hurry.clear()
            pages = [users[start : start + PAGE] for start in range(0, len(users), PAGE)]
            pause = HURRY_SECONDS if in_hurry else PATROL_SECONDS / (len(pages) + 1)
            for page in pages:
                try:
                    await self._read(page)
                    trouble.is_over()
                except FAILURES as error:
                    trouble.is_there(error)
                await wait(self._hurry, pause)
                if self._hurry.is_set():
                    break
            else:
                await wait(self._hurry, PATROL_SECONDS / (len(pages) + 1))

    async def _look_at_rights(self) -> None:
        while True:
            begun = asyncio.get_running_loop().time()
            for watcher in self.table.watchers:
                if users := self.table.of(watcher):
                    self._ask_again((watcher, user_id) for user_id in users)
                    await asyncio.sleep(len(users) / RIGHTS_PER_SECOND)
            took = asyncio.get_running_loop().time() - begun
            await asyncio.sleep(max(1.0, PATROL_SECONDS - took))
