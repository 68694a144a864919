"""What the push service keeps, in Cassandra: the stores that replicas share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.push import cassandra, cassandra_deliveries, cassandra_preferences
from push_workloads.push.stores import Stores

# A database has had the first of them applied by their numbers: what is new comes last.
MIGRATIONS: Final = (*cassandra.MIGRATIONS, *cassandra_deliveries.MIGRATIONS, *cassandra_preferences.MIGRATIONS)


@asynccontextmanager
async def cassandra_stores(config: CassandraConfig, checks: Checks) -> AsyncIterator[Stores]:
    """In that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "push", MIGRATIONS, checks) as session:
        devices, deliveries, preferences = [
            {name: await session.prepare(text) for name, text in statements.items()}
            for statements in (cassandra.STATEMENTS, cassandra_deliveries.STATEMENTS, cassandra_preferences.STATEMENTS)
        ]
        yield Stores(
            cassandra.CassandraDevices(session, devices),
            cassandra_deliveries.CassandraDeliveries(session, deliveries),
            cassandra_preferences.CassandraPreferences(session, preferences),
        )
