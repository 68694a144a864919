"""Questions about a log's state are shared, and no answer is older than who asked for it."""

from __future__ import annotations

import asyncio

import pytest

from push_workloads.common.errors import Unavailable
from push_workloads.gateway.recovery import LogState
from push_workloads.gateway.states import States


class Log:
    """Answers when it is let, with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.waiting: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def state(self, shard: int) -> LogState | None:
        self.asked += 1
        number, let = self.asked, asyncio.get_running_loop().create_future()
        self.waiting.put_nowait(let)
        await let
        return LogState("e", 1, number)


async def test_those_who_come_while_one_is_under_way_share_the_next() -> None:
    log = Log()
    states = States(log.state)
    first = asyncio.create_task(states.now(0))
    let = await log.waiting.get()
    later = [asyncio.create_task(states.now(0)) for _ in range(5)]
    await asyncio.sleep(0)
    assert log.asked == 1
    let.set_result(None)
    (await log.waiting.get()).set_result(None)
    assert await first == LogState("e", 1, 1)
    assert {await one for one in later} == {LogState("e", 1, 2)}
    assert log.asked == 2


async def test_shards_do_not_wait_for_one_another() -> None:
    log = Log()
    states = States(log.state)
    both = [asyncio.create_task(states.now(shard)) for shard in (0, 1)]
    for _ in both:
        (await log.waiting.get()).set_result(None)
    assert len({await one for one in both}) == 2


async def test_one_who_gives_up_and_a_failure_leave_the_others_their_answers() -> None:
    log = Log()
    states = States(log.state)
    first, second = (asyncio.create_task(states.now(0)) for _ in range(2))
    let = await log.waiting.get()
    first.cancel()
    await asyncio.sleep(0)
    let.set_exception(Unavailable("away", retry_after_ms=1))
    with pytest.raises(Unavailable):
        await second
    third = asyncio.create_task(states.now(0))
    (await log.waiting.get()).set_result(None)
    assert (await third) == LogState("e", 1, 2)
