"""A gateway is killed: who comes back within the grace was never gone, all others go offline once. Own processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.chat import Client, Frame, Plane, data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import OwnProcess, own_process

from push_workloads.common.presence_keys import LEASE_MS

GRACE = 4  # seconds
COMING_BACK = [f"back-{number}" for number in range(8)]
GONE = [f"gone-{number}" for number in range(8)]


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    """Everyone may see everyone."""
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        await made.message(PRESENCE_VISIBLE_TO="everyone")
        await made.presence(PRESENCE_GRACE_SECONDS=str(GRACE))
        yield made


async def test_nobody_sees_a_flap_and_offline_is_told_once_and_in_time(
    plane: Plane, http: ClientSession, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:

        async def gateway(name: str) -> OwnProcess:
            environ = plane.gateway_environ(PRESENCE_GRACE_SECONDS=str(GRACE))
            made = await stack.enter_async_context(own_process("gateway", environ, tmp_path / f"{name}.log"))
            await made.ready(http)
            return made

        first, second = await gateway("first"), await gateway("second")
        everyone = [*COMING_BACK, *GONE]
        for user in everyone:
            await plane.client(first, user, device_id="d1")
        watchers = [await plane.client(second, f"watcher-{number}") for number in range(3)]
        for watcher in watchers:
            await watcher.send(type="watch", user_ids=everyone)
            for user in everyone:
                await watcher.expect("presence", user_id=user, status="online")
            await watcher.send(type="watch", user_ids=["nobody"])  # all earlier answers are there before this one
            await watcher.expect("presence", user_id="nobody")
            await watcher.nothing_but_pong()

        first.child.kill()
        killed = asyncio.get_running_loop().time()
        for user in COMING_BACK:
            await plane.client(second, user, device_id="d1")
        told = [await _told(watcher, len(GONE), killed + LEASE_MS / 1000 + GRACE) for watcher in watchers]

        assert all(sorted((one["user_id"], one["status"]) for one in frames) == _offline(GONE) for frames in told)
        assert all(one["last_seen"] is not None for frames in told for one in frames)
        # The lease is over, and so is the grace: whatever was to be told has been.
        assert [await watcher.nothing_but_pong() for watcher in watchers] == [[], [], []]


async def _told(watcher: Client, count: int, by: float) -> list[Frame]:
    left = by - asyncio.get_running_loop().time()
    async with asyncio.timeout(left):
        return [await watcher.expect("presence", within=left) for _ in range(count)]


def _offline(users: list[str]) -> list[tuple[str, str]]:
    return sorted((user, "offline") for user in users)
