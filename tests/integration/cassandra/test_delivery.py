"""The delivery checker where the message service has replicas: each service is replaced, twice, while messages flow."""

from __future__ import annotations

from pathlib import Path

from tests.support.cassandra import CassandraServer
from tests.support.delivery.run import Plan, check


async def test_nothing_is_lost_while_services_are_replaced(cassandra_server: CassandraServer, tmp_path: Path) -> None:
    verdict = await check(Plan("swaps", devices=30, seconds=10, churn=2.0), tmp_path, cassandra_server)
    assert verdict.good, str(verdict)
    assert verdict.acked > 100
    assert verdict.told["swapped message-1"] == verdict.told["swapped gateway-1"] == 2
