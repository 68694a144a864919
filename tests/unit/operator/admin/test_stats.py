"""A gateway's answer, true and false ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.admin.stats import Nonsense, parse_stats
from push_operator.admin.told import AGAIN_SECONDS, MOST, Told
from push_operator.fleet.values import Draining, Stats

FULL = {
    "boot": "b1", "epoch": 3, "uptime_s": 12.5, "connections": 40, "max_connections": 50, "accepted": 100, "refused": 1,
    "auth_failures": 2, "disconnects": 60, "reconnects_asked": 4, "outbound_bytes": 7, "fell_behind": 5,
    "loop_lag_ms": 250, "pressure": 1, "nats": False, "nats_lost": 6, "frames_in": 8, "frames_out": 9, "delivered": 10,
    "cpu_seconds": 1.5, "rss_bytes": 11, "draining": {"rate": 2.5, "left": 30, "stopping": True},
}  # fmt: skip


def _parsed(**changed: Any) -> Stats:
    return parse_stats(json.dumps({**FULL, **changed}).encode())


def test_every_key_has_its_place() -> None:
    assert _parsed() == Stats(
        boot="b1", epoch=3, uptime=12.5, connections=40, max_connections=50, accepted=100, refused=1, auth_failures=2,
        disconnects=60, reconnects_asked=4, outbound_bytes=7, fell_behind=5, loop_lag=0.25, pressure=1, nats=False,
        nats_lost=6, frames_in=8, frames_out=9, delivered=10, cpu_seconds=1.5, rss_bytes=11,
        draining=Draining(2.5, 30, stopping=True),
    )  # fmt: skip


def test_an_earlier_version_says_less_and_a_later_one_more() -> None:
    assert parse_stats(b'{"boot": "b", "connections": 3, "more": [1e999]}') == Stats("b", connections=3)
    assert _parsed(draining=None).draining is None
    assert _parsed(draining={"rate": 1, "left": 2, "more": 3}).draining == Draining(1.0, 2)


@pytest.mark.parametrize("name", ["boot", "connections"])
def test_two_keys_are_required(name: str) -> None:
    with pytest.raises(Nonsense, match=name):
        parse_stats(json.dumps({key: value for key, value in FULL.items() if key != name}).encode())


@pytest.mark.parametrize("name", sorted(FULL.keys() - {"boot", "nats", "draining"}))
@pytest.mark.parametrize("value", [-1, -0.5, "3", True, None, [], {}, 2**53 + 1, 10**400])
def test_a_number_that_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(Nonsense, match=name):
        _parsed(**{name: value})


@pytest.mark.parametrize("name", ["connections", "accepted", "epoch"])
def test_a_count_is_whole(name: str) -> None:
    with pytest.raises(Nonsense, match=name):
        _parsed(**{name: 1.5})


@pytest.mark.parametrize(
    "changed",
    [
        {"connections": 51},
        {"max_connections": 1_000_001},
        {"boot": ""},
        {"boot": 7},
        {"boot": "x" * 129},
        {"boot": "a\nb"},
        {"boot": "\ud800"},
        {"nats": 1},
        {"nats": None},
        {"draining": True},
        {"draining": {}},
        {"draining": {"rate": 1}},
        {"draining": {"rate": -1, "left": 0}},
        {"draining": {"rate": 1, "left": 0.5}},
        {"draining": {"rate": 1, "left": 1, "stopping": 1}},
    ],
)
def test_what_contradicts_itself_or_has_another_type_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Nonsense):
        _parsed(**changed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"boot": "b", "connections": NaN}',
        b'{"boot": "b", "connections": 1, "loop_lag_ms": Infinity}',
        b'{"boot": "b", "connections": 1, "loop_lag_ms": 1e999}',
        b'{"boot": "b", "connections": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Nonsense):
        parse_stats(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(FULL)), JSON) | JSON)
def test_whatever_it_says_the_answer_is_stats_that_can_be_or_nonsense(said: Any) -> None:
    if isinstance(said, dict):
        said = {"boot": "b", "connections": 1, **said}
    try:
        stats = parse_stats(json.dumps(said).encode())
    except Nonsense as why:
        assert "\n" not in str(why)
        return
    assert 0 <= stats.connections <= stats.max_connections
    assert 0 <= stats.loop_lag < float("inf")


def test_a_fault_that_lasts_is_told_once_an_hour() -> None:
    told = Told()
    assert [told.anew("a", "x", 0.0), told.anew("a", "x", 10.0)] == [True, False]
    assert told.anew("a", "y", 10.0), "another fault"
    assert told.anew("b", "x", 10.0), "another gateway"
    assert told.anew("a", "x", AGAIN_SECONDS)
    assert not told.anew("a", "x", AGAIN_SECONDS + 1)


def test_what_was_told_is_bounded_and_the_oldest_is_forgotten() -> None:
    told = Told()
    for number in range(MOST + 1):
        assert told.anew(str(number), "x", 0.0)
    assert not told.anew(str(MOST), "x", 0.0)
    assert told.anew("0", "x", 0.0)
