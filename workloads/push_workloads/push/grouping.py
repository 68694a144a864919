"""From a message in a group to a job for each member, page by page: a group may be larger than what one entry of the
queue should take."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec.structs import replace

from push_workloads.common import push_jobs, questions
from push_workloads.common.asking import ask
from push_workloads.common.bus import Bus
from push_workloads.common.push_jobs import GroupJob
from push_workloads.common.subjects import token
from push_workloads.common.tasks import together
from push_workloads.push.queue import Queue

PAGE: Final = 500
AT_ONCE: Final = 50


class Grouping:
    def __init__(self, bus: Bus, queue: Queue) -> None:
        self._bus = bus
        self._queue = queue

    async def handle(self, job: GroupJob) -> None:
        """One page. The next one is in the queue before this one leaves it. Raises Unavailable: the page comes again,
        and the ids of its jobs are the same."""
        members = await self._members(job)
        turns = asyncio.Semaphore(AT_ONCE)

        async def tell(user_id: str) -> None:
            async with turns:
                one = job_of(job, user_id)
                await self._queue.put(push_jobs.subject(user_id), push_jobs.encode(one), one.job_id)

        await together(tell(user_id) for user_id in members if user_id != job.job.sender)
        if len(members) == PAGE:
            rest = replace(job, after=members[-1])
            await self._queue.put(push_jobs.group_subject(job.group_id), push_jobs.encode(rest), page_id(rest))

    async def _members(self, job: GroupJob) -> list[str]:
        asked = questions.MembersAsked(job.group_id, job.after, PAGE, job.job.sender)
        return (await ask(self._bus.client, questions.MEMBERS, asked, questions.Members)).user_ids


def job_of(job: GroupJob, user_id: str) -> push_jobs.PushJob:
    """The job of one member."""
    return replace(job.job, user_id=user_id, job_id=f"{job.job.job_id}:{token(user_id)}")


def page_id(job: GroupJob) -> str:
    """Of the page behind `after`."""
    return f"{job.job.job_id}:after:{token(job.after or '-')}"
