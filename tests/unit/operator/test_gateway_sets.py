"""The gateways' sets on one machine: which there are, and who goes from one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.cluster.local.sets import GATEWAY, GatewaySets
from push_operator.errors import Conflict
from push_operator.fleet.values import GatewaySet
from push_operator.plan.workload import Workload


def _workload(revision: str, replicas: int = 3) -> Workload:
    return Workload(GATEWAY, "chat-gateway", revision, replicas, {}, (), 5)


def _sizes(sets: GatewaySets) -> dict[str, int]:
    return {one.revision: one.replicas for one in sets.all()}


def _of(sets: GatewaySets, revision: str) -> GatewaySet:
    return next(one for one in sets.all() if one.revision == revision)


def test_a_set_keeps_what_it_was_made_of() -> None:
    sets = GatewaySets()
    sets.plan(_workload("old"))
    sets.plan(_workload("old", 9))
    sets.plan(_workload("new"))
    assert _sizes(sets) == {"old": 3, "new": 0}
    sets.resize(_of(sets, "old"), 4, ["a", "b", "c"], ())
    assert sets.workloads() == (_workload("old", 4), _workload("new", 0))


def test_an_empty_set_goes_unless_it_is_the_wanted_one() -> None:
    sets = GatewaySets()
    sets.plan(_workload("old"))
    sets.plan(_workload("new"))
    sets.plan(_workload("newer"))
    assert _sizes(sets) == {"old": 3, "newer": 0}
    sets.resize(_of(sets, "old"), 0, ["a"], ["a"])
    sets.plan(_workload("newer"))
    assert _sizes(sets) == {"newer": 0}
    sets.plan(None)
    assert sets.all() == ()


def test_no_version_comes_twice() -> None:
    sets = GatewaySets()
    seen = []
    for _ in range(3):
        sets.plan(_workload("one"))
        seen.append(_of(sets, "one").version)
        sets.resize(_of(sets, "one"), 5, [], ())
        seen.append(_of(sets, "one").version)
        sets.plan(None)
    assert len(set(seen)) == 6


def test_the_same_size_is_no_change() -> None:
    sets = GatewaySets()
    sets.plan(_workload("one"))
    before = _of(sets, "one")
    assert sets.resize(before, 3, ["a", "b", "c"], {"a"}) == ()
    assert _of(sets, "one") == before


@given(
    living=st.lists(st.sampled_from("abcdefgh"), unique=True),
    size=st.integers(0, 9),
    gone=st.frozensets(st.sampled_from("abcdefgh")),
)
def test_those_that_may_go_do_and_no_others(living: list[str], size: int, gone: frozenset[str]) -> None:
    sets = GatewaySets()
    sets.plan(_workload("one", len(living)))
    before, surplus = sets.all(), len(living) - size
    if len(gone & set(living)) < surplus:
        with pytest.raises(Conflict):
            sets.resize(before[0], size, living, gone)
        assert sets.all() == before
    else:
        going = sets.resize(before[0], size, living, gone)
        assert set(going) <= gone
        assert list(going) == [name for name in living if name in gone][: max(0, surplus)]
        assert _sizes(sets) == {"one": size}
