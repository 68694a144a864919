"""What is asked about broadcasts, through whichever door: one is made, looked at, stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from push_workloads.common.errors import Conflict, NotFound, Unavailable
from push_workloads.common.tasks import together
from push_workloads.push.books.ports import TemplateStore
from push_workloads.push.broadcast import model
from push_workloads.push.broadcast.model import Broadcast, Ends, NewBroadcast, Stage
from push_workloads.push.broadcast.ports import MAX_OPEN, BroadcastStore
from push_workloads.push.broadcast.segments import Segment
from push_workloads.push.broadcast.tally import Tally
from push_workloads.push.cancels import Cancels
from push_workloads.push.office import known_template
from push_workloads.push.outbox import Outbox, timer

LISTED: Final = 50
ATTEMPTS: Final = 8
NO_BROADCAST: Final = "there is no such broadcast"


class BroadcastView(Struct):
    """Counts are of devices. `seen`: looked at so far. `queued`: those of them that it is for; each of them comes to be
    `sent`, `failed` or `cancelled`, and is `waiting` before. `per_second`: asked for; `rate`: that came to an end, a
    second. `eta_s`: until all have, null while it is not known how many there are."""

    broadcast_id: str
    stage: Stage
    segment: Segment | None
    topic: str | None
    title: str | None
    template: str | None
    created_at: int
    send_at: int | None
    started_at: int | None
    per_second: int
    seen: int
    queued: int
    waiting: int
    sent: int
    failed: int
    cancelled: int
    rate: float
    eta_s: float | None
    duplicate: bool = False


class BroadcastList(Struct):
    """The newest first."""

    broadcasts: list[BroadcastView]


class BroadcastDesk:
    """`now_ms` is the clock on the wall; `entropy` gives as many random bytes as are asked for."""

    def __init__(
        self,
        store: BroadcastStore,
        templates: TemplateStore,
        tally: Tally,
        outbox: Outbox,
        cancels: Cancels,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._templates = templates
        self._tally = tally
        self._outbox = outbox
        self._cancels = cancels
        self._now_ms = now_ms
        self._entropy = entropy

    async def send(self, asked: NewBroadcast) -> BroadcastView:
        """It is written down when this returns, and runs within a second or two. Raises BadRequest, Conflict."""
        now_ms = self._now_ms()
        model.check(asked, now_ms)
        await known_template(self._templates, asked.template)
        made = model.broadcast_of(asked, now_ms, self._entropy(10))
        held = await self._store.one(made.broadcast_id)
        if held is None:
            if len(await self._store.open_ids()) >= MAX_OPEN:
                raise Conflict(f"there are {MAX_OPEN} broadcasts that are not over: stop one, or wait")
            held = await self._store.add(made)
        if held is None:
            return await self._view(made)
        if held.digest != made.digest:
            raise Conflict("dedup_id: another broadcast was sent with it")
        view = await self._view(held)
        view.duplicate = True
        return view

    async def one(self, broadcast_id: str) -> BroadcastView:
        """Raises NotFound."""
        return await self._view(await self._found(broadcast_id))

    async def listed(self) -> BroadcastList:
        return BroadcastList(await together(self._view(one) for one in await self._store.listed(LISTED)))

    async def stop(self, broadcast_id: str) -> BroadcastView:
        """Nothing of it is sent any more when this returns, but for what is being sent. Raises NotFound."""
        held = await self._found(broadcast_id)
        if held.is_open:
            held = await self._stopped(broadcast_id)
            await self._cancels.cancel(broadcast_id)
            await self._outbox.drop(timer(broadcast_id, ">"))
        return await self._view(held)

    async def _stopped(self, broadcast_id: str) -> Broadcast:
        for _ in range(ATTEMPTS):
            held = await self._found(broadcast_id)
            if held.stage in (Stage.STOPPED, Stage.DONE):
                return held
            wanted = held._replace(stage=Stage.STOPPED, changed_at=self._now_ms())
            if await self._store.replace(wanted):
                return wanted
        raise Unavailable("the broadcast is just being moved on; try again", retry_after_ms=1000)

    async def _found(self, broadcast_id: str) -> Broadcast:
        held = await self._store.one(broadcast_id)
        if held is None:
            raise NotFound(NO_BROADCAST)
        return held

    async def _view(self, held: Broadcast) -> BroadcastView:
        """Before it has begun there is nothing to count."""
        ends = held.ends
        if ends is None:
            ends = await self._tally.ends(held.broadcast_id) if held.started_at is not None else Ends()
        if held.stage is Stage.STOPPED:
            ends = model.stopped_ends(held, ends)
        return view_of(held, ends, self._now_ms())


def view_of(held: Broadcast, ends: Ends, now_ms: int) -> BroadcastView:
    """Pure."""
    held = model.covering(held, ends)
    asked, rate = model.order_of(held), model.rate_of(held, ends, now_ms)
    return BroadcastView(
        broadcast_id=held.broadcast_id,
        stage=held.stage,
        segment=asked.segment,
        topic=asked.topic,
        title=asked.title,
        template=asked.template,
        created_at=held.created_at,
        send_at=asked.send_at,
        started_at=held.started_at,
        per_second=asked.per_second,
        seen=held.seen,
        queued=held.queued,
        waiting=held.queued - ends.all,
        sent=ends.sent,
        failed=ends.failed,
        cancelled=ends.cancelled,
        rate=rate.per_second,
        eta_s=rate.eta_s,
    )
