"""What a gateway's ingress budget is worth: the latency of calm clients while a crowd sends far more than it can do,
with the budget and without it, in the same run.

The gateway, the crowd and this process are processes of their own; NATS and Valkey are real.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack

from aiohttp import ClientSession
from tests.support.flood import flood, table
from tests.support.services import environ_for, in_process, own_process

from bench.around import servers

BUDGETS = {"with the budget": {}, "without": {"MAX_LAG_MS": "0"}}


async def main(sockets: int, rate: float, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        folder, server, valkey = await stack.enter_async_context(servers())
        http = await stack.enter_async_context(ClientSession())
        environ = environ_for(NATS_URL=server.url, REDIS_URL=valkey.url)
        kept = {"SQLITE_PATH": str(folder / "history.db"), "LOG_MAX_BYTES": str(2 * 1024**3)}
        async with in_process("message", environ | kept) as message:  # makes the log; its own work is not of interest
            await message.ready()
        seen = {}
        for name, budget in BUDGETS.items():
            async with own_process("gateway", environ | budget, folder / "gateway.log") as gateway:
                await gateway.ready(http)
                seen[name] = await flood(f"{gateway.url.replace('http', 'ws')}/ws", sockets, rate, seconds)
    print(f"{sockets} sockets, {rate:g} messages a second each, for {seconds:g} s\n")
    print(table(seen))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=15.0, help="messages a second of each socket")
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.sockets, chosen.rate, chosen.seconds))
