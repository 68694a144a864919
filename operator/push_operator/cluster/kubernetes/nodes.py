"""The machines that pods are on. Which of them are cordoned is good to know when pods are chosen to go, and no more:
the operator does without where it may not ask."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.kinds import NODES
from push_operator.cluster.kubernetes.units import Node, Nodes
from push_operator.errors import ClusterError, Forbidden
from push_operator.render.objects import Object

BUSY_SECONDS: Final = 30.0  # a LIST of a thousand machines is megabytes
_ZONE: Final = "topology.kubernetes.io/zone"
_log = logging.getLogger(__name__)


class KnownNodes:
    """They are not watched: each has its kubelet's word written into it every few seconds. `allowed` False: the role is
    one of namespaces, and machines are in none."""

    def __init__(self, api: Api, resync_seconds: float, *, allowed: bool) -> None:
        self._api, self._resync_seconds = api, resync_seconds
        self._allowed = allowed
        self._listed_at = -math.inf
        self._nodes: Nodes = {}

    async def known(self, *, busy: bool) -> Nodes:
        """By name, at most 30 s old when pods are on the move (`busy`). Empty when they are not known. Never raises."""
        now = asyncio.get_running_loop().time()
        if self._allowed and now - self._listed_at > (BUSY_SECONDS if busy else self._resync_seconds):
            self._listed_at = now  # also when it fails: the next try can wait
            await self._list()
        return self._nodes

    async def _list(self) -> None:
        try:
            found = await self._api.list_all(NODES, None)
        except Forbidden as error:
            self._allowed, self._nodes = False, {}
            _log.info("zones and cordoned nodes are not considered: %s", error)
        except ClusterError as error:
            _log.warning("what was known of the nodes is kept: %s", error)
        else:
            self._nodes = {one["metadata"]["name"]: _node(one) for one in found}


def _node(live: Object) -> Node:
    cordoned = bool(live.get("spec", {}).get("unschedulable"))
    return Node(cordoned, (live["metadata"].get("labels") or {}).get(_ZONE, ""))
