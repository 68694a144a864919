"""Marks and sizes: what is done to gateways one by one. Whatever is irreversible is read live first."""

from __future__ import annotations

from functools import partial
from typing import Final

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import DEPLOYMENTS, PODS
from push_operator.cluster.kubernetes.marks import mark_patch
from push_operator.cluster.kubernetes.retry import tried_again
from push_operator.cluster.kubernetes.sets import is_set, revision_of, version_of
from push_operator.cluster.kubernetes.snapshot import Snapshot
from push_operator.cluster.kubernetes.victims import may_go
from push_operator.errors import Conflict, Rejected
from push_operator.fleet.values import GatewaySet, Mark
from push_operator.plan.observed import Unit
from push_operator.render.objects import Object, text_of

_UID: Final = "metadata.uid"


class Steering:
    """Its writes are in the snapshot when they return."""

    def __init__(self, api: Api, snapshot: Snapshot) -> None:
        self._api, self._snapshot = api, snapshot

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        """Raises NotFound, or Conflict when the pod of that name is another one by now."""
        patch = mark_patch(key.partition("/")[0], unit.name, unit.uid, mark)
        try:
            live = await self._api.merge(PODS, patch)
        except Rejected as error:
            # That is how the API server says that the uid is not the one of the patch.
            if _UID not in str(error):
                raise
            raise Conflict(f"{unit.name} is another pod by now") from error
        self._snapshot.see(PODS, live)

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        """Raises Conflict when the set is another than was observed, or would lose another pod than it may."""
        await tried_again(partial(self._resize, key, one, size, gone))

    async def _resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        live = await self._live(key, one)
        if size < live["spec"]["replicas"]:
            await self._spare(live, size, gone)
        if size != live["spec"]["replicas"]:
            meta = {name: live["metadata"][name] for name in ("namespace", "name", "resourceVersion")}
            written = await self._api.merge(DEPLOYMENTS, {"metadata": meta, "spec": {"replicas": size}})
            self._snapshot.see(DEPLOYMENTS, written)

    async def _live(self, key: str, one: GatewaySet) -> Object:
        """The set's Deployment, read now. Raises Conflict when it is not as it was observed."""
        known = (live for _, live in self._snapshot.of(key, (DEPLOYMENTS,)) if is_set(live))
        meta = next((live["metadata"] for live in known if revision_of(live) == one.revision), None)
        live = await self._api.get(DEPLOYMENTS, meta["namespace"], meta["name"]) if meta is not None else None
        if live is None:
            raise Conflict(f"the gateways of {one.revision} are gone")
        self._snapshot.see(DEPLOYMENTS, live)
        if version_of(live) != one.version:
            raise Conflict(f"the gateways of {one.revision} have changed")
        return live

    async def _spare(self, live: Object, size: int, gone: frozenset[str]) -> None:
        """Raises Conflict when a pod might go that is not to."""
        meta = live["metadata"]
        pods = await self._api.list_all(PODS, meta["namespace"], text_of(live["spec"]["selector"]["matchLabels"]))
        others = may_go(pods, size) - gone
        if others:
            raise Conflict(f"{meta['name']} with {size} might lose {min(others)}")
