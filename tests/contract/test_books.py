"""The adapters of the books behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.push.books.memory import MemoryBooks
from push_workloads.push.books.ports import KEEP_DAYS, Books
from push_workloads.push.cassandra_stores import cassandra_stores
from push_workloads.push.requests import Request, Stage
from push_workloads.push.stores import sqlite_stores
from push_workloads.push.templates import SILENT, Template, Text

SHIPPED = Template(Text("{data.order}"), {"de": Text("Bestellung", "{data.order}")})
REQUEST = Request("p1", b"digest", 3, 1_800_000_000_000, 1_800_000_005_000)


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    if request.param == "memory":
        yield MemoryBooks()
    elif request.param == "sqlite":
        async with sqlite_stores(str(tmp_path / "devices.db"), lambda: REQUEST.created_at) as in_file:
            yield in_file.books
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_stores(await server.emptied("contract_push"), {}) as shared:
            yield shared.books


async def test_templates_are_put_replaced_and_removed(books: Books) -> None:
    assert await books.templates() == {}
    await books.put_template("shipped", SILENT)
    await books.put_template("shipped", SHIPPED)
    await books.put_template("edit", SILENT)
    assert await books.templates() == {"shipped": SHIPPED, "edit": SILENT}
    assert await books.remove_template("edit")
    assert not await books.remove_template("edit")
    assert await books.templates() == {"shipped": SHIPPED}


async def test_of_many_with_one_id_one_is_added(books: Books) -> None:
    asked = [REQUEST._replace(digest=bytes([number])) for number in range(10)]
    stands = await asyncio.gather(*map(books.add_request, asked))
    winner = asked[stands.index(None)]
    assert [one for one in stands if one is not None] == [winner] * 9
    assert await books.request("p1") == winner
    assert await books.request("p2") is None


async def test_a_request_moves_on_from_where_it_is(books: Books) -> None:
    await books.add_request(REQUEST._replace(send_at=None))
    assert await books.move_request("p1", Stage.ACCEPTED, Stage.QUEUED)
    assert not await books.move_request("p1", Stage.ACCEPTED, Stage.CANCELLED)
    assert not await books.move_request("p2", Stage.ACCEPTED, Stage.CANCELLED)
    assert await books.request("p1") == REQUEST._replace(send_at=None, stage=Stage.QUEUED)


async def test_sqlite_forgets_what_is_old(tmp_path: Path) -> None:
    async with sqlite_stores(str(tmp_path / "devices.db"), lambda: REQUEST.created_at) as in_file:
        store = in_file.books
        await store.add_request(REQUEST)
        later = REQUEST._replace(push_id="p2", created_at=REQUEST.created_at + KEEP_DAYS * 86_400_000 + 1)
        await store.add_request(later)
        assert await store.request("p1") is None
        assert await store.request("p2") == later
