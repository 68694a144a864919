"""What benchmarks run in: real servers in a folder of their own, and the door of the gateways beside ours."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from tests.support.servers import PLAIN_NATS, Nats, Valkey, running

from push_workloads.common.config import Listen


@asynccontextmanager
async def servers() -> AsyncIterator[tuple[Path, Nats, Valkey]]:
    """A folder that is gone afterwards, NATS and Valkey."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nats, valkey = Nats(folder / "nats", PLAIN_NATS), Valkey(folder / "valkey")
        async with running(nats), running(valkey):
            yield folder, nats, valkey


async def serve(ws: Callable[[web.Request], Awaitable[web.StreamResponse]], listen: Listen) -> None:
    """Sockets at `/ws`, until the process is ended."""
    app = web.Application()
    app.router.add_get("/ws", ws)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, listen.host, listen.port, backlog=4096).start()
    await asyncio.Event().wait()
