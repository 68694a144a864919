"""What keeps the snapshot true: LISTs now and then, watches in between; and who is told that something changed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Final

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import LISTED, OPTIONAL, PUSH_CLUSTERS, Kind
from push_operator.cluster.kubernetes.snapshot import Snapshot, owner_key
from push_operator.errors import ClusterError, NotFound
from push_operator.model import object_key
from push_operator.render.objects import MANAGED_BY, OPERATOR, Object

SETTLE_SECONDS: Final = 0.3  # a watch that begins anew tells of every object: one LIST for all of that
RETRY_SECONDS: Final = 2.0
OURS: Final = f"{MANAGED_BY}={OPERATOR}"
_log = logging.getLogger(__name__)


class Feed:
    """Watches feed it through `see` and `stale`; `listed_at` is the loop's time of the last whole LIST, tried or done.

    `namespaces` empty: all of them. `resync_seconds`: how often everything is listed anew whatever the watches say.
    """

    def __init__(self, api: Api, namespaces: tuple[str, ...], resync_seconds: float) -> None:
        self._api = api
        self._places: tuple[str | None, ...] = namespaces or (None,)
        self._resync_seconds = resync_seconds
        self.snapshot = Snapshot()
        self._touched: dict[str, None] = {}
        self._some = asyncio.Event()
        self._stale: set[Kind] = set()
        self._stale_some = asyncio.Event()
        self._wants_keys = False
        self.listed_at = asyncio.get_running_loop().time()

    async def changes(self) -> AsyncIterator[str]:
        """Begins with everything there is, by fresh LISTs; then whatever a watch or a resync finds."""
        await self._begin()
        while True:
            await self._some.wait()
            self._some.clear()
            touched, self._touched = self._touched, {}
            for key in touched:
                yield key

    async def keep_fresh(self) -> None:
        """Runs beside the loop: lists kinds anew whose watch began anew, and all of them every now and then."""
        clock = asyncio.get_running_loop().time
        due = clock() + self._pause()
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._stale_some.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                due = clock() + self._pause()
                self._stale.update(LISTED)
                self._wants_keys = True
            await self._relist_stale()

    # What the watches tell -------------------------------------------------------------------------------------------

    def touch(self, key: str) -> None:
        self._touched[key] = None
        self._some.set()

    def see(self, kind: Kind, live: Object, *, gone: bool) -> None:
        self.snapshot.see(kind, live, gone=gone)
        key = owner_key(live)
        if key is not None:
            self.touch(key)

    def stale(self, kind: Kind) -> None:
        """A watch of this kind has begun anew: what was deleted in between, it will never tell."""
        self._stale.add(kind)
        self._stale_some.set()

    async def relist(self, kinds: tuple[Kind, ...]) -> None:
        """Replaces what is known of these kinds by what is there. Raises ClusterError."""
        self.listed_at = asyncio.get_running_loop().time()
        for kind in kinds:
            self.snapshot.begin(kind)
            for key in self.snapshot.replace(kind, await self._list(kind)):
                self.touch(key)

    # Inside ----------------------------------------------------------------------------------------------------------

    async def _list(self, kind: Kind) -> list[Object]:
        try:
            return [one for place in self._places for one in await self._api.list_all(kind, place, OURS)]
        except NotFound:
            if kind in OPTIONAL:
                return []  # the kind itself is not there
            raise

    async def _begin(self) -> None:
        self._stale.update(LISTED)
        self._wants_keys = True
        while self._stale or self._wants_keys:
            await self._relist_stale()

    async def _relist_stale(self) -> None:
        """After a failure the kinds stay stale, and the next try comes after a pause."""
        kinds = tuple(self._stale)
        try:
            await self.relist(kinds)
            self._stale.difference_update(kinds)
            if self._wants_keys:
                await self._touch_all()
        except ClusterError as error:
            _log.warning("listing failed, it will be tried again: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        if not self._stale:
            self._stale_some.clear()

    async def _touch_all(self) -> None:
        for place in self._places:
            for one in await self._api.list_all(PUSH_CLUSTERS, place):
                self.touch(object_key(one))
        self._wants_keys = False

    def _pause(self) -> float:
        return self._resync_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
