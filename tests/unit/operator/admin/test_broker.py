"""What servers of the broker say, as one Bus; `recorded.json` is what three real ones in a cluster said at one time:
ten messages in each of two shards of which four are delivered, all led by n2, and three jobs that nobody fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.admin.broker import Said, Server, bus_of, parse_lags, parse_pending, parse_server
from push_operator.admin.stats import Nonsense
from push_operator.fleet.bus import grown
from push_operator.fleet.values import Bus

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
HISTORY_0, HISTORY_1, PUSH = ("LOG_0", "history"), ("LOG_1", "history"), ("PUSH", "push")


def _server(name: str = "n", **changed: Any) -> Server:
    return Server(**{"id": name, "name": name, "started": "1", "slow_consumers": 0, **changed})


def _jsz(*consumers: Said, stream: str = "LOG_0") -> Said:
    return {"account_details": [{"stream_detail": [{"name": stream, "consumer_detail": list(consumers)}]}]}


def _consumer(**changed: Any) -> Said:
    return {"name": "history", "num_pending": 5, "num_ack_pending": 2, **changed}


def test_a_server_says_who_it_is_and_since_when() -> None:
    varz = RECORDED["n1"]["varz"]
    assert parse_server(varz) == Server(varz["server_id"], "n1", varz["start"], slow_consumers=0)


@pytest.mark.parametrize(
    "changed",
    [{"server_id": ""}, {"server_id": None}, {"start": 1}, {"start": "x" * 300}, {"slow_consumers": -1}],
)
def test_a_server_that_does_not_say_who_it_is_counts_as_none(changed: Said) -> None:
    with pytest.raises(Nonsense):
        parse_server({**RECORDED["n1"]["varz"], **changed})


def test_of_a_recorded_cluster_only_leaders_are_believed() -> None:
    """The followers of LOG_0's consumer say that nothing is pending, and only four are unacknowledged."""
    lags = {name: parse_lags(name, said["jsz"]) for name, said in RECORDED.items()}
    assert lags == {"n1": {}, "n2": {HISTORY_0: 10, HISTORY_1: 10, PUSH: 3}, "n3": {}}
    bus = bus_of([_server(name, lags=lags[name]) for name in lags], 2, at=7.0)
    assert bus.lags == {"message": 20, "push": 3}
    assert bus_of([_server(name, lags=lags[name]) for name in ("n1", "n3")], 2, at=7.0).lags == {}


@pytest.mark.parametrize(
    ("consumer", "led"),
    [
        (_consumer(), True),
        (_consumer(cluster={"leader": "n"}), True),
        (_consumer(cluster={"leader": "m"}), False),
        (_consumer(cluster={}), False),
        (_consumer(cluster="n"), False),
    ],
)
def test_a_consumer_is_the_answering_servers_when_it_leads_or_there_is_no_cluster(consumer: Said, led: bool) -> None:
    assert parse_lags("n", _jsz(consumer)) == ({HISTORY_0: 7} if led else {})


def test_two_of_one_name_in_two_accounts_are_not_known() -> None:
    accounts = [*_jsz(_consumer())["account_details"], *_jsz(_consumer())["account_details"]]
    assert parse_lags("n", {"account_details": accounts}) == {}


@pytest.mark.parametrize("jsz", [{}, {"disabled": True}, {"account_details": None}, _jsz()])
def test_where_there_are_no_streams_nothing_is_known(jsz: Said) -> None:
    assert parse_lags("n", jsz) == {}


@pytest.mark.parametrize(
    "jsz",
    [
        {"account_details": {"a": 1}},
        {"account_details": ["LOG_0"]},
        _jsz(_consumer(num_pending=None)),
        _jsz(_consumer(num_pending=2**64 - 1)),
        _jsz(_consumer(num_ack_pending="2")),
        _jsz(_consumer(name=3)),
    ],
)
def test_jetstream_says_what_cannot_be(jsz: Said) -> None:
    with pytest.raises(Nonsense):
        parse_lags("n", jsz)


@pytest.mark.parametrize(
    ("lags", "known"),
    [
        ([{HISTORY_0: 3, HISTORY_1: 4, PUSH: 0}], {"message": 7, "push": 0}),
        ([{HISTORY_0: 3}, {HISTORY_1: 4}], {"message": 7}),
        ([{HISTORY_0: 3}, {PUSH: 5}], {"push": 5}),
        ([{HISTORY_1: 3}], {}),
        ([{HISTORY_0: 3, HISTORY_1: 1}, {HISTORY_0: 9}], {"message": 10}),
        ([{HISTORY_0: 9, HISTORY_1: 1}, {HISTORY_0: 3}], {"message": 10}),
        ([{HISTORY_0: 1, HISTORY_1: 1, ("LOG_2", "history"): 50, ("LOG_0", "other"): 50}], {"message": 2}),
        ([{}], {}),
    ],
)
def test_a_part_of_a_lag_is_no_lag(lags: list[dict[tuple[str, str], int]], known: Said) -> None:
    servers = [_server(f"n{number}", lags=one) for number, one in enumerate(lags)]
    assert bus_of(servers, 2, at=0.0).lags == known


def test_gateways_are_told_apart_by_name_or_else_by_address() -> None:
    connections = [
        {"name": "gateway/a", "ip": "10.0.0.1", "port": 1, "pending_bytes": 5},
        {"name": "gateway", "ip": "10.0.0.2", "port": 2, "pending_bytes": 6},
        {"name": "gateway", "ip": "10.0.0.3", "port": 3, "pending_bytes": 0},
        {"name": "message", "ip": "10.0.0.4", "port": 4, "pending_bytes": 7},
        {"name": "gateways", "ip": "10.0.0.4", "port": 5, "pending_bytes": 7},
        {"ip": "10.0.0.5", "port": 5, "pending_bytes": 8},
    ]
    bus = bus_of([_server(pending=parse_pending({"connections": connections}))], 1, at=0.0)
    assert bus.pending_bytes == {"a": 5, "gateway 10.0.0.2:2": 6, "gateway 10.0.0.3:3": 0}
    assert parse_pending(RECORDED["n1"]["connz"]) == (("gateway", "127.0.0.1:48948", 0),)


def test_servers_of_a_cluster_are_one_bus_and_one_that_answered_twice_is_one() -> None:
    one, other = _server("a", slow_consumers=2), _server("b", slow_consumers=3)
    bus = bus_of([other, one, one], 1, at=4.0)
    assert bus == Bus(4.0, "a@1 b@1", 5)
    assert bus == bus_of([one, other], 1, at=4.0)


@pytest.mark.parametrize(
    ("before", "after", "slow"),
    [
        (None, Bus(0.0, "a", 5), 0),
        (Bus(0.0, "a", 5), Bus(1.0, "a", 8), 3),
        (Bus(0.0, "a", 5), Bus(1.0, "b", 8), 0),
        (Bus(0.0, "a", 5), Bus(1.0, "a", 2), 0),
    ],
)
def test_slow_consumers_grow_within_one_start(before: Bus | None, after: Bus, slow: int) -> None:
    assert grown(before, after) == slow


SAID = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.just("n"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["account_details", "stream_detail", "consumer_detail", "name", "num_pending", "cluster", "leader"]
            ),
            inner,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["account_details", "connections", "server_id"]), SAID))
def test_whatever_a_server_says_is_read_or_nonsense(said: dict[str, Any]) -> None:
    for parse in (lambda one: parse_lags("n", one), parse_pending, parse_server):
        try:
            parse(said)
        except Nonsense as why:
            assert "\n" not in str(why)
