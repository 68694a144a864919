"""The session over the driver: never blocks the loop, always answers in time, knows what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from cassandra import InvalidRequest, WriteTimeout, WriteType  # type: ignore[import-untyped]
from cassandra.cluster import Cluster  # type: ignore[import-untyped]
from tests.support.cassandra import CassandraServer
from tests.support.servers import free_port
from tests.support.waiting import eventually

from push_workloads.auth.accounts import Account
from push_workloads.auth.cassandra import cassandra_accounts
from push_workloads.common import cassandra as session
from push_workloads.common.cassandra import Cassandra, Undecided
from push_workloads.common.cassandra_connect import connect
from push_workloads.common.cassandra_schema import Check, opened
from push_workloads.common.errors import Conflict, Unavailable
from push_workloads.push.cassandra_stores import cassandra_stores
from push_workloads.push.devices import Device

TABLE = ["CREATE TABLE IF NOT EXISTS {ks}.things (id int PRIMARY KEY, value text)"]
PHONE = Device("u1", "phone", "fcm", "token-1", None, None, None, 1, 1)
ADA = Account("u1", "ada@example.com", None, "hash", 1)


@pytest.fixture
async def cassandra(cassandra_server: CassandraServer) -> AsyncIterator[Cassandra]:
    async with opened(await cassandra_server.emptied("session"), "test", TABLE, {}) as made:
        yield made


def test_the_driver_runs_on_libev() -> None:
    """Its other loops are slower by far, and the asyncore one is gone from Python 3.12."""
    assert Cluster.connection_class.__name__ == "LibevConnection"


async def test_many_more_at_once_than_may_be_in_flight(cassandra: Cassandra) -> None:
    put = await cassandra.prepare("INSERT INTO {ks}.things (id, value) VALUES (?, ?)")
    get = await cassandra.prepare("SELECT value FROM {ks}.things WHERE id = ?")
    await asyncio.gather(*(cassandra.write(put, number, str(number)) for number in range(1000)))
    rows = await asyncio.gather(*(cassandra.row(get, number) for number in range(1000)))
    assert rows == [{"value": str(number)} for number in range(1000)]


async def test_a_conditional_write_tells_what_stood_against_it(cassandra: Cassandra) -> None:
    add = await cassandra.prepare("INSERT INTO {ks}.things (id, value) VALUES (?, ?) IF NOT EXISTS")
    change = await cassandra.prepare("UPDATE {ks}.things SET value = ? WHERE id = ? IF value = ?")
    assert await cassandra.write_if(add, 1, "a") is None
    assert await cassandra.write_if(add, 1, "b") == {"id": 1, "value": "a"}
    assert await cassandra.write_if(change, "b", 1, "z") == {"value": "a"}
    assert await cassandra.write_if(change, "b", 1, "a") is None


async def test_a_wrong_statement_is_a_fault_and_no_outage(cassandra: Cassandra) -> None:
    with pytest.raises(InvalidRequest):
        await cassandra.rows("SELECT nothing FROM {ks}.things")


async def test_nobody_listening_and_a_wrong_datacenter_are_told(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await connect(replace(config, contact_points=(("127.0.0.1", free_port()),)))
    with pytest.raises(Unavailable, match="no contact point has an address"):
        await connect(replace(config, contact_points=(("no-such-host.invalid", 9042),)))
    with pytest.raises(Unavailable, match="no node in datacenter elsewhere; there is datacenter1"):
        await connect(replace(config, local_datacenter="elsewhere"))


async def test_a_wrong_password_is_told_and_not_repeated(cassandra_server: CassandraServer) -> None:
    with pytest.raises(Unavailable, match="refuses the login") as told:
        await connect(replace(cassandra_server.config(), password="not-this-one"))
    assert "not-this-one" not in told.value.message
    with pytest.raises(Unavailable, match="wants a login"):
        await connect(replace(cassandra_server.config(), user=None))


async def test_a_server_that_was_restarted_is_found_again_with_what_it_had(
    cassandra_server: CassandraServer,
) -> None:
    checks: dict[str, Check] = {}
    async with opened(await cassandra_server.emptied("session"), "test", TABLE, checks) as cassandra:
        await cassandra.write("INSERT INTO {ks}.things (id, value) VALUES (1, 'kept')")
        get = await cassandra.prepare("SELECT value FROM {ks}.things WHERE id = ?")
        await cassandra_server.stop()
        await eventually(checks["cassandra"], within=20)
        await cassandra_server.start()
        await eventually(lambda: checks["cassandra"]() is None, within=30)
        assert await cassandra.row(get, 1) == {"value": "kept"}


async def test_a_hanging_server_is_told_in_time_and_seen_when_it_is_back(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: dict[str, Check] = {}
    async with opened(await cassandra_server.emptied("session"), "test", TABLE, checks) as cassandra:
        get = await cassandra.prepare("SELECT value FROM {ks}.things WHERE id = ?")
        assert await eventually(lambda: checks["cassandra"]() is None)
        monkeypatch.setattr(session, "CALL_SECONDS", 0.5)
        cassandra_server.pause()
        try:
            started = asyncio.get_running_loop().time()
            answers = await asyncio.gather(*(cassandra.row(get, 1) for _ in range(1000)), return_exceptions=True)
            assert {type(answer) for answer in answers} == {Unavailable}
            assert asyncio.get_running_loop().time() - started < 2
            await eventually(checks["cassandra"])
        finally:
            cassandra_server.resume()
        await eventually(lambda: checks["cassandra"]() is None, within=20)
        assert await cassandra.row(get, 1) is None


async def test_a_registration_whose_answer_is_lost_is_settled_by_asking(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_of = session._answer

    def lost_if_conditional(response: Any) -> Any:
        async def lost() -> None:
            await answer_of(response)
            raise WriteTimeout("the end is unknown", write_type=WriteType.CAS)

        return answer_of(response) if response.query.is_idempotent else lost()

    async with cassandra_accounts(await cassandra_server.emptied("session"), {}) as accounts:
        monkeypatch.setattr(session, "_answer", lost_if_conditional)
        await accounts.add(ADA)
        assert await accounts.by_email(ADA.email) == ADA
        with pytest.raises(Conflict):
            await accounts.add(replace(ADA, id="u2"))
        assert await accounts.by_id("u2") is None


async def test_a_registration_that_never_arrived_is_not_there(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_arrives(*_: object) -> None:
        raise Undecided("Cassandra does not answer in time")

    async with cassandra_accounts(await cassandra_server.emptied("session"), {}) as accounts:
        with monkeypatch.context() as patch, pytest.raises(Unavailable):
            patch.setattr(Cassandra, "write_if", never_arrives)
            await accounts.add(ADA)
        assert await accounts.by_email(ADA.email) is None
        assert await accounts.by_id(ADA.id) is None
        await accounts.add(ADA)


async def test_a_device_whose_answers_are_lost_is_registered_once(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_if, calls = Cassandra.write_if, count()

    async def first_are_lost(self: Cassandra, *asked: Any) -> Any:
        answer = await write_if(self, *asked)
        if next(calls) < 3:
            raise Undecided("Cassandra does not answer in time")
        return answer

    async with cassandra_stores(await cassandra_server.emptied("session"), {}) as stores:
        devices = stores.devices
        monkeypatch.setattr(Cassandra, "write_if", first_are_lost)
        assert await devices.put(PHONE) == PHONE
        monkeypatch.undo()
        assert await devices.of_user("u1") == [PHONE]
