"""How long history keeps a message of which channel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.message.buckets import DAY_MS, Bucket
from push_workloads.message.cassandra_expiry import LAST_MOMENT, Expiry
from push_workloads.message.model import Message
from push_workloads.message.retention import FOR_EVER, Retention

NOW = 1_790_000_000_000
KEPT = Retention(direct=1, group=2, topic=3)


@pytest.mark.parametrize(
    ("conversation", "days"), [("ann|bob", 1), ("g|x", 1), ("g.ann", 2), ("t.news", 3), ("t|t", 1)]
)
def test_the_kind_of_channel_decides(conversation: str, days: int) -> None:
    assert KEPT.seconds_left(conversation, NOW, NOW) == days * 86_400
    assert KEPT.oldest(conversation, NOW) == NOW - days * DAY_MS
    assert FOR_EVER.seconds_left(conversation, NOW, NOW) is None
    assert FOR_EVER.is_kept(conversation, 0, NOW)


@given(st.integers(-5000, 5000))
def test_a_message_is_kept_to_the_moment(early_ms: int) -> None:
    sent_at = NOW - DAY_MS + early_ms
    assert KEPT.is_kept("ann|bob", sent_at, NOW) == (sent_at > KEPT.oldest("ann|bob", NOW))
    left = KEPT.seconds_left("ann|bob", sent_at, NOW)
    assert left is not None
    assert 0 <= left * 1000 - early_ms < 1000


def test_a_row_has_no_end_where_cassandra_takes_none() -> None:
    one = Message("ann|bob", NOW, "m", "ann", "bob", "text", None, b"1")
    assert Expiry(KEPT, lambda: NOW).ttl(one) == 86_400
    assert Expiry(KEPT, lambda: NOW).of_day(Bucket("ann|bob", NOW // DAY_MS, 0)) > 86_400
    assert Expiry(Retention(direct=7300), lambda: NOW).ttl(one) == 0
    assert Expiry(KEPT, lambda: (LAST_MOMENT + 1) * 1000).ttl(one) == 1
    late = one._replace(sent_at=LAST_MOMENT * 1000)
    assert Expiry(KEPT, lambda: LAST_MOMENT * 1000).ttl(late) == 0
