"""Fixtures for all tests. Servers are real; NATS and Valkey, which start in under 0.1 s, are fresh for each test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, settings

from tests.support.cassandra import CassandraServer
from tests.support.jars import NoJars
from tests.support.servers import PLAIN_NATS, Nats, Valkey, operators_nats, running
from tests.support.services import listening

# The same examples each time, and no clock: a slow machine is no failure.
settings.register_profile(
    "deterministic", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("deterministic")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped: a missing tool there is a fault, not a reason."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CI") != "true":
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        reporter.write_line(f"\nCI: {len(skipped)} skipped, which counts as failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """`HOST:PORT` of a server that is not the operator's; it accepts and says nothing."""
    with closing(listening()) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """NATS with JetStream, no users."""
    server = Nats(tmp_path / "nats", PLAIN_NATS)
    async with running(server):
        yield server


@pytest.fixture
async def operators_nats_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """NATS as the operator configures it: `environ_of(service)` logs in."""
    server = operators_nats(tmp_path / "nats")
    async with running(server):
        yield server


@pytest.fixture
async def valkey_server(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    async with running(server):
        yield server


@pytest.fixture(scope="session")
def cassandra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraServer]:
    """One for all tests, as it takes 10 s to start: each test has a keyspace of its own, and leaves it running."""
    try:
        server = CassandraServer(tmp_path_factory.mktemp("cassandra"))
    except NoJars as missing:
        pytest.skip(f"nothing of Cassandra is tested here: {missing}")
    # In a thread: a test that is async itself may be the first to ask for it.
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(lambda: asyncio.run(server.start())).result()
            yield server
        finally:
            thread.submit(lambda: asyncio.run(server.kill())).result()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session
