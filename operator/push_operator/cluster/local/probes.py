"""Is a unit ready? One question each for HTTP services, NATS and Valkey; the answer is None, or why not.

No answer within PROBE_SECONDS, from a process that has the connection, is a TimeoutError.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

PROBE_SECONDS = 1.0
NO_ANSWER: Final = "does not answer yet"
Probe = Callable[[], Awaitable[str | None]]


def http_probe(session: aiohttp.ClientSession, url: str) -> Probe:
    """Ready when the URL answers 200. A body `{"waiting": {check: reason}}` says what it waits for."""

    async def probe() -> str | None:
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as response:
                return None if response.status == 200 else _waiting(response.status, await response.text())
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, UnicodeDecodeError):
            return NO_ANSWER

    return probe


def valkey_probe(port: int, password: str) -> Probe:
    """Ready when PING is answered: a server that still loads its file accepts connections and answers LOADING."""

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await _ping(port, password)
        except TimeoutError:
            raise
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return NO_ANSWER
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
