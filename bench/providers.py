"""What a notification costs one core of the push service: how many FCM and Web Push carry a second, and how long the
event loop stands still meanwhile. The carriers run in this process, as they are; who answers is a process of its own on
this machine, that looks at nothing: over plain HTTP for FCM, over TLS for Web Push."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.fcm import PROJECT, FcmPeer
from tests.support.smtp import certified

from bench.login import watched
from push_workloads.push.carrier import Carrier, Sent
from push_workloads.push.devices import Device
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.fcm.sender import fcm_carrier
from push_workloads.push.notification import Notification, Show
from push_workloads.push.webpush.config import WebPushConfig
from push_workloads.push.webpush.sender import webpush_carrier
from push_workloads.push.webpush.vapid import point, unpadded

AT_ONCE: Final = 32
UNLIMITED: Final = 100_000_000


async def _serve(folder: str | None) -> None:
    """Takes everything. Prints its port."""

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"name": f"projects/{PROJECT}/messages/1"}, status=201 if folder else 200)

    app = web.Application()
    app.router.add_post("/token", token)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    tls = None
    if folder is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(Path(folder) / "mail.crt", Path(folder) / "mail.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@asynccontextmanager
async def _peer(folder: Path | None) -> AsyncIterator[int]:
    command = [sys.executable, "-m", "bench.providers", "--serve", str(folder or "")]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        yield int(await child.stdout.readline())
    finally:
        child.terminate()
        await child.wait()


async def _measure(name: str, carrying: AbstractAsyncContextManager[Carrier], device: Device, sends: int) -> None:
    async with carrying as carrier:
        assert isinstance(await carrier.send(device, _hello(0)), Sent)  # connected, and with a token
        left = iter(range(sends))

        async def worker() -> None:
            for number in left:
                answer = await carrier.send(device, _hello(number))
                assert isinstance(answer, Sent), answer

        cpu, began = time.process_time(), time.monotonic()
        async with watched() as stalls:
            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    print(
        f"{name}: {sends / seconds:,.0f} a second, {AT_ONCE} at once; {cpu / sends * 1e6:.0f} CPU µs each, so"
        f" {sends / cpu:,.0f} a core; the loop's longest stall {stalls.longest_s * 1000:.1f} ms"
    )


def _hello(number: int) -> Notification:
    return Notification(
        f"m{number}", Show.ALERT, int(time.time()) + 600, title="Ann", body=f"Message {number} of an ordinary length.",
        badge=number % 100, collapse_id="user:ann", conversation="user:ann",
    )  # fmt: skip


async def measure(sends: int) -> None:
    async with _peer(None) as port:
        config = FcmConfig(FcmPeer(port).account, f"http://127.0.0.1:{port}", UNLIMITED)
        phone = Device("ann", "phone", "fcm", "t" * 160, None, None, None, 0, 0)
        await _measure("fcm", fcm_carrier(config), phone, sends)
    with tempfile.TemporaryDirectory() as made:
        _, certificate = certified(Path(made))
        async with _peer(Path(made)) as port:
            key = ec.generate_private_key(ec.SECP256R1())
            keys = unpadded(point(ec.generate_private_key(ec.SECP256R1()))), unpadded(os.urandom(16))
            browser = Device("ann", "d", "webpush", f"https://127.0.0.1:{port}/send/1", *keys, None, 0, 0)
            trust = ssl.create_default_context(cafile=certificate)
            webpush = WebPushConfig(key, "mailto:push@example.com", frozenset({"127.0.0.1"}))
            await _measure("webpush", webpush_carrier(webpush, trust), browser, sends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, default=10_000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(measure(given.sends) if given.serve is None else _serve(given.serve or None))


if __name__ == "__main__":
    main()
