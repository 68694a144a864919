"""What the push service keeps, all of it: in one SQLite file, or over one session with Cassandra."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NamedTuple

from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.service import Process
from push_workloads.common.sqlite import opened
from push_workloads.common.tasks import beside
from push_workloads.push import sqlite, sqlite_deliveries, sqlite_preferences
from push_workloads.push.books import sqlite as sqlite_books
from push_workloads.push.books.ports import Books
from push_workloads.push.broadcast import sqlite as sqlite_broadcasts
from push_workloads.push.broadcast.ports import Broadcasts
from push_workloads.push.deliveries import DeliveryLog
from push_workloads.push.preference_store import PreferenceStore
from push_workloads.push.rows import Rows
from push_workloads.push.store import DeviceStore

# A file has had the first of them applied by their numbers: what is new comes last.
MIGRATIONS: Final = (
    *sqlite.MIGRATIONS,
    *sqlite_deliveries.MIGRATIONS,
    *sqlite_preferences.MIGRATIONS,
    *sqlite_books.MIGRATIONS,
    *sqlite_broadcasts.MIGRATIONS,
)


class Stores(NamedTuple):
    devices: DeviceStore
    deliveries: DeliveryLog
    preferences: PreferenceStore
    books: Books
    broadcasts: Broadcasts


def stores(config: StoreConfig, process: Process, now_ms: Callable[[], int]) -> AbstractAsyncContextManager[Stores]:
    if isinstance(config, SqliteConfig):
        return sqlite_stores(config.path, now_ms)
    # Here: its driver costs memory and start-up time, and brings threads.
    from push_workloads.push.cassandra_stores import cassandra_stores

    return cassandra_stores(config, process.checks)


@asynccontextmanager
async def sqlite_stores(path: str, now_ms: Callable[[], int]) -> AsyncIterator[Stores]:
    """In the file at `path`, made when it is not there; what is kept no longer is removed from it."""
    async with opened(path, MIGRATIONS, autocommit=True) as connection:
        deliveries = sqlite_deliveries.SqliteDeliveries(Rows(connection, "deliveries are"))
        async with beside(sqlite_deliveries.keep_swept(deliveries, now_ms)):
            yield Stores(
                sqlite.SqliteDevices(Rows(connection, "devices are")),
                deliveries,
                sqlite_preferences.SqlitePreferences(Rows(connection, "preferences are")),
                sqlite_books.SqliteBooks(Rows(connection, "templates and pushes are")),
                sqlite_broadcasts.SqliteBroadcasts(Rows(connection, "broadcasts are")),
            )
