"""The job as it is on the wire."""

from __future__ import annotations

import msgspec
import pytest

from push_workloads.common import push_jobs
from push_workloads.common.push_jobs import Hint, PushJob


def test_round_trip() -> None:
    job = PushJob("j1", "u1", "m1", "user:u1", 5, "u2", 99, content={"a": [1, None]}, hint=Hint(title="Hi", ttl_s=5))
    raw = push_jobs.encode(job)
    assert push_jobs.decode(raw) == job
    assert msgspec.json.decode(raw)["from"] == "u2"


def test_what_is_left_out_is_not_there() -> None:
    raw = push_jobs.encode(PushJob("j1", "u1", "m1", "user:u1", 5, "u2", 99))
    assert msgspec.json.decode(raw).keys() == {"job_id", "user_id", "message_id", "channel", "seq", "from", "sent_at"}


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"job_id": 1}', b"\xff"])
def test_no_job(raw: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeError)):
        push_jobs.decode(raw)


def test_the_subject_is_one_token_below_the_queues() -> None:
    assert push_jobs.subject("a.b *") == "push.jobs.a=2Eb=20=2A"
