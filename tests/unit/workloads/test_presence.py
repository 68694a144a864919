"""The pure parts of presence: which ids are asked for, and when a restart of Redis is over."""

from __future__ import annotations

import pytest

from push_workloads.common import presence_keys as keys
from push_workloads.common.errors import BadRequest
from push_workloads.presence.api import MAX_USERS, user_ids
from push_workloads.presence.restarts import RestartGuard


def test_ids_in_their_order_each_once() -> None:
    assert user_ids("b,a,b,c d") == ["b", "a", "c d"]
    assert len(user_ids(",".join(map(str, range(MAX_USERS))))) == MAX_USERS


@pytest.mark.parametrize("text", ["", ",", "a,", "a,,b", "x" * 129, ",".join(map(str, range(MAX_USERS + 1)))])
def test_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^user_ids: "):
        user_ids(text)


def test_the_gateway_of_a_field() -> None:
    assert keys.gid_of(keys.field("gateway-1.0af3", "s|1")) == "gateway-1.0af3"


def test_the_session_of_a_field() -> None:
    assert keys.session_of(keys.field("gateway-1.0af3", "s|1")) == "s|1"


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ("1790000000000|ws|d-1", keys.Opened(1790000000000, "ws", "d-1")),
        ("1790000000000|sse|d_2", keys.Opened(1790000000000, "sse", "d_2")),
        ("1790000000000||", keys.Opened(1790000000000, None, None)),
        ("1790000000000", keys.Opened(1790000000000, None, None)),  # as older gateways wrote it
    ],
)
def test_what_is_kept_of_a_session(text: str, opened: keys.Opened) -> None:
    assert keys.parse_opened(text) == opened
    assert keys.parse_opened(keys.format_opened(opened)) == opened


@pytest.mark.parametrize("user_id", ["ada", "a|b", "d'où ça|"])
def test_which_session_is_to_end(user_id: str) -> None:
    assert keys.parse_ending(keys.ending(user_id, "0199-a")) == (user_id, "0199-a")


def test_a_redis_that_ran_all_along_is_no_reason_to_wait() -> None:
    assert RestartGuard(30).hold("r1", uptime=1000, now=5) == 0


def test_a_redis_that_is_young_at_our_own_start_is_given_the_rest_of_its_time() -> None:
    guard = RestartGuard(30)
    assert guard.hold("r1", uptime=10, now=5) == 20
    assert guard.hold("r1", uptime=25, now=20) == 5
    assert guard.hold("r1", uptime=30, now=25) == 0


def test_a_new_run_is_given_all_of_its_time_however_long_it_ran() -> None:
    guard = RestartGuard(30)
    assert guard.hold("r1", uptime=1000, now=0) == 0
    assert guard.hold("r2", uptime=500, now=10) == 30
    assert guard.hold("r2", uptime=530, now=40) == 0
