"""What the push service keeps, in Cassandra: the stores that replicas share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.push import cassandra, cassandra_deliveries, cassandra_preferences
from push_workloads.push.books import cassandra as cassandra_books
from push_workloads.push.broadcast import cassandra as cassandra_broadcasts
from push_workloads.push.stores import Stores

# A database has had the first of them applied by their numbers: what is new comes last.
MIGRATIONS: Final = (
    *cassandra.MIGRATIONS,
    *cassandra_deliveries.MIGRATIONS,
    *cassandra_preferences.MIGRATIONS,
    *cassandra_books.MIGRATIONS,
    *cassandra_broadcasts.MIGRATIONS,
)
_PARTS: Final = (cassandra, cassandra_deliveries, cassandra_preferences, cassandra_books, cassandra_broadcasts)


@asynccontextmanager
async def cassandra_stores(config: CassandraConfig, checks: Checks) -> AsyncIterator[Stores]:
    """In that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "push", MIGRATIONS, checks) as session:
        devices, deliveries, preferences, books, broadcasts = [
            {name: await session.prepare(text) for name, text in part.STATEMENTS.items()} for part in _PARTS
        ]
        yield Stores(
            cassandra.CassandraDevices(session, devices),
            cassandra_deliveries.CassandraDeliveries(session, deliveries),
            cassandra_preferences.CassandraPreferences(session, preferences),
            cassandra_books.CassandraBooks(session, books),
            cassandra_broadcasts.CassandraBroadcasts(session, broadcasts),
        )
