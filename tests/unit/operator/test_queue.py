"""The keyed queue. No test waits for its pauses: they are read from the timers."""

from __future__ import annotations

import asyncio

from push_operator.queue import BACKOFF_FIRST, BACKOFF_LAST, KeyQueue


def _queue() -> KeyQueue:
    return KeyQueue(jitter=lambda: 1.0)


async def _taken(queue: KeyQueue) -> str | None:
    """The next key if one is there now."""
    task = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def test_a_key_waits_at_most_once_and_keys_come_in_order() -> None:
    queue = _queue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await _taken(queue) for _ in range(3)] == ["a", "b", None]


async def test_a_key_added_while_it_is_worked_on_is_worked_on_once_more() -> None:
    queue = _queue()
    queue.add("a")
    assert await _taken(queue) == "a"
    queue.add("a")
    queue.add("a")
    assert await _taken(queue) is None
    queue.done("a", 100)
    assert await _taken(queue) == "a"
    queue.done("a", 100)
    assert await _taken(queue) is None
    queue.close()


async def test_take_wakes_up_for_a_new_key() -> None:
    queue = _queue()
    waiting = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    assert await waiting == "a"


async def test_failures_back_off_to_a_bound_and_success_forgets_them() -> None:
    queue = _queue()
    pauses = []
    for _ in range(12):
        queue.add("a")
        await queue.take()
        pauses.append(queue.failed("a"))
    assert pauses[:3] == [BACKOFF_FIRST, 2 * BACKOFF_FIRST, 4 * BACKOFF_FIRST]
    assert pauses[-1] == BACKOFF_LAST
    queue.add("a")
    await queue.take()
    queue.done("a", 100)
    queue.add("a")
    await queue.take()
    assert queue.failed("a") == BACKOFF_FIRST
    queue.close()


async def test_a_sooner_time_replaces_a_later_one_and_never_the_other_way() -> None:
    queue = _queue()
    queue.add_after("a", 1000)
    queue.add_after("a", 0)
    queue.add_after("a", 1000)
    async with asyncio.timeout(5):
        assert await queue.take() == "a"
    queue.close()
