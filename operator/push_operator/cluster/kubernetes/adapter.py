"""The Cluster port on Kubernetes: server-side apply, prune, status. It reads snapshots and writes differences."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.applying import Applying
from push_operator.cluster.kubernetes.events import event_object
from push_operator.cluster.kubernetes.feed import Feed
from push_operator.cluster.kubernetes.hosts import names_from
from push_operator.cluster.kubernetes.kinds import (
    CHILDREN,
    DEPLOYMENTS,
    EVENTS,
    EXPOSING,
    PODS,
    PUSH_CLUSTERS,
    SERVICES,
    Kind,
)
from push_operator.cluster.kubernetes.marks import mark_of
from push_operator.cluster.kubernetes.nodes import KnownNodes
from push_operator.cluster.kubernetes.owned import is_going
from push_operator.cluster.kubernetes.secrets import admin_token, ensure_generated, read_given, revision_key
from push_operator.cluster.kubernetes.sets import sets_of
from push_operator.cluster.kubernetes.steering import Steering
from push_operator.cluster.kubernetes.templates import settled
from push_operator.cluster.kubernetes.units import failures_of, leaving_of, units_of
from push_operator.cluster.reach import lost
from push_operator.fleet.values import GatewaySet, Mark
from push_operator.plan.events import Event
from push_operator.plan.names import REVISION_KEY
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.reach import FIX, Target, told
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan
from push_operator.render.build import render
from push_operator.render.expose import url_of
from push_operator.render.objects import Images, Object, Owner, serving_pods, text_of
from push_operator.render.services import bus_of, endpoints_of

FIX_HERE = f"{FIX}; where only workloads can reach it, set the operator's CHECK_REACHABILITY to false"


class KubernetesCluster:
    """What is there comes from its `feed`, which whoever makes it keeps fresh.

    `namespaces` empty: all of them. `resync_seconds`: how often everything is listed anew whatever the watches say.
    """

    def __init__(
        self, api: Api, images: Images, namespaces: tuple[str, ...], resync_seconds: float, *,
        check_reachability: bool = True,
    ) -> None:  # fmt: skip
        self._api, self._images = api, images
        self._check_reachability = check_reachability
        self.feed = Feed(api, namespaces, resync_seconds)
        self._snapshot = self.feed.snapshot
        self._nodes = KnownNodes(api, resync_seconds, allowed=not namespaces)
        self._applying, self._steering = Applying(api, self._snapshot), Steering(api, self._snapshot)
        self._bodies: dict[str, Object] = {}
        self._outdated: dict[str, tuple[str, ...]] = {}  # as the last apply found it
        self._drawn: dict[str, dict[str, str]] = {}  # values that digests were keyed with and that may not be kept yet

    async def observe(self, key: str) -> Observed:
        """The PushCluster itself is read live: its deletion must not be seen late."""
        namespace, _, name = key.partition("/")
        body = await self._api.get(PUSH_CLUSTERS, namespace, name)
        if body is None or is_going(body):
            self._bodies.pop(key, None)
            self._drawn.pop(key, None)
            self._outdated.pop(key, None)
            return Observed(body=None)
        self._bodies[key] = body
        return await self._observed(key, body)

    async def _observed(self, key: str, body: Object) -> Observed:
        owner, pods, services = _owner(body), self._known(key, PODS), self._known(key, SERVICES)
        sets = sets_of(owner, self._known(key, DEPLOYMENTS))
        nodes = await self._nodes.known(busy=len(sets) > 1 or any(map(mark_of, pods)))
        return Observed(
            body=body,
            units=units_of(pods, nodes),
            endpoints=endpoints_of(services),
            selector=text_of(serving_pods(owner, "gateway")),
            url=url_of(self._known(key, *EXPOSING)),
            failures=failures_of(self._known(key, DEPLOYMENTS)),
            leaving=leaving_of(pods, nodes),
            sets=sets,
            outdated=self._outdated.get(key, ()),
            bus=_monitoring_url(body) or bus_of(services),
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
        made = settled(owner, render(owner, plan, self._images), self._known(key, *CHILDREN))
        pairs = await self._applying.read(key, owner, made.objects)
        for secret in plan.secrets:
            await ensure_generated(self._api, owner, secret, self._drawn.pop(key, {}))
        await self._applying.write(key, owner, pairs)
        await self._applying.prune(key, owner, made.objects)
        self._outdated[key] = made.outdated

    async def admin_token(self, key: str) -> str:
        body = self._bodies.get(key)
        return "" if body is None else await admin_token(self._api, _owner(body))

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        await self._steering.mark(key, unit, mark)

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        await self._steering.resize(key, one, size, gone)

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        body = self._bodies.get(key)
        if body is None:
            return
        meta = {name: body["metadata"][name] for name in ("namespace", "name", "uid")}
        written = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": meta, "status": status}
        await self._api.apply(PUSH_CLUSTERS, written, subresource="status")
        for event in events:
            await self._api.create(EVENTS, event_object(body, event, datetime.now(UTC)))

    def changes(self) -> AsyncIterator[str]:
        return self.feed.changes()

    def _known(self, key: str, *kinds: Kind) -> list[Object]:
        return [one for _, one in self._snapshot.of(key, kinds)]


def _owner(body: dict[str, Any]) -> Owner:
    meta = body["metadata"]
    return Owner(meta["namespace"], meta["name"], meta["uid"])


def _monitoring_url(body: dict[str, Any]) -> str:
    """Of a NATS that was there already, where the manifest says it."""
    return str(((body.get("spec") or {}).get("nats") or {}).get("monitoringUrl") or "")
