"""The leader's Lease, as an object of the API server."""

from __future__ import annotations

from datetime import UTC, datetime

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import LEASES
from push_operator.errors import Conflict
from push_operator.leader import LEASE_SECONDS, Held
from push_operator.render.objects import Object


class KubernetesLease:
    """The `Lease` port of the election. `api` is one without the fence that this very lease is."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._live: Object | None = None

    async def read(self) -> Held | None:
        self._live = await self._api.get(LEASES, self._namespace, self._name)
        if self._live is None:
            return None
        spec = self._live.get("spec") or {}
        return Held(spec.get("holderIdentity") or "", int(spec.get("leaseTransitions") or 0),
                    self._live["metadata"]["resourceVersion"])  # fmt: skip

    async def write(self, holder: str, transitions: int) -> bool:
        meta: Object = {"namespace": self._namespace, "name": self._name}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": holder, "leaseTransitions": transitions, "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": now}  # fmt: skip
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}
        try:
            if self._live is None:
                self._live = await self._api.create(LEASES, body)
            else:
                meta["resourceVersion"] = self._live["metadata"]["resourceVersion"]
                self._live = await self._api.replace(LEASES, body)
        except Conflict:
            return False
        return True
