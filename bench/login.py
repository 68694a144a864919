"""What logins cost: how many a second, how long each takes, and how long the event loop stands still meanwhile.

The auth service runs in this process, with its own parameters of argon2id, SQLite and a real Valkey; those who log in
come from another process, many at once and more than it does at once, each with an account of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession
from tests.support.services import InProcess, environ_for, in_process

from bench.around import servers

LOOK_SECONDS = 0.001
PASSWORD = "a long enough password"


@dataclass
class Stalls:
    """How late a timer of the event loop was, at most."""

    longest_s: float = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Stalls]:
    stalls = Stalls()

    async def look() -> None:
        while True:
            due = time.monotonic() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            stalls.longest_s = max(stalls.longest_s, time.monotonic() - due)

    task = asyncio.create_task(look())
    try:
        yield stalls
    finally:
        task.cancel()


async def measure(users: int, rounds: int) -> None:
    async with servers() as (folder, _, valkey):
        environ = environ_for(REDIS_URL=valkey.url, SQLITE_PATH=str(folder / "accounts.db"), REGISTRATIONS_PER_HOUR="0")
        async with in_process("auth", environ) as auth:
            await auth.ready()
            await _child("register", auth, users, 1)
            async with watched() as idle:
                await asyncio.sleep(1)
            cpu, began = time.process_time(), time.monotonic()
            async with watched() as busy:
                told = await _child("login", auth, users, rounds)
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    done = users * rounds
    print(f"{done} logins, {users} at once: {done / seconds:.1f} a second, {cpu / done:.3f} CPU seconds each")
    print(f"each took: {told}")
    print(f"the loop's longest stall: {busy.longest_s * 1000:.1f} ms; idle: {idle.longest_s * 1000:.1f} ms")


async def _child(what: str, auth: InProcess, users: int, rounds: int) -> str:
    """What it prints."""
    command = [sys.executable, "-m", "bench.login", what, auth.url, str(users), str(rounds)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    if child.returncode != 0:
        raise SystemExit(f"bench.login {what} failed")
    return out.decode().strip()


async def ask(what: str, url: str, users: int, rounds: int) -> None:
    times: list[float] = []

    async def one(http: ClientSession, user: int) -> None:
        body = {"email": f"user{user}@example.com", "password": PASSWORD}
        for _ in range(rounds):
            began = time.monotonic()
            async with http.post(f"{url}/auth/{what}", json=body) as answer:
                answer.raise_for_status()
            times.append(time.monotonic() - began)

    async with ClientSession() as http:
        await asyncio.gather(*(one(http, user) for user in range(users)))
    percentiles = statistics.quantiles(times, n=100)
    print(f"p50 {percentiles[49]:.2f} s, p99 {percentiles[98]:.2f} s")


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] in (["register"], ["login"]):
        what, url, users, rounds = arguments
        asyncio.run(ask(what, url, int(users), int(rounds)))
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--users", type=int, default=50, help="who log in at once, at most 100 (default: 50)")
    options.add_argument("--rounds", type=int, default=4, help="logins of each (default: 4)")
    asked = options.parse_args(arguments)
    asyncio.run(measure(asked.users, asked.rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
