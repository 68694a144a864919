"""A gateway that is asked for more than it can do: who sends too much waits, everybody else hardly notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.chat import token_for
from tests.support.flood import Seen, flood, table
from tests.support.servers import Nats, Valkey
from tests.support.services import OwnProcess, environ_for, in_process, own_process
from tests.support.waiting import eventually

from push_workloads.common.tasks import beside

SOCKETS, RATE, SECONDS = 1200, 15.0, 5.0  # 18,000 messages a second: several times what one gateway does


class Watch:
    """What a gateway says of itself: the highest value of each number; and how it answers a client by SSE."""

    def __init__(self, http: ClientSession, gateway: OwnProcess) -> None:
        self._http = http
        self._gateway = gateway
        self.highest: dict[str, float] = {}
        self.refusals: set[tuple[int, str | None]] = set()

    async def look(self) -> dict[str, float]:
        async with self._http.get(f"{self._gateway.admin_url}/metrics") as answer:
            lines = [line.rpartition(" ") for line in (await answer.text()).splitlines()]
        now = {name: float(value) for name, _, value in lines if name.startswith("push_gateway_")}
        self.highest |= {name: max(value, self.highest.get(name, 0.0)) for name, value in now.items()}
        return now

    async def knock(self) -> None:
        async with self._http.get(f"{self._gateway.sse_url}/sse?token={token_for('listener')}") as answer:
            if answer.status != 200:
                self.refusals.add((answer.status, answer.headers.get("Retry-After")))

    async def run(self) -> None:
        while True:
            await self.look()
            await self.knock()
            await asyncio.sleep(0.2)

    async def is_calm(self) -> bool:
        now = await self.look()
        return now["push_gateway_pressure"] == now["push_gateway_unread"] == 0


async def test_a_crowd(
    nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = environ_for(NATS_URL=nats_server.url, REDIS_URL=valkey_server.url)
    kept = {"SQLITE_PATH": str(tmp_path / "history.db"), "LOG_MAX_BYTES": str(1024**3)}
    async with in_process("message", environ | kept) as message:  # makes the log; here it would only slow the calm ones
        await message.ready()
    seen: dict[str, Seen] = {}
    # A socket waits for its turn for longer than a silent one is left open.
    async with own_process("gateway", environ | {"HEARTBEAT_SECONDS": "2"}, tmp_path / "with.log") as gateway:
        await gateway.ready(http)
        watch = Watch(http, gateway)
        async with beside(watch.run()):
            seen["with the budget"] = told = await _flood(gateway)
        await eventually(watch.is_calm)
    async with own_process("gateway", environ | {"MAX_LAG_MS": "0"}, tmp_path / "without.log") as gateway:
        await gateway.ready(http)
        seen["without"] = await _flood(gateway)
    with capsys.disabled():
        print(f"\n{table(seen)}")  # noqa: T201 - what a machine makes of it is to be read, not to be relied on
    assert watch.highest["push_gateway_paused_total"] > SOCKETS
    assert watch.highest["push_gateway_unread"] > 0
    assert watch.highest["push_gateway_pressure"] == 2
    assert set(told.refusals) == watch.refusals == {(503, "2")}
    assert told.outcome.closed == {}
    assert told.outcome.lost == 0
    assert told.outcome.acked + sum(told.outcome.errors.values()) == told.outcome.sent


async def _flood(gateway: OwnProcess) -> Seen:
    return await flood(f"{gateway.url.replace('http', 'ws')}/ws", SOCKETS, RATE, SECONDS)
