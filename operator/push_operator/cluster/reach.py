"""Asks by TCP whether servers are there: everything at once, each for two seconds, and nothing is said to them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from push_operator.plan.reach import Lost, Point, Target

CONNECT_SECONDS: Final = 2.0
REFUSED: Final = "refused"
NO_NAME: Final = "no such name"
NO_ANSWER: Final = f"no answer in {CONNECT_SECONDS:g} s"
Names = Callable[[str], Iterable[str]]
"""What a host of the manifest may be called here."""


def as_written(host: str) -> tuple[str, ...]:
    return (host,)


async def lost(targets: Iterable[Target], names: Names = as_written) -> tuple[Lost, ...]:
    """Those of which nothing accepts a connection."""
    wanted = tuple(targets)
    answers = await asyncio.gather(*(_failures(_point(point, names) for point in one.points) for one in wanted))
    return tuple(Lost(one, tuple(why)) for one, why in zip(wanted, answers, strict=True) if why)


async def _point(point: Point, names: Names) -> str:
    """Why it accepts no connection; empty when it does."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reasons = await _failures(_name(name, point.port) for name in names(point.host))
    except TimeoutError:
        return NO_ANSWER
    # Of a host with several names, those that nobody has say nothing.
    return next((why for why in reasons if why != NO_NAME), NO_NAME if reasons else "")


async def _name(host: str, port: int) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        known = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return NO_NAME if known else "its name cannot be looked up now"
    except UnicodeError:
        return NO_NAME  # a part of it is too long to be one
    return next(iter(await _failures(_address(family, address) for family, _, _, _, address in found)), "")


async def _address(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(tried, address)
        except ConnectionRefusedError:
            return REFUSED
        except OSError as error:
            return (error.strerror or type(error).__name__).lower()
    return ""


async def _failures(tries: Iterable[Awaitable[str]]) -> list[str]:
    """Why each of them failed, in their order; nothing, and at once, when one of them did not."""
    tasks = [asyncio.ensure_future(one) for one in tries]
    try:
        for done in asyncio.as_completed(tasks):
            if not await done:
                return []
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
