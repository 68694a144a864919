"""What a push to Apple costs: sends in a CPU second of one worker, beside plain aioapns in the same run.

The peer is pushy's validating server, a process of its own: over TLS and HTTP/2, every provider token's signature
checked. Ours is the carrier, from the notification to the answer; aioapns is given a payload that is ready, ALPN, which
it does not ask for by itself, and only tokens that are alive: after 1,285 dead ones it would stop. Each is measured in
turn, several times; the best of each counts, as the machine is not ours alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from tests.support.apns.pushy import KEY_ID, PATIENT, TEAM_ID, TOPIC, ApnsPeer, alive, apns_peer, dead

from push_workloads.push.apns.carrier import apns_carrier
from push_workloads.push.apns.pool import context_of
from push_workloads.push.carrier import Carrier, Dead, Sent
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show

ROUNDS: Final = 5
AT_ONCE: Final = 64
TEXT: Final = "See you at eight, and bring the tickets"
HELLO: Final = Notification("m1", Show.ALERT, 2_000_000_000, "Ann", TEXT, badge=3, conversation="user:ann")


class Measured(NamedTuple):
    """`per_cpu_s` and `per_s`: sends in a second of this process's CPU, and of the clock. `stall_s`: the longest time
    for which the loop did nothing else."""

    per_cpu_s: float
    per_s: float
    stall_s: float


async def measured(count: int, send: Callable[[int], Awaitable[None]]) -> Measured:
    """AT_ONCE at a time."""
    numbers, longest = iter(range(count)), 0.0

    async def one_after_another() -> None:
        for number in numbers:
            await send(number)

    async def look() -> None:
        nonlocal longest
        while True:
            due = time.monotonic() + 0.001
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - due)

    looking = asyncio.create_task(look())
    cpu, clock = time.process_time(), time.monotonic()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    looking.cancel()
    return Measured(count / cpu, count / clock, longest)


def ours(carrier: Carrier, token: Callable[[int], str], answer: type) -> Callable[[int], Awaitable[None]]:
    async def send(number: int) -> None:
        device = Device("bob", "d1", "apns", token(number), None, None, None, 0, 0)
        assert isinstance(await carrier.send(device, HELLO), answer)

    return send


def plain(client: APNs) -> Callable[[int], Awaitable[None]]:
    aps = {"alert": {"title": "Ann", "body": TEXT}, "sound": "default", "badge": 3, "thread-id": "user:ann"}
    message = {"aps": aps, "message_id": "m1", "conversation": "user:ann"}

    async def send(number: int) -> None:
        request = NotificationRequest(alive(number), message, None, 3600, 10, None, PushType.ALERT)
        assert (await client.send_notification(request)).is_successful

    return send


def aioapns_to(peer: ApnsPeer) -> APNs:
    config = peer.config()
    client = APNs(key=config.key, key_id=KEY_ID, team_id=TEAM_ID, topic=TOPIC, max_connections=1,
                  ssl_context=context_of(config.ca))  # fmt: skip
    # It closes after 10 s of rest, and then sends on what is closed.
    where = {"APNS_SERVER": config.host, "APNS_PORT": config.port, "INACTIVITY_TIME": 3600}
    client.pool.protocol_class = type("ToThePeer", (APNsTLSClientProtocol,), where)
    return client


def told(name: str, runs: list[Measured]) -> float:
    best = max(run.per_cpu_s for run in runs)
    stall_ms = 1000 * min(run.stall_s for run in runs), 1000 * max(run.stall_s for run in runs)
    print(f"{name:18}{best:12,.0f}{max(run.per_s for run in runs):10,.0f}{stall_ms[0]:10.1f} to {stall_ms[1]:.1f} ms")
    return best


async def main(count: int) -> None:
    logging.getLogger("aioapns").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        async with apns_peer(Path(name), quiet=True) as peer, apns_carrier(peer.config(), limits=PATIENT) as carrier:
            client = aioapns_to(peer)
            ways = {
                "ours": ours(carrier, alive, Sent),
                "ours, dead tokens": ours(carrier, dead, Dead),
                "plain aioapns": plain(client),
            }
            runs: dict[str, list[Measured]] = {way: [] for way in ways}
            for send in ways.values():  # connections, the peer's compiler
                await measured(AT_ONCE * 5, send)
            for _ in range(ROUNDS):
                for way, send in ways.items():
                    runs[way].append(await measured(count, send))
            client.pool.close()
    print(f"{'':18}{'per CPU s':>12}{'per s':>10}   longest stall of the loop, best and worst round")
    best = {way: told(way, found) for way, found in runs.items()}
    print(f"ours against plain aioapns: {best['ours'] / best['plain aioapns']:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="sends in a round (default: 500)")
    uvloop.run(main(parser.parse_args().count))
