"""Whether history can tell what was sent before, and what it tells."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import KnownAsked
from push_workloads.common.sending import digest
from push_workloads.message.known import MAX_LAG_SECONDS, HistoryLag, KnownMessages
from push_workloads.message.model import Message
from push_workloads.message.store import LogState, MemoryStore

IDLE = {"num_pending": 0, "num_ack_pending": 0, "ack_floor": {"stream_seq": 7}}
BUSY = {"num_pending": 3, "num_ack_pending": 1, "ack_floor": {"stream_seq": 7}}


class Answers:
    """A bus on which the server answers this of the consumer, and this of the message after what is written."""

    def __init__(self, consumer: dict[str, Any], message: dict[str, Any] | None = None) -> None:
        self._consumer, self._message = consumer, message
        self.asked: list[tuple[str, object]] = []

    async def ask(self, subject: str, body: object = None) -> dict[str, Any]:
        self.asked.append((subject, body))
        return self._consumer if "CONSUMER" in subject else self._message or {}


def stored(seconds_ago: float) -> dict[str, Any]:
    at = datetime.fromtimestamp(time.time() - seconds_ago, UTC).isoformat().replace("+00:00", "123Z")
    return {"message": {"time": at}}  # nanoseconds, as the server says them


def lag_of(answers: Answers) -> HistoryLag:
    return HistoryLag(cast(Bus, answers), "history")


async def test_history_that_has_all_is_not_behind() -> None:
    answers = Answers(IDLE)
    lag = lag_of(answers)
    assert [await lag.seconds(0), await lag.seconds(0)] == [0, 0]
    assert len(answers.asked) == 1  # one look serves for a second


async def test_history_is_as_far_behind_as_the_oldest_that_it_lacks() -> None:
    answers = Answers(BUSY, stored(90))
    assert 89 < await lag_of(answers).seconds(3) < 95
    assert answers.asked[1] == ("$JS.API.STREAM.MSG.GET.LOG_3", {"seq": 8, "next_by_subj": ">"})


async def test_what_the_log_has_dropped_is_not_waited_for() -> None:
    assert await lag_of(Answers(BUSY, {"error": {"code": 404}})).seconds(0) == 0


@pytest.mark.parametrize(
    "answers", [Answers({"error": {"code": 404}}), Answers(BUSY, {"error": {"code": 503}})], ids=["consumer", "log"]
)
async def test_what_is_not_known_is_not_guessed(answers: Answers) -> None:
    with pytest.raises(Unavailable):
        await lag_of(answers).seconds(0)


async def test_what_is_known_is_told_only_by_a_history_that_is_near() -> None:
    store = MemoryStore()
    await store.append(0, LogState("e", 1), [Message("ann|bob", 7, "m1", "ann", "bob", "text", None, b'{"a":1}')])
    asked = KnownAsked("u.bob", ["m1", "m2"])
    known = KnownMessages(store, 1)
    with pytest.raises(Unavailable):
        await known.answer(asked)
    known.open(lag_of(Answers(BUSY, stored(MAX_LAG_SECONDS + 1))))
    with pytest.raises(Unavailable):
        await known.answer(asked)
    known.open(lag_of(Answers(BUSY, stored(MAX_LAG_SECONDS - 10))))
    (found,) = (await known.answer(asked)).messages
    assert (found.message_id, found.sent_at, found.digest) == ("m1", 7, digest("text", None, b'{ "a": 1 }'))


def test_a_digest_is_of_the_value_and_not_of_its_bytes() -> None:
    same = {digest("text", None, raw) for raw in (b'{"a":1,"b":"\\u00e4"}', '{ "b":"ä", "a":1 }'.encode())}
    assert len(same) == 1
    others = [("edit", None, b"1"), ("text", "m", b"1"), ("text", None, b"2"), ("text", None, b'"\\ud800"')]
    assert len({digest("text", None, b"1"), *(digest(*one) for one in others)}) == 5
