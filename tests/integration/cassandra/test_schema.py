"""The schema is made once, however many ask for it at once and whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.common import cassandra_schema
from push_workloads.common.cassandra import Cassandra, Undecided
from push_workloads.common.cassandra_connect import connect
from push_workloads.common.cassandra_schema import Migrator, ensure_keyspace, ensure_schema, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable

TABLES = ("one", "two", "three")
MIGRATIONS = [f"CREATE TABLE IF NOT EXISTS {{ks}}.{table} (id int PRIMARY KEY)" for table in TABLES]
DYING_OWNER = Path(__file__).with_name("dying_owner.py")


@asynccontextmanager
async def connected(config: CassandraConfig) -> AsyncIterator[Cassandra]:
    cassandra = await connect(config)
    try:
        yield cassandra
    finally:
        await cassandra.close()


async def ledger(cassandra: Cassandra) -> dict[int, str]:
    rows = await cassandra.rows("SELECT number, owner FROM {ks}.schema_ledger WHERE component = 'test'")
    return {row["number"]: row["owner"] for row in rows}


async def test_of_five_at_once_one_makes_it_and_all_go_on(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()

    async def start() -> int:
        async with connected(config) as cassandra:
            await ensure_keyspace(cassandra, config)
            applied = await Migrator(cassandra, "test", MIGRATIONS).run()
            for table in TABLES:
                await cassandra.write(f"INSERT INTO {{ks}}.{table} (id) VALUES (1)")  # noqa: S608
            return applied

    assert sorted(await asyncio.gather(*(start() for _ in range(5)))) == [0, 0, 0, 0, 3]
    async with connected(config) as cassandra:
        made = await ledger(cassandra)
        assert sorted(made) == [1, 2, 3]
        assert len(set(made.values())) == 1
        assert await cassandra.rows("SELECT name FROM {ks}.schema_lock") == []


async def test_an_owner_that_dies_in_the_middle_is_followed_by_another(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()
    dying = await asyncio.create_subprocess_exec(
        sys.executable, str(DYING_OWNER), *MIGRATIONS,
        env=os.environ | cassandra_server.environ(config.keyspace), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert dying.stdout is not None
    assert await dying.stdout.readline() == b"in the middle\n"
    dying.kill()
    await dying.wait()
    async with connected(config) as cassandra:
        await ensure_keyspace(cassandra, config)
        assert await Migrator(cassandra, "test", MIGRATIONS).run() == 2
        made = await ledger(cassandra)
        assert sorted(made) == [1, 2, 3]
        assert made[1] != made[2] == made[3]


async def test_a_lock_whose_answer_is_lost_is_not_waited_out(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_if, calls = Cassandra.write_if, count()

    async def first_is_lost(self: Cassandra, *asked: Any) -> Any:
        answer = await write_if(self, *asked)
        if next(calls) == 0:
            raise Undecided("Cassandra does not answer in time")
        return answer

    config = cassandra_server.config()
    async with connected(config) as cassandra:
        monkeypatch.setattr(Cassandra, "write_if", first_is_lost)
        async with asyncio.timeout(30):
            assert await ensure_schema(cassandra, config, "test", MIGRATIONS) == 3


async def test_later_migrations_are_added_and_earlier_ones_left_alone(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()
    async with connected(config) as cassandra:
        await ensure_keyspace(cassandra, config)
        assert await Migrator(cassandra, "test", MIGRATIONS[:2]).run() == 2
        assert await Migrator(cassandra, "test", MIGRATIONS).run() == 1
        assert await Migrator(cassandra, "other", MIGRATIONS).run() == 3
        assert await Migrator(cassandra, "test", MIGRATIONS).run() == 0


async def test_a_statement_that_is_refused_is_told(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cassandra_schema, "ATTEMPTS", 2)
    config = cassandra_server.config()
    async with connected(config) as cassandra:
        with pytest.raises(Unavailable, match=r"Cassandra refuses the schema: .*no viable alternative"):
            await ensure_schema(cassandra, config, "test", ["CREATE NONSENSE"])


async def test_too_few_nodes_for_the_replication_are_waited_for_and_told(cassandra_server: CassandraServer) -> None:
    config = replace(cassandra_server.config(), replication=3)
    async with connected(config) as cassandra:
        with pytest.raises(Unavailable, match="datacenter1 has 1 nodes, and the keyspace needs 3"):
            await ensure_keyspace(cassandra, config)


async def test_a_keyspace_that_exists_is_taken_as_it_is(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()
    async with opened(config, "test", MIGRATIONS, {}):
        pass
    async with opened(replace(config, replication=9), "test", MIGRATIONS, {}):
        pass
