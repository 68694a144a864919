"""The Cluster port on Kubernetes: server-side apply, prune, status. It reads snapshots and writes differences."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.compare import holds, stamped
from push_operator.cluster.kubernetes.events import event_object
from push_operator.cluster.kubernetes.freeze import frozen
from push_operator.cluster.kubernetes.hosts import names_from
from push_operator.cluster.kubernetes.kinds import (
    CHILDREN,
    DEPLOYMENTS,
    EVENTS,
    EXPOSING,
    LISTED,
    OPTIONAL,
    PODS,
    PUSH_CLUSTERS,
    SERVICES,
    Kind,
    kind_of,
)
from push_operator.cluster.kubernetes.prune import is_going, obsolete
from push_operator.cluster.kubernetes.secrets import ensure_generated, is_ours, read_given, revision_key
from push_operator.cluster.kubernetes.snapshot import Snapshot, owner_key
from push_operator.cluster.kubernetes.units import failures_of, units_of
from push_operator.cluster.reach import lost
from push_operator.errors import ClusterError, NotFound, Rejected
from push_operator.model import object_key
from push_operator.plan.events import Event
from push_operator.plan.names import REVISION_KEY
from push_operator.plan.observed import Observed
from push_operator.plan.reach import FIX, Target, told
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan
from push_operator.render.build import render
from push_operator.render.expose import url_of
from push_operator.render.objects import MANAGED_BY, OPERATOR, Images, Object, Owner, serving_pods, text_of
from push_operator.render.services import endpoints_of

SETTLE_SECONDS = 0.3  # a watch that begins anew tells of every object: one LIST for all of that
RETRY_SECONDS = 2.0
FIX_HERE = f"{FIX}; where only workloads can reach it, set the operator's CHECK_REACHABILITY to false"
OURS = f"{MANAGED_BY}={OPERATOR}"
_log = logging.getLogger(__name__)


class KubernetesCluster:
    """Watches feed it through `see` and `relist`; `listed_at` is the loop's time of the last whole LIST, tried or done.

    `namespaces` empty: all of them. `resync_seconds`: how often everything is listed anew whatever the watches say.
    """

    def __init__(
        self, api: Api, images: Images, namespaces: tuple[str, ...], resync_seconds: float, *,
        check_reachability: bool = True,
    ) -> None:  # fmt: skip
        self._api, self._images = api, images
        self._places: tuple[str | None, ...] = namespaces or (None,)
        self._resync_seconds = resync_seconds
        self._check_reachability = check_reachability
        self._snapshot = Snapshot()
        self._bodies: dict[str, Object] = {}
        self._drawn: dict[str, dict[str, str]] = {}  # values that digests were keyed with and that may not be kept yet
        self._touched: dict[str, None] = {}
        self._some = asyncio.Event()
        self._stale: set[Kind] = set()
        self._stale_some = asyncio.Event()
        self._wants_keys = False
        self.listed_at = asyncio.get_running_loop().time()

    # The port --------------------------------------------------------------------------------------------------------

    async def observe(self, key: str) -> Observed:
        """The PushCluster itself is read live: its deletion must not be seen late."""
        namespace, _, name = key.partition("/")
        body = await self._api.get(PUSH_CLUSTERS, namespace, name)
        if body is None or is_going(body):
            self._bodies.pop(key, None)
            self._drawn.pop(key, None)
            return Observed(body=None)
        self._bodies[key] = body
        owner = _owner(body)
        return Observed(
            body=body,
            units=units_of(pod for _, pod in self._snapshot.of(key, (PODS,))),
            endpoints=endpoints_of(one for _, one in self._snapshot.of(key, (SERVICES,))),
            selector=text_of(serving_pods(owner, "gateway")),
            url=url_of(one for _, one in self._snapshot.of(key, EXPOSING)),
            failures=failures_of(one for _, one in self._snapshot.of(key, (DEPLOYMENTS,))),
        )

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        """They are read by name, never listed or watched: the resync finds what has changed, if no event is sooner."""
        body = self._bodies.get(key)
        if body is None or not plan.given_keys():
            return {}
        own = await revision_key(self._api, _owner(body), plan)
        self._drawn[key] = {REVISION_KEY: own}
        return await read_given(self._api, _owner(body), plan, own)

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        if not self._check_reachability:
            return ""
        namespace = key.partition("/")[0]
        return told(await lost(targets, partial(names_from, namespace)), FIX_HERE)

    async def apply(self, key: str, plan: Plan) -> None:
        """Does nothing for an object that is gone or going: the garbage collector does, by the owner references."""
        body = self._bodies.get(key)
        if body is None:
            return
        owner = _owner(body)
        wanted = render(owner, plan, self._images)
        await self._reread_unwatched(key, owner)
        # Everything that can be refused is refused before the first write.
        pairs = [(one, await self._live(owner, one)) for one in wanted]
        for secret in plan.secrets:
            await ensure_generated(self._api, owner, secret, self._drawn.pop(key, {}))
        for one, live in pairs:
            await self._write(stamped(frozen(one, live)), live)
        for kind, live in obsolete(owner, list(self._snapshot.of(key, CHILDREN)), wanted):
            _log.info("removing %s %s", kind.kind, live["metadata"]["name"], extra={"key": key})
            await self._api.delete(kind, live)
            if kind in OPTIONAL:
                self._snapshot.see(kind, live, gone=True)  # no event will tell

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        body = self._bodies.get(key)
        if body is None:
            return
        meta = {name: body["metadata"][name] for name in ("namespace", "name", "uid")}
        written = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": meta, "status": status}
        await self._api.apply(PUSH_CLUSTERS, written, subresource="status")
        for event in events:
            await self._api.create(EVENTS, event_object(body, event, datetime.now(UTC)))

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
        self._snapshot.see(kind, live, gone=gone)
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
            self._snapshot.begin(kind)
            for key in self._snapshot.replace(kind, await self._list(kind)):
                self.touch(key)

    # Inside ----------------------------------------------------------------------------------------------------------

    async def _list(self, kind: Kind) -> list[Object]:
        try:
            return [one for place in self._places for one in await self._api.list_all(kind, place, OURS)]
        except NotFound:
            if kind in OPTIONAL:
                return []  # the kind itself is not there
            raise

    async def _reread_unwatched(self, key: str, owner: Owner) -> None:
        """What is known of a kind that is not watched may be old: too old to compare, or to remove, by."""
        for kind, known in list(self._snapshot.of(key, OPTIONAL)):
            live = await self._api.get(kind, owner.namespace, known["metadata"]["name"])
            self._snapshot.see(kind, live or known, gone=live is None)

    async def _live(self, owner: Owner, wanted: Object) -> Object | None:
        """What is there under that name. Raises Rejected when it is somebody else's, which is never taken over."""
        kind, place = kind_of(wanted), (owner.namespace, wanted["metadata"]["name"])
        live = self._snapshot.get(kind, place)
        if live is None:
            live = await self._api.get(kind, *place)  # not known is not the same as not there
            if live is not None and is_ours(owner, live):  # of others' objects no watch would tell that they are gone
                self._snapshot.see(kind, live)
            elif live is None and kind in OPTIONAL and not await self._api.served(kind):
                raise Rejected(f"this cluster has no {kind.kind} ({kind.api_version}): {OPTIONAL[kind]}")
        if live is not None and not is_ours(owner, live):
            raise Rejected(f"{kind.kind} {place[1]} is not this PushCluster's: remove it or rename the PushCluster")
        return live

    async def _write(self, wanted: Object, live: Object | None) -> None:
        if live is None or not (is_going(live) or holds(live, wanted)):
            kind = kind_of(wanted)
            self._snapshot.see(kind, await self._api.apply(kind, wanted))

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


def _owner(body: dict[str, Any]) -> Owner:
    meta = body["metadata"]
    return Owner(meta["namespace"], meta["name"], meta["uid"])
