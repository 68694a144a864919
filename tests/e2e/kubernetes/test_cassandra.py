"""A platform on a Cassandra that the operator runs: replicas that share it, a pod that comes back elsewhere."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientConnectionError, ClientSession

from tests.e2e.kubernetes.place import Place, small
from tests.e2e.running import PASSWORD, new_email
from tests.support.cluster.running import Cluster
from tests.support.jars import NoJars
from tests.support.waiting import eventually


@pytest.fixture
def with_cassandra(cluster: Cluster) -> None:
    try:
        cluster.images.cassandra()
    except NoJars as missing:
        pytest.skip(str(missing))


@pytest.mark.usefixtures("with_cassandra")
async def test_replicas_share_a_managed_cassandra_which_may_move(place: Place, http: ClientSession) -> None:
    manifest = small(cassandra={"managed": {"storage": "5Gi"}})
    for service in ("auth", "message"):
        manifest["spec"][service]["replicas"] = 2
    place.apply(manifest)
    await asyncio.to_thread(place.until_ready)
    assert len(place.pods("auth")) == 2
    # Two replicas of auth behind one Service: an account that one of them made is known to the other.
    credentials = {"email": new_email(), "password": PASSWORD}
    async with http.post(place.url("auth", "/auth/register"), json=credentials) as answer:
        assert answer.status == 201, await answer.text()

    async def login() -> int:
        async with http.post(place.url("auth", "/auth/login"), json=credentials) as again:
            return again.status

    async def logged_in() -> bool:
        """Nobody answers while there is nothing behind auth."""
        try:
            return await login() == 200
        except ClientConnectionError:
            return False

    for _ in range(4):
        assert await login() == 200

    before = place.get("pod", "chat-cassandra-0")
    place.kubectl("delete", "pod", "chat-cassandra-0", "--wait=true")
    await asyncio.to_thread(place.until_ready)
    after = place.get("pod", "chat-cassandra-0")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["podIP"] != before["status"]["podIP"]
    await eventually(logged_in, within=60)
