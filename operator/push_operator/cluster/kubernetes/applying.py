"""The plan's objects, made so: server-side apply of what differs, then what is no longer wanted goes."""

from __future__ import annotations

import logging
from functools import partial

from push_operator.cluster.kubernetes.api import Api
from push_operator.cluster.kubernetes.compare import holds, stamped
from push_operator.cluster.kubernetes.freeze import KEPT, frozen
from push_operator.cluster.kubernetes.kinds import CHILDREN, DEPLOYMENTS, OPTIONAL, PODS, kind_of
from push_operator.cluster.kubernetes.owned import is_going, is_ours
from push_operator.cluster.kubernetes.prune import obsolete
from push_operator.cluster.kubernetes.retry import tried_again
from push_operator.cluster.kubernetes.sets import is_empty, is_set, owned_sets
from push_operator.cluster.kubernetes.snapshot import Snapshot
from push_operator.errors import Rejected
from push_operator.render.objects import Object, Owner, text_of

_log = logging.getLogger(__name__)
Wanted = tuple[Object, ...]
Pairs = list[tuple[Object, Object | None]]  # what is wanted, what is there


class Applying:
    """It reads the snapshot, and what must not be old from the API server; its writes are in the snapshot when they
    return."""

    def __init__(self, api: Api, snapshot: Snapshot) -> None:
        self._api, self._snapshot = api, snapshot

    async def read(self, key: str, owner: Owner, wanted: Wanted) -> Pairs:
        """Everything that can be refused is refused here, before the first write: raises Rejected."""
        await self._reread_unwatched(key, owner)
        return [(one, await self._live(owner, one)) for one in wanted]

    async def write(self, key: str, owner: Owner, pairs: Pairs) -> None:
        sets = {one["metadata"]["name"] for one in owned_sets(owner, self._deployments(key))}
        for wanted, live in pairs:
            alone = sets <= {wanted["metadata"]["name"]}
            if is_set(wanted):
                await self._write_set(wanted, live, alone)
            else:
                await self._write(stamped(frozen(wanted, live)), live)

    async def prune(self, key: str, owner: Owner, wanted: Wanted) -> None:
        pods = [pod for _, pod in self._snapshot.of(key, (PODS,))]
        for kind, live in obsolete(owner, list(self._snapshot.of(key, CHILDREN)), pods, wanted):
            if is_set(live) and any(map(is_set, wanted)) and not await self._is_empty(live):
                continue
            _log.info("removing %s %s", kind.kind, live["metadata"]["name"], extra={"key": key})
            await self._api.delete(kind, live)
            if kind in OPTIONAL:
                self._snapshot.see(kind, live, gone=True)  # no event will tell

    # ------------------------------------------------------------------------------------------------------------------

    def _deployments(self, key: str) -> list[Object]:
        return [one for _, one in self._snapshot.of(key, (DEPLOYMENTS,))]

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

    async def _write_set(self, wanted: Object, live: Object | None, alone: bool) -> None:
        """An old answer must not bring an old size back: what differs is read again, and must still be so when it is
        written. Raises Conflict when it is not, time and again."""
        if live is None or not holds(live, stamped(frozen(wanted, live), KEPT)):
            await tried_again(partial(self._write_set_as_read, wanted, alone))

    async def _write_set_as_read(self, wanted: Object, alone: bool) -> None:
        meta = wanted["metadata"]
        live = await self._api.get(DEPLOYMENTS, meta["namespace"], meta["name"])
        if live is not None:
            self._snapshot.see(DEPLOYMENTS, live)
        made = stamped(frozen(wanted, live, alone=alone), KEPT)
        await self._write(_as_read(made, live), live)

    async def _write(self, wanted: Object, live: Object | None) -> None:
        if live is None or not (is_going(live) or holds(live, wanted)):
            kind = kind_of(wanted)
            self._snapshot.see(kind, await self._api.apply(kind, wanted))

    async def _is_empty(self, live: Object) -> bool:
        """Read now: a pod that the snapshot does not know would lose its clients. The Deployment itself is deleted only
        as it was seen."""
        own = text_of(live["spec"]["selector"]["matchLabels"])
        return is_empty(live, await self._api.list_all(PODS, live["metadata"]["namespace"], own))


def _as_read(made: Object, live: Object | None) -> Object:
    """With the version that is there, so that the API server refuses it if that is there no more."""
    version = {} if live is None else {"resourceVersion": live["metadata"]["resourceVersion"]}
    return {**made, "metadata": {**made["metadata"], **version}}
