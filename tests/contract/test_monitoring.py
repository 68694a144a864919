"""The operator reads the broker's numbers by names that the workloads give; they meet here."""

from __future__ import annotations

from push_operator.admin.broker import HISTORY, PUSH_CONSUMER, PUSH_STREAM, Server, bus_of
from push_workloads.common import push_jobs
from push_workloads.common.subjects import stream_name
from push_workloads.message.service import DURABLE


def test_streams_and_consumers_have_the_workloads_names() -> None:
    assert (HISTORY, PUSH_STREAM, PUSH_CONSUMER) == (DURABLE, push_jobs.STREAM, push_jobs.CONSUMER)
    server = Server("a", "a", "1", 0, lags={(stream_name(shard), DURABLE): shard for shard in range(4)})
    assert bus_of([server], 4, at=0.0).lags == {"message": 6}
