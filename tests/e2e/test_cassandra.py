"""`push up` with a Cassandra of one's own: replicas that share it, data that outlives the platform, a bad address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession

from tests.e2e.running import MANIFEST, PASSWORD, READY_SECONDS, Running
from tests.support.cassandra import DATACENTER, USER, CassandraServer
from tests.support.cassandra import PASSWORD as STORE_PASSWORD
from tests.support.platform import Platform, eventually_now, free_offset
from tests.support.servers import free_port

KEYSPACE = "push_up"


def _manifest(folder: Path, contact_point: str) -> Path:
    body = yaml.safe_load(MANIFEST.read_text())
    two = {"replicas": 2}
    store = {
        "contactPoints": [contact_point],
        "keyspace": KEYSPACE,
        "localDatacenter": DATACENTER,
        "replication": 1,
        "credentialsSecret": "store",
    }
    login = {"username": USER, "password": STORE_PASSWORD}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": login}
    body["spec"] |= {"gateway": two, "auth": two, "message": two, "push": two, "cassandra": store}
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump_all([body, secret]))
    return path


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[list[Platform]]:
    """Two machines' worth of state folders."""
    made = [Platform(tmp_path / name, free_offset()) for name in ("first", "second")]
    for platform in made:
        platform.folder.mkdir()
    yield made
    for platform in made:
        if platform.process is not None and not platform.ended:
            platform.end()


async def test_a_platform_on_a_cassandra_of_ones_own(
    platforms: list[Platform], cassandra_server: CassandraServer
) -> None:
    await cassandra_server.emptied(KEYSPACE)
    account = {"email": "ada@example.com", "password": PASSWORD}
    made: dict[str, Any] = {}
    for number, platform in enumerate(platforms):
        platform.up(_manifest(platform.folder, f"127.0.0.1:{cassandra_server.port}"))
        platform.until_ready(READY_SECONDS)
        counts = {one["name"]: one["ready"] for one in platform.get()["status"]["components"]}
        assert [counts[name] for name in ("auth", "message", "push")] == [2, 2, 2]
        step = "login" if number else "register"
        url = Running(platform).url("auth", f"/auth/{step}")
        async with ClientSession() as http, http.post(url, json=account) as answer:
            body = await answer.json()
            assert answer.status == (200 if number else 201), body
        made = made or body
        assert body["user"] == made["user"]
        assert not list(platform.state.rglob("*.db"))
        platform.end()


def test_a_cassandra_that_nobody_answers_for_is_named_in_the_status(platforms: list[Platform]) -> None:
    platform = platforms[0]
    platform.up(_manifest(platform.folder, f"127.0.0.1:{free_port()}"))

    # It listens for `push get` before it says its first word; its folder is there earlier.
    told = "spec.cassandra.contactPoints: 127.0.0.1:"
    eventually_now(lambda: f"push: Unreachable: {told}" in platform.errors, 60, "the reason on the screen")
    assert told in platform.push("get")
