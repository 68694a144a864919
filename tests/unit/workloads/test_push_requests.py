"""What `POST /push` takes, and the jobs that it comes to."""

from __future__ import annotations

from typing import Any

import pytest

from push_workloads.common.errors import BadRequest
from push_workloads.common.push_jobs import decode, encode
from push_workloads.push.cancels import owner_of
from push_workloads.push.outbox import Entry, headers_of, timer
from push_workloads.push.requests import (
    MAX_AHEAD_MS,
    NewPush,
    Request,
    Shown,
    Stage,
    check,
    check_call,
    check_time,
    check_users,
    jobs_of,
    request_of,
)

NOW = 1_800_000_000_123
BYTES = bytes(range(10))
DEDUP = "0123456789abcdef"


def _asked(**fields: Any) -> NewPush:
    return NewPush(**{"user_ids": ["ann", "b.o b"], "title": "Hi"} | fields)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (Shown(), "one of the two is required"),
        (Shown(title="a", template="t"), "one of the two is required"),
        (Shown(title="", body=""), "both are empty"),
        (Shown(silent=True), "data: required with silent"),
        (Shown(silent=True, title="a", data={"a": 1}), "silent: shows nothing"),
        (Shown(title="a", data={"a": "x" * 2048}), "data: over 2048 bytes"),
    ],
)
def test_faults_are_named(shown: Shown, told: str) -> None:
    with pytest.raises(BadRequest) as raised:
        check(shown)
    assert told in raised.value.message


@pytest.mark.parametrize(
    "shown", [Shown(title="a"), Shown(body="a"), Shown(template="t", data={}), Shown(silent=True, data={"a": 1})]
)
def test_good_ones(shown: Shown) -> None:
    check(shown)


def test_times_and_users() -> None:
    for good in (None, 0, NOW, NOW + MAX_AHEAD_MS):
        check_time(good, NOW)
    for bad in (NOW + MAX_AHEAD_MS + 1, -1, -(10**30)):
        with pytest.raises(BadRequest, match="at most 30 days ahead"):
            check_time(bad, NOW)
    with pytest.raises(BadRequest, match="each only once"):
        check_users(["a", "b", "a"])
    with pytest.raises(BadRequest, match="user_ids: an id"):
        check_users(["a", "ä" * 65])


def test_one_job_for_each_user() -> None:
    asked = _asked(template="shipped", title=None, data={"order": "A1"}, ttl_s=60, collapse_key="orders")
    request = request_of(asked, NOW, BYTES)
    first, other = jobs_of(asked, request)
    assert (first.job_id, first.user_id, first.message_id) == (f"{request.push_id}:ann", "ann", request.push_id)
    assert other.job_id == f"{request.push_id}:b=2Eo=20b"
    assert (first.channel, first.conversation, first.kind, first.sender, first.sent_at) == (
        "", "", "shipped", "$service", NOW,
    )  # fmt: skip
    assert first.hint is not None
    assert (first.hint.data, first.hint.ttl_s, first.hint.collapse_key) == ({"order": "A1"}, 60, "orders")
    assert decode(encode(first)) == first


def test_a_call() -> None:
    asked, plain = _asked(call=True), _asked()
    check_call(asked)
    (rings, _), (tells, _) = (jobs_of(one, request_of(one, NOW, BYTES)) for one in (asked, plain))
    assert rings.hint is not None and tells.hint is not None
    assert (rings.hint.call, tells.hint.call) == (True, False)
    assert request_of(asked, NOW, BYTES).digest != request_of(plain, NOW, BYTES).digest
    with pytest.raises(BadRequest, match="either `call` or `silent`"):
        check_call(_asked(call=True, silent=True))


def test_a_scheduled_job_is_as_old_as_its_time() -> None:
    asked = _asked(send_at=NOW + 5000)
    assert {job.sent_at for job in jobs_of(asked, request_of(asked, NOW, BYTES))} == {NOW + 5000}
    late = _asked(send_at=5)
    assert {job.sent_at for job in jobs_of(late, request_of(late, NOW, BYTES))} == {NOW}
    assert jobs_of(late, request_of(late, NOW, BYTES))[0].kind == "system"


def test_the_same_dedup_id_is_the_same_push() -> None:
    one, again = (request_of(_asked(dedup_id=DEDUP), at, BYTES) for at in (NOW, NOW + 9))
    assert (one.push_id, one.digest) == (again.push_id, again.digest)
    other = request_of(_asked(dedup_id=DEDUP, title="Bye"), NOW, BYTES)
    assert other.push_id == one.push_id
    assert other.digest != one.digest
    assert request_of(_asked(), NOW, BYTES).push_id != request_of(_asked(), NOW, bytes(10)).push_id


def test_its_stage_goes_with_the_time() -> None:
    request = Request("p1", b"", 1, NOW, NOW + 10, Stage.SCHEDULED)
    assert [request.stage_at(NOW + ms) for ms in (9, 10)] == [Stage.SCHEDULED, Stage.QUEUED]
    assert request._replace(stage=Stage.CANCELLED).stage_at(NOW + 99) is Stage.CANCELLED


def test_a_timer() -> None:
    entry = Entry("push.jobs.ann", b"", "p1:ann", NOW, timer("p1", "ann"))
    assert entry.timer == "push.timer.p1.ann"
    assert headers_of(entry) == {
        "Nats-Msg-Id": "p1:ann",
        "Nats-Schedule": "@at 2027-01-15T08:00:00.123Z",
        "Nats-Schedule-Target": "push.jobs.ann",
    }
    assert headers_of(entry._replace(at=None)) == {"Nats-Msg-Id": "p1:ann"}


def test_to_whom_a_message_id_belongs() -> None:
    assert owner_of("0199-a") == "0199-a"
    assert owner_of("0199-a.17") == "0199-a"
