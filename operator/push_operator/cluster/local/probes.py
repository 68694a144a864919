"""Is a unit ready? One question each for HTTP services, NATS and Valkey; the answer is None, or why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp

PROBE_SECONDS = 1.0
Probe = Callable[[], Awaitable[str | None]]


def http_probe(session: aiohttp.ClientSession, url: str) -> Probe:
    """Ready when the URL answers 200. A body `{"waiting": {check: reason}}` says what it waits for."""

    async def probe() -> str | None:
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as response:
                return None if response.status == 200 else _waiting(response.status, await response.text())
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
            return "does not answer yet"

    return probe


def valkey_probe(port: int, password: str) -> Probe:
    """Ready when PING is answered: a server that still loads its file accepts connections and answers LOADING."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await _ping(port, password)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return "does not answer yet"
        return None if answer == b"+PONG\r\n" else answer.decode("utf-8", "replace").strip("-\r\n ")

    return probe


async def _ping(port: int, password: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"AUTH {password}\r\nPING\r\n".encode())
        await reader.readuntil(b"\n")
        return await reader.readuntil(b"\n")
    finally:
        writer.close()


def _waiting(status: int, body: str) -> str:
    try:
        reasons = json.loads(body)["waiting"].values()
        return "; ".join(str(reason) for reason in reasons) or f"answers {status}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"answers {status}"
