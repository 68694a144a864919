"""Which units to start and stop: the invariants of every path, by playing the steps to their end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from push_operator.cluster.local.rolling import SURGE, Member, next_steps

OLD, NEW = "old", "new"
_starts = st.lists(st.tuples(st.sampled_from([OLD, NEW]), st.booleans(), st.booleans()), max_size=6)


def _members(given_members: list[tuple[str, bool, bool]]) -> list[Member]:
    return [
        Member(f"{revision}-{at}", revision, at, ready and not stopping, stopping)
        for at, (revision, ready, stopping) in enumerate(given_members)
    ]


def _after(members: list[Member], replicas: int, *, alone: bool) -> list[Member]:
    """One step done: what was stopping is gone, what was asked to stop is stopping, what had started is ready."""
    steps = next_steps(NEW, replicas, members, alone=alone)
    kept = [replace(one, ready=True) for one in members if not one.stopping]
    kept = [replace(one, ready=False, stopping=True) if one.name in steps.stop else one for one in kept]
    names = {one.name for one in members}
    started = [Member(f"{NEW}-{ordinal}", NEW, ordinal, ready=False, stopping=False) for ordinal in steps.start]
    assert not names & {one.name for one in started}
    return kept + started


@given(_starts, st.integers(0, 5), st.booleans())
def test_every_start_ends_at_the_wanted_units(begin: list[tuple[str, bool, bool]], replicas: int, alone: bool) -> None:
    members = _members(begin)
    for _ in range(30):
        members = _after(members, replicas, alone=alone)
    assert [one.revision for one in members] == [NEW] * replicas
    assert all(one.ready for one in members)


@given(st.integers(1, 5))
def test_a_roll_never_has_fewer_ready_nor_many_more(replicas: int) -> None:
    members = [Member(f"{OLD}-{at}", OLD, at, ready=True, stopping=False) for at in range(replicas)]
    for _ in range(30):
        members = _after(members, replicas, alone=False)
        living = [one for one in members if not one.stopping]
        assert sum(one.ready for one in living) >= replicas
        assert len(living) <= replicas + SURGE


@given(_starts, st.integers(0, 3))
def test_alone_nothing_starts_beside_another_revision(begin: list[tuple[str, bool, bool]], replicas: int) -> None:
    members = _members(begin)
    steps = next_steps(NEW, replicas, members, alone=True)
    if steps.start:
        assert all(one.revision == NEW and not one.stopping for one in members)


def test_those_that_serve_nobody_go_first() -> None:
    members = [
        Member("old-0", OLD, 0, ready=False, stopping=False),
        Member("old-1", OLD, 1, ready=True, stopping=False),
        Member("new-0", NEW, 0, ready=True, stopping=False),
    ]
    assert next_steps(NEW, 2, members, alone=False).stop == ("old-0",)
