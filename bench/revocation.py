"""How long a logout takes until the sockets of that session are closed, on two gateways, and until they are refused;
against the same while the gateways have thousands of other sockets.

Auth and both gateways are processes of their own; NATS and Valkey are real.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientSession, WSMsgType
from tests.support.services import OwnProcess, environ_for, in_process, own_process

from bench.around import servers
from push_workloads.common.config import TokenConfig
from push_workloads.common.tokens import Tokens

ACCOUNT = {"email": "ada@example.com", "password": "correct horse"}


class Bench:
    def __init__(self, http: ClientSession, auth: OwnProcess, gateways: list[OwnProcess], tokens: Tokens) -> None:
        self._http, self._auth, self._gateways, self._tokens = http, auth, gateways, tokens

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        async with self._http.post(self._auth.url + path, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json() if answer.status != 204 else {}

    async def socket(self, gateway: OwnProcess, token: str) -> Any:
        made = await self._http.ws_connect(f"{gateway.url}/ws?token={token}", heartbeat=None)
        await made.receive_json()
        return made

    async def crowd(self, number: int) -> list[Any]:
        made = []
        for one in range(number):
            token = self._tokens.issue(f"user-{one}", int(time.time()), "t")
            made.append(await self.socket(self._gateways[one % len(self._gateways)], token))
        return made

    async def register(self) -> dict[str, Any]:
        return await self._post("/auth/register", ACCOUNT)

    async def logout(self) -> float:
        """Seconds from the request to the close of the last socket."""
        signed = await self._post("/auth/login", ACCOUNT)
        sockets = [await self.socket(one, signed["access_token"]) for one in self._gateways]
        began = time.perf_counter()
        closing = asyncio.gather(*map(_closed, sockets))
        await self._post("/auth/logout", {"refresh_token": signed["refresh_token"]})
        assert await closing == [4401] * len(sockets)
        return time.perf_counter() - began


async def _closed(socket: Any) -> int | None:
    async for message in socket:
        if message.type == WSMsgType.ERROR:
            break
    code: int | None = socket.close_code
    return code


async def main(logouts: int, sockets: int) -> None:
    async with AsyncExitStack() as stack:
        folder, server, valkey = await stack.enter_async_context(servers())
        http = await stack.enter_async_context(ClientSession())
        environ = environ_for(NATS_URL=server.url, REDIS_URL=valkey.url)
        kept = {"SQLITE_PATH": str(folder / "history.db"), "LOG_MAX_BYTES": str(1024**3)}
        message = await stack.enter_async_context(in_process("message", environ | kept))
        await message.ready()
        store = {"SQLITE_PATH": str(folder / "accounts.db")}
        auth = await stack.enter_async_context(own_process("auth", environ | store, folder / "auth.log"))
        gateways = [
            await stack.enter_async_context(own_process("gateway", environ, folder / f"gateway-{number}.log"))
            for number in range(2)
        ]
        for one in (auth, *gateways):
            await one.ready(http)
        secret = environ["JWT_SECRET"].encode()
        bench = Bench(http, auth, gateways, Tokens(TokenConfig(secret, 3600, "pushcluster")))
        await bench.register()
        print(f"{logouts} logouts, a socket on each of two gateways, {os.cpu_count()} cores\n")
        print(f"{'other sockets':>14}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}")
        for number in (0, sockets):
            crowd = await bench.crowd(number)
            took = sorted([await bench.logout() for _ in range(logouts)])
            shown = [took[len(took) // 2], took[int(len(took) * 0.95)], took[-1]]
            print(f"{number:>14}" + "".join(f"{one * 1000:>9.1f}" for one in shown))
            await asyncio.gather(*(one.close() for one in crowd))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logouts", type=int, default=200)
    parser.add_argument("--sockets", type=int, default=2000)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.logouts, chosen.sockets))
