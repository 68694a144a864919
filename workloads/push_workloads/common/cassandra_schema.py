"""The keyspace and its tables: made once, by one of many processes that start together, while the others wait.

Each statement of a component has a number and is written into a ledger when all nodes have it. Who changes the schema
holds a lock: a row that ends by itself, so that another takes over when its owner died; and as the owner may only have
been asleep, or died between a statement and its entry, **each statement must be one that may run twice**
(`CREATE … IF NOT EXISTS`, and one `ALTER TABLE … ADD` of one column, which is left out when the column is there).
Only CQL that Cassandra 5 and ScyllaDB both run.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from push_workloads.common.cassandra import SCHEMA_SECONDS, Cassandra, Refused, Statement, Undecided
from push_workloads.common.cassandra_connect import reconnect
from push_workloads.common.cassandra_keyspace import make_keyspace
from push_workloads.common.cassandra_login import admitted
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import beside

LOCK_SECONDS: Final = int(2 * SCHEMA_SECONDS)  # longer than a statement may take; renewed before each
WATCH_SECONDS: Final = 2.0
ATTEMPTS: Final = 30  # 10 s
_LOCK: Final = "schema"
_ADD: Final = re.compile(r"ALTER TABLE \{ks\}\.(\w+) ADD (\w+) \w+")
_log = logging.getLogger(__name__)

_LEDGER: Final = {
    "schema_ledger": "CREATE TABLE IF NOT EXISTS {ks}.schema_ledger (component text, number int, owner text, "
    "PRIMARY KEY (component, number))",
    "schema_lock": "CREATE TABLE IF NOT EXISTS {ks}.schema_lock (name text PRIMARY KEY, owner text)",
}

Check = Callable[[], str | None]
Checks = MutableMapping[str, Check]


@asynccontextmanager
async def opened(
    config: CassandraConfig, component: str, migrations: Sequence[str], checks: Checks
) -> AsyncIterator[Cassandra]:
    """A session in the keyspace, with every migration of the component applied. Waits for Cassandra without limit, and
    says under the check `cassandra` what it waits for: now, and later when Cassandra goes away."""
    state = _State()
    checks["cassandra"] = lambda: state.waiting
    cassandra = await _ready(config, component, migrations, state)
    try:
        watched = await cassandra.prepare("SELECT owner FROM {ks}.schema_lock WHERE name = ?")
        state.now(None)
        async with beside(_watch(cassandra, config, watched, state)):
            yield cassandra
    finally:
        await cassandra.close()


class _State:
    """What stands between this process and Cassandra; each change is one line of the log."""

    def __init__(self) -> None:
        self.waiting: str | None = "not connected to Cassandra"

    def now(self, waiting: str | None) -> None:
        if waiting != self.waiting:
            _log.log(logging.WARNING if waiting else logging.INFO, "Cassandra: %s", waiting or "ready")
        self.waiting = waiting


async def _ready(config: CassandraConfig, component: str, migrations: Sequence[str], state: _State) -> Cassandra:
    while True:
        try:
            return await _attempt(config, component, migrations)
        except Unavailable as error:
            state.now(error.message)
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries


async def _attempt(config: CassandraConfig, component: str, migrations: Sequence[str]) -> Cassandra:
    cassandra = await admitted(config)
    try:
        await ensure_schema(cassandra, config, component, migrations)
    except BaseException:
        await cassandra.close()
        raise
    return cassandra


async def _watch(cassandra: Cassandra, config: CassandraConfig, statement: Statement, state: _State) -> None:
    """A small read by quorum now and then: whether it is answered is whether requests would be.

    When every node is away, the names of the contact points are asked anew: a pod that was restarted has another
    address, and the driver resolves a name only once.
    """
    while True:
        try:
            await cassandra.row(statement, _LOCK)
            state.now(None)
        except Unavailable as error:
            state.now(error.message)
            if cassandra.nodes() == 0:
                with suppress(Unavailable):  # what it waits for is said already
                    await reconnect(cassandra, config)
        await asyncio.sleep(WATCH_SECONDS)


async def ensure_schema(
    cassandra: Cassandra, config: CassandraConfig, component: str, migrations: Sequence[str]
) -> int:
    """How many statements this process applied. What another process has just made can be listed already and not yet
    known to the node that is asked: a refusal counts when it is repeated."""
    for _ in range(ATTEMPTS):
        try:
            await ensure_keyspace(cassandra, config)
            return await Migrator(cassandra, component, migrations).run()
        except Refused as error:
            refused = error
            await asyncio.sleep(random.uniform(0.2, 0.5))  # noqa: S311 - spreads retries
    raise Unavailable(f"Cassandra refuses the schema: {refused}") from refused


async def ensure_keyspace(cassandra: Cassandra, config: CassandraConfig) -> None:
    """The keyspace, and in it what changes of the schema are done with."""
    await make_keyspace(cassandra, config)
    await _ensure_ledger(cassandra)


async def _ensure_ledger(cassandra: Cassandra) -> None:
    """Without a lock: it is what the lock is made of. All processes ask one node, see `change_schema`; there the
    statement waits for one that is under way, while a look at the list of tables would not."""
    for table, statement in _LEDGER.items():
        try:
            await cassandra.prepare(f"SELECT owner FROM {{ks}}.{table}")  # noqa: S608 - a constant
        except Refused:
            await cassandra.change_schema(statement)


class Migrator:
    """Applies the statements of one component that the ledger lacks, or waits for whoever does."""

    def __init__(
        self, cassandra: Cassandra, component: str, migrations: Sequence[str], lock_seconds: int = LOCK_SECONDS
    ) -> None:
        self._cassandra = cassandra
        self._component = component
        self._migrations = migrations
        self._lock_seconds = lock_seconds
        self._owner = secrets.token_hex(8)

    async def run(self) -> int:
        """How many statements this process applied."""
        self._done = await self._cassandra.prepare("SELECT number FROM {ks}.schema_ledger WHERE component = ?")
        applied = 0
        while await self._pending():
            if not await self._lock():
                await asyncio.sleep(random.uniform(0.2, 0.5))  # noqa: S311 - spreads retries
                continue
            try:
                applied += await self._apply()
            finally:
                await self._unlock()
        return applied

    async def _pending(self) -> list[int]:
        done = {row["number"] for row in await self._cassandra.rows(self._done, self._component)}
        return [number for number in range(1, len(self._migrations) + 1) if number not in done]

    async def _apply(self) -> int:
        """Reads the ledger again: between the first look and the lock another may have finished."""
        record = await self._cassandra.prepare(
            "INSERT INTO {ks}.schema_ledger (component, number, owner) VALUES (?, ?, ?)"
        )
        pending = await self._pending()
        for number in pending:
            await self._renew()
            await self._change(self._migrations[number - 1])
            await self._cassandra.write(record, self._component, number, self._owner)
            _log.info("schema changed", extra={"component": self._component, "number": number})
        return len(pending)

    async def _change(self, statement: str) -> None:
        """ScyllaDB has no `ADD IF NOT EXISTS`. A column that another adds after the look is a refusal, and is seen the
        next time."""
        added = _ADD.fullmatch(statement.strip())
        if added is None or not await self._has_column(added[1], added[2]):
            await self._cassandra.change_schema(statement)

    async def _has_column(self, table: str, column: str) -> bool:
        look = await self._cassandra.prepare(
            "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"
        )
        rows = await self._cassandra.rows(look, self._cassandra.keyspace, table)
        return column in {row["column_name"] for row in rows}

    async def _lock(self) -> bool:
        take = await self._cassandra.prepare(
            "INSERT INTO {ks}.schema_lock (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?"
        )
        try:
            held = await self._cassandra.write_if(take, _LOCK, self._owner, self._lock_seconds)
        except Undecided:
            return False  # the next try finds it taken by ourselves, or free
        return held is None or held.get("owner") == self._owner

    async def _renew(self) -> None:
        """Raises Unavailable when the lock was lost; the next attempt begins anew."""
        renew = await self._cassandra.prepare(
            "UPDATE {ks}.schema_lock USING TTL ? SET owner = ? WHERE name = ? IF owner = ?"
        )
        if await self._cassandra.write_if(renew, self._lock_seconds, self._owner, _LOCK, self._owner) is not None:
            raise Unavailable("another process has taken over the change of the schema")

    async def _unlock(self) -> None:
        """As a courtesy: it ends by itself."""
        release = await self._cassandra.prepare("DELETE FROM {ks}.schema_lock WHERE name = ? IF owner = ?")
        with suppress(Unavailable):
            await self._cassandra.write_if(release, _LOCK, self._owner)
