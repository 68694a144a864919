"""`POST /push` from the request to the queue, and its way back.

A request is written down before anything of it is on the queue, and moved on when all of it is. Who sends it again
after a failure in between finds it written down, and has the same jobs put there once more, under the same ids: the
stream drops them for two minutes, and after that the claim of each send does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from push_workloads.common import push_jobs
from push_workloads.common.errors import BadRequest, Conflict, NotFound
from push_workloads.common.push_jobs import PushJob
from push_workloads.common.subjects import token
from push_workloads.push import requests
from push_workloads.push.books.ports import Books, TemplateStore
from push_workloads.push.cancels import Cancels
from push_workloads.push.deliveries import DeliveryLog, State
from push_workloads.push.outbox import Entry, Outbox, timer
from push_workloads.push.requests import NewPush, Request, Stage
from push_workloads.push.templates import BUILT_IN

PAGE: Final = 1000
NO_PUSH: Final = "there is no such push"


class Placed(NamedTuple):
    """`duplicate`: it was there already, by its `dedup_id`."""

    request: Request
    duplicate: bool


class PushOffice:
    """`now_ms` is the clock on the wall; `entropy` gives as many random bytes as are asked for."""

    def __init__(
        self,
        books: Books,
        outbox: Outbox,
        cancels: Cancels,
        log: DeliveryLog,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._books = books
        self._outbox = outbox
        self._cancels = cancels
        self._log = log
        self._now_ms = now_ms
        self._entropy = entropy

    async def push(self, asked: NewPush) -> Placed:
        """Raises BadRequest, Conflict, Unavailable."""
        now = self._now_ms()
        requests.check_call(asked)
        requests.check(asked)
        requests.check_users(asked.user_ids)
        requests.check_time(asked.send_at, now)
        await known_template(self._books, asked.template)
        request = requests.request_of(asked, now, self._entropy(10))
        held = await self._books.add_request(request)
        if held is None:
            return Placed(await self._place(asked, request), duplicate=False)
        if held.digest != request.digest:
            raise Conflict("dedup_id: another push was sent with it")
        placed = await self._place(asked, held) if held.stage is Stage.ACCEPTED else held
        return Placed(placed, duplicate=True)

    async def find(self, push_id: str) -> Request:
        """Raises NotFound."""
        held = await self._books.request(push_id)
        if held is None:
            raise NotFound(NO_PUSH)
        return held._replace(stage=held.stage_at(self._now_ms()))

    async def counts(self, push_id: str) -> Mapping[State, int]:
        """Its deliveries by state; at most 500 users of at most MAX_DEVICES devices each."""
        return await counted(self._log, push_id)

    async def cancel(self, push_id: str) -> Request:
        """Nothing of it is sent any more when this returns; what was sent stays sent. Raises NotFound."""
        held = await self.find(push_id)
        await self._cancels.cancel(push_id)
        await self._outbox.drop(timer(push_id, ">"))
        for before in (Stage.ACCEPTED, Stage.SCHEDULED, Stage.QUEUED):
            await self._books.move_request(push_id, before, Stage.CANCELLED)
        return held._replace(stage=Stage.CANCELLED)

    async def _place(self, asked: NewPush, request: Request) -> Request:
        later = request.send_at is not None and request.send_at > self._now_ms()
        await self._outbox.put(
            _entry(job, request.send_at if later else None) for job in requests.jobs_of(asked, request)
        )
        after = Stage.SCHEDULED if later else Stage.QUEUED
        if await self._books.move_request(request.push_id, Stage.ACCEPTED, after):
            return request._replace(stage=after)
        held = await self.find(request.push_id)
        if held.stage is Stage.CANCELLED:  # while its jobs went out: those that wait would never be looked at otherwise
            await self._outbox.drop(timer(request.push_id, ">"))
        return held


def _entry(job: PushJob, at: int | None) -> Entry:
    where = timer(job.message_id, token(job.user_id))
    return Entry(push_jobs.subject(job.user_id), push_jobs.encode(job), job.job_id, at, where)


async def known_template(store: TemplateStore, name: str | None) -> None:
    """Raises BadRequest where there is none of that name, or it shows nothing."""
    if name is None:
        return
    template = (await store.templates()).get(name) or BUILT_IN.get(name)
    if template is None:
        raise BadRequest(f"template: there is no {name!r}; make it with PUT /push/templates/{name}")
    if template.silent:
        raise BadRequest(f"template: {name} shows nothing")


async def counted(log: DeliveryLog, message_id: str) -> dict[State, int]:
    """How many deliveries of a message are in each state."""
    counts = dict.fromkeys(State, 0)
    after: tuple[str, str] | None = None
    while page := await log.of_message(message_id, after, PAGE):
        for one in page:
            counts[one.state] += 1
        after = (page[-1].user_id, page[-1].device_id)
        if len(page) < PAGE:
            break
    return counts
