"""A Cassandra as the operator configures it: from a fresh node to a login that can do what it must and no more."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cassandra import Unauthorized  # type: ignore[import-untyped]
from tests.support.cassandra import ManagedCassandra, managed_config
from tests.support.jars import NoJars
from tests.support.servers import running
from tests.support.waiting import eventually

from push_workloads.auth.accounts import Account
from push_workloads.auth.cassandra import cassandra_accounts
from push_workloads.common import cassandra_login
from push_workloads.common.cassandra import Cassandra
from push_workloads.common.cassandra_connect import LoginRefused, connect
from push_workloads.common.cassandra_keyspace import make_keyspace
from push_workloads.common.cassandra_login import ADMIN, KNOWN_PASSWORD, admitted, login_statements
from push_workloads.common.cassandra_schema import Check, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable

ADA = Account("u1", "ada@example.com", "Ada", "hash", 1)
TABLE = ["CREATE TABLE IF NOT EXISTS {ks}.things (id int PRIMARY KEY, value text)"]
CACHED_SECONDS = 30  # a node believes for 2 s what it has read of a user; slow machines longer


def new_node(folder: Path, *, hasty: bool = False) -> ManagedCassandra:
    try:
        return ManagedCassandra(folder, hasty=hasty)
    except NoJars as missing:
        pytest.skip(f"nothing of Cassandra is tested here: {missing}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedCassandra]:
    """One for the module, as it takes 10 s to start."""
    made = new_node(tmp_path_factory.mktemp("managed"), hasty=True)
    yield made
    asyncio.run(made.kill())


@pytest.fixture
async def fresh(server: ManagedCassandra) -> ManagedCassandra:
    """Up, and as if nobody had ever logged in as one of ours."""
    if not server.running:
        await server.start()
    await forget(server.config())
    return server


@asynccontextmanager
async def session(config: CassandraConfig) -> AsyncIterator[Cassandra]:
    cassandra = await connect(config)
    try:
        yield cassandra
    finally:
        await cassandra.close()


async def let_in(config: CassandraConfig) -> Cassandra:
    """As the services do: again and again."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await admitted(config)
            except Unavailable:
                await asyncio.sleep(0.1)


def admin(config: CassandraConfig, password: str) -> CassandraConfig:
    return replace(config, user=ADMIN, password=password, admin_password=None)


async def takes(config: CassandraConfig) -> bool | None:
    """Whether the node takes this login; None while its caches change their mind between two connections."""
    try:
        async with session(config):
            return True
    except LoginRefused:
        return False
    except Unavailable:
        return None


async def logins(config: CassandraConfig) -> list[bool | None]:
    """Of the services, of the administrator with the known password, and with the generated one."""
    own = (config, admin(config, KNOWN_PASSWORD), admin(config, config.admin_password or ""))
    return [await takes(one) for one in own]


async def finished(config: CassandraConfig) -> bool:
    return await logins(config) == [True, False, True]


async def untouched(config: CassandraConfig) -> bool:
    return await logins(config) == [False, True, False]


async def forget(config: CassandraConfig) -> None:
    """Back to how a fresh node is."""

    async def as_admin() -> Cassandra | None:
        try:
            return await cassandra_login._as_admin(config)
        except LoginRefused:
            return None  # its first user is made some time after it listens

    cassandra = await eventually(as_admin, within=60)
    try:
        await cassandra.change_schema("DROP KEYSPACE IF EXISTS {ks}")
        for statement in (
            "DROP ROLE IF EXISTS push",
            "DROP ROLE IF EXISTS other",
            f"ALTER ROLE {ADMIN} WITH PASSWORD = '{KNOWN_PASSWORD}'",
        ):
            await cassandra.write(statement)
    finally:
        await cassandra.close()
    await eventually(lambda: untouched(config), within=CACHED_SECONDS)


async def test_of_many_that_start_with_a_fresh_node_all_are_let_in(tmp_path: Path) -> None:
    """From before it listens; its first user comes some time after that."""
    node = new_node(tmp_path / "node")
    config = node.config()
    waiting = asyncio.gather(*(let_in(config) for _ in range(5)))
    async with running(node):
        sessions = await waiting
        await asyncio.gather(*(one.close() for one in sessions))
        await eventually(lambda: finished(config), within=CACHED_SECONDS)


async def test_whole_services_start_together_and_share_what_they_keep(fresh: ManagedCassandra) -> None:
    config, checks = fresh.config(), [dict[str, Check]() for _ in range(3)]
    async with (
        asyncio.timeout(90),
        cassandra_accounts(config, checks[0]) as one,
        cassandra_accounts(config, checks[1]) as other,
        opened(config, "test", TABLE, checks[2]),
    ):
        await one.add(ADA)
        assert await other.by_email(ADA.email) == ADA
        assert [made["cassandra"]() for made in checks] == [None] * 3


async def test_the_login_may_touch_its_own_keyspace_and_nothing_else(fresh: ManagedCassandra) -> None:
    config = fresh.config()
    async with opened(config, "test", TABLE, {}) as own:
        await own.write("INSERT INTO {ks}.things (id, value) VALUES (1, 'mine')")
        await eventually(lambda: finished(config), within=CACHED_SECONDS)
        async with session(admin(config, config.admin_password or "")) as administrator:
            await administrator.write("CREATE ROLE other WITH PASSWORD = 'x' AND LOGIN = true")
        for statement in (
            "SELECT role FROM system_auth.roles",
            "INSERT INTO system_auth.roles (role, is_superuser) VALUES ('push', true)",
            "CREATE KEYSPACE another WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "DROP KEYSPACE {ks}",
            "ALTER KEYSPACE system_auth WITH durable_writes = false",
            "CREATE ROLE mine WITH LOGIN = true",
            "ALTER ROLE other WITH PASSWORD = 'y'",
            "ALTER ROLE push WITH SUPERUSER = true",
            f"ALTER ROLE {ADMIN} WITH PASSWORD = 'y'",
            "DROP ROLE other",
            "LIST ROLES OF other",
            "GRANT SELECT ON ALL KEYSPACES TO push",
        ):
            with pytest.raises(Unauthorized):
                await own.write(statement)


@pytest.mark.parametrize("done", range(len(login_statements(managed_config("", 0))) + 1))
async def test_one_that_was_killed_on_the_way_is_followed_by_another(
    fresh: ManagedCassandra, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """After any number of its statements: it can log in only if nothing is left to do."""
    config = fresh.config()
    monkeypatch.setattr(cassandra_login, "login_statements", lambda made: login_statements(made)[:done])
    await cassandra_login._make_login(config)
    if done < len(login_statements(config)):
        assert not await takes(config)
    monkeypatch.undo()
    cassandra = await let_in(config)
    await cassandra.close()
    await eventually(lambda: finished(config), within=CACHED_SECONDS)


async def test_one_that_is_late_repeats_what_is_done_and_harms_nobody(fresh: ManagedCassandra) -> None:
    config = fresh.config()
    async with opened(config, "test", TABLE, {}) as own:
        await own.write("INSERT INTO {ks}.things (id, value) VALUES (1, 'kept')")
        await cassandra_login._make_login(config)
        assert await own.rows("SELECT value FROM {ks}.things") == [{"value": "kept"}]
    await eventually(lambda: finished(config), within=CACHED_SECONDS)


async def test_without_the_administrators_password_nothing_is_made(fresh: ManagedCassandra) -> None:
    with pytest.raises(LoginRefused, match="it refuses the login"):
        await admitted(replace(fresh.config(), admin_password=None))
    async with session(admin(fresh.config(), KNOWN_PASSWORD)) as administrator:
        rows = await administrator.rows("SELECT keyspace_name FROM system_schema.keyspaces")
        assert "pushcluster" not in {row["keyspace_name"] for row in rows}


async def test_with_neither_password_it_says_so_and_changes_nothing(fresh: ManagedCassandra) -> None:
    """A volume that was kept while its Secret was not."""
    config = fresh.config()
    cassandra = await let_in(config)
    await cassandra.close()
    await eventually(lambda: finished(config), within=CACHED_SECONDS)
    with pytest.raises(LoginRefused, match="administrator"):
        await admitted(replace(config, password="another", admin_password="another one"))
    assert await finished(config)


async def test_no_password_is_logged_or_told(
    fresh: ManagedCassandra, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = fresh.config()
    secrets = (config.password or "", config.admin_password or "")
    caplog.set_level(logging.DEBUG)
    wrong = [f"{text} NONSENSE" for text in login_statements(config)[-2:]]
    for statement in wrong:
        with monkeypatch.context() as patch, pytest.raises(Unavailable) as told:
            patch.setattr(cassandra_login, "login_statements", lambda _, text=statement: (text,))
            await admitted(config)
        chain = f"{told.value!r} {told.value.__cause__!r} {told.value.__suppress_context__}"
        assert not any(secret in chain for secret in secrets)
        assert told.value.__suppress_context__
    await (await let_in(config)).close()
    assert not any(secret in caplog.text for secret in secrets)


async def test_the_keyspace_has_one_copy_on_its_one_node(fresh: ManagedCassandra) -> None:
    async with session(admin(fresh.config(), KNOWN_PASSWORD)) as administrator:
        await make_keyspace(administrator, fresh.config())
        await make_keyspace(administrator, fresh.config())
        found = await administrator.rows("SELECT keyspace_name, replication FROM system_schema.keyspaces")
        (made,) = (row["replication"] for row in found if row["keyspace_name"] == "pushcluster")
        assert dict(made)["datacenter1"] == "1"


async def test_a_restarted_node_has_its_data_and_its_logins(fresh: ManagedCassandra) -> None:
    """Killed: what was answered is on its disk, as no other node has it."""
    config = fresh.config()
    async with opened(config, "test", TABLE, {}) as own:
        await own.write("INSERT INTO {ks}.things (id, value) VALUES (1, 'kept')")
        await eventually(lambda: finished(config), within=CACHED_SECONDS)
        await own.write("INSERT INTO {ks}.things (id, value) VALUES (2, 'too')")
        await fresh.kill()
    await fresh.start()
    assert await finished(config)
    async with session(config) as again:
        rows = await again.rows("SELECT id, value FROM {ks}.things")
        assert sorted(rows, key=lambda row: row["id"]) == [{"id": 1, "value": "kept"}, {"id": 2, "value": "too"}]


async def test_a_node_that_comes_back_under_another_address_is_found_by_its_name(
    fresh: ManagedCassandra, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pod does. Between the two the name has no address, as while no pod is ready."""
    look_up, name = socket.getaddrinfo, "chat-cassandra.apps.svc"
    addresses: list[str] = []

    def resolved(host: Any, *more: Any, **options: Any) -> Any:
        if host != name:
            return look_up(host, *more, **options)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return look_up(addresses[0], *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    checks: dict[str, Check] = {}
    try:
        await moved(fresh, "127.0.0.2")
        addresses[:] = ["127.0.0.2"]
        async with opened(fresh.config(name), "test", TABLE, checks) as own:
            put = await own.prepare("INSERT INTO {ks}.things (id, value) VALUES (?, ?)")
            get = await own.prepare("SELECT value FROM {ks}.things WHERE id = ?")
            await own.write(put, 1, "before")
            addresses.clear()
            await moved(fresh, "127.0.0.3")
            await eventually(checks["cassandra"])
            addresses[:] = ["127.0.0.3"]
            await eventually(lambda: checks["cassandra"]() is None, within=30)
            assert await own.row(get, 1) == {"value": "before"}
            await own.write(put, 2, "after")
            assert own.nodes() == 1
    finally:
        await fresh.kill()
        fresh.address = "127.0.0.1"


async def moved(server: ManagedCassandra, address: str) -> None:
    await server.kill()
    server.address = address
    await server.start()
