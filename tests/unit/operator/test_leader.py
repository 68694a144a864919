"""The election on a clock of our own: who leads when, and that never two write."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.waiting import eventually

from push_operator.errors import ClusterError, NotLeading
from push_operator.leader import FENCE_SECONDS, LEASE_SECONDS, Election, Held, lead


class SharedLease:
    """One lease in memory; each election has its own view of it, as each process has."""

    def __init__(self) -> None:
        self.holder, self.transitions, self.version = "", 0, 0
        self.cut_off: set[str] = set()

    def view(self, name: str) -> View:
        return View(self, name)


class View:
    def __init__(self, shared: SharedLease, name: str) -> None:
        self._shared, self._name = shared, name
        self._read = 0

    async def read(self) -> Held | None:
        self._reach()
        self._read = self._shared.version
        if not self._shared.version:
            return None
        return Held(self._shared.holder, self._shared.transitions, str(self._shared.version))

    async def write(self, holder: str, transitions: int) -> bool:
        self._reach()
        if self._read != self._shared.version:
            return False
        self._shared.holder, self._shared.transitions = holder, transitions
        self._shared.version += 1
        return True

    def _reach(self) -> None:
        if self._name in self._shared.cut_off:
            raise ClusterError("cut off")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _pair() -> tuple[SharedLease, Clock, Election, Election]:
    shared, clock = SharedLease(), Clock()
    return shared, clock, Election(shared.view("a"), "a", clock), Election(shared.view("b"), "b", clock)


async def test_the_first_leads_and_the_second_waits() -> None:
    _, clock, first, second = _pair()
    assert await first.try_once()
    for _ in range(10):
        clock.now += 2
        assert not await second.try_once()
        assert await first.try_once()
    first.fence()
    with pytest.raises(NotLeading):
        second.fence()


async def test_a_silent_leader_is_replaced_and_fences_itself_before() -> None:
    _, clock, first, second = _pair()
    await first.try_once()
    await second.try_once()
    clock.now += FENCE_SECONDS
    assert not first.leads()
    clock.now += LEASE_SECONDS - FENCE_SECONDS - 0.1
    assert not await second.try_once()
    clock.now += 0.1
    assert await second.try_once()
    assert (first.epoch, second.epoch) == (0, 1)
    assert not await first.try_once()


async def test_a_lease_given_back_is_taken_at_once() -> None:
    _, _, first, second = _pair()
    await first.try_once()
    await second.try_once()
    await first.release()
    assert not first.leads()
    assert await second.try_once()
    await first.release()
    assert second.leads()


async def test_the_same_pod_continues_its_own_lease() -> None:
    shared, clock, first, _ = _pair()
    await first.try_once()
    again = Election(shared.view("a"), "a", clock)
    assert await again.try_once()
    assert again.epoch == 0


_steps = st.lists(
    st.tuples(st.sampled_from(["a tries", "b tries", "a is cut off", "a is back", "b is cut off", "b is back"]),
              st.floats(0, 6)), max_size=60,
)  # fmt: skip


@given(_steps)
def test_never_two_lead(steps: list[tuple[str, float]]) -> None:
    async def run() -> None:
        shared, clock, first, second = _pair()
        elections = {"a": first, "b": second}
        for what, later in steps:
            clock.now += later
            name = what[0]
            if what.endswith("cut off"):
                shared.cut_off.add(name)
            elif what.endswith("back"):
                shared.cut_off.discard(name)
            elif name not in shared.cut_off:
                await elections[name].try_once()
            assert not (first.leads() and second.leads())

    asyncio.run(run())


async def test_work_runs_while_leading_and_its_crash_is_raised() -> None:
    shared, clock, first, _ = _pair()
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    leading = asyncio.create_task(lead(first, work))
    await asyncio.wait_for(began.wait(), 5)
    shared.cut_off.add("a")
    clock.now += FENCE_SECONDS
    await asyncio.wait_for(ended.wait(), 10)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)

    async def broken() -> None:
        raise RuntimeError("broken")

    shared.cut_off.clear()
    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(lead(first, broken), 5)
    await eventually(lambda: first.leads())
