"""The five services as processes, as production runs them: they come up, say what they wait for, and stop in order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession
from tests.support.servers import Nats, Valkey, free_port
from tests.support.services import OwnProcess, environ_for, own_process
from tests.support.waiting import eventually

SERVICES = ("gateway", "auth", "message", "presence", "push")
ON_THE_BUS = ("gateway", "message", "presence", "push")


async def test_all_five_come_up_and_stop(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> None:
    async with AsyncExitStack() as stack:
        started = []
        for name in SERVICES:
            environ = environ_for(REDIS_URL=valkey_server.url, SQLITE_PATH=str(tmp_path / f"{name}.db"))
            if name in ON_THE_BUS:
                environ |= operators_nats_server.environ_of(name) | {"LOG_MAX_BYTES": str(64 * 1024**2)}
            started.append(await stack.enter_async_context(own_process(name, environ, tmp_path / f"{name}.log")))
        for service in started:
            await service.ready(http)
        assert [await service.stop() for service in started] == [0] * 5


@pytest.mark.parametrize("name", ON_THE_BUS)
async def test_without_a_bus_it_says_so_and_still_stops(
    name: str, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> None:
    environ = environ_for(
        REDIS_URL=valkey_server.url,
        SQLITE_PATH=str(tmp_path / "data.db"),
        NATS_URL=f"nats://127.0.0.1:{free_port()}",
    )
    async with own_process(name, environ, tmp_path / "service.log") as service:
        waiting = await eventually(lambda: _waiting(http, service), within=20)
        assert waiting["nats"] == "not connected to NATS"
        assert await service.stop() == 0


async def _waiting(http: ClientSession, service: OwnProcess) -> dict[str, str] | None:
    """What `/readyz` waits for, once the service has got as far as the bus."""
    try:
        async with http.get(f"{service.admin_url}/readyz") as answer:
            waiting: dict[str, str] = (await answer.json())["waiting"]
    except ClientError:
        return None
    return waiting if "nats" in waiting else None
