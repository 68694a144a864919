"""A message to each of 1,000 people, who have sockets and phones: whom policy demands is told once, nobody else is,
while the push service is killed twice.

Real: NATS, Valkey, Cassandra, gateways and services, pushy's APNs server, a Web Push receiver that decrypts. FCM is
played by a peer that takes what Google's own schema allows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aiohttp import ClientSession
from tests.support.cassandra import CassandraServer
from tests.support.chat import data_plane
from tests.support.notified import PLATFORMS, Mood, Person, Phone, Wanted, people
from tests.support.notified_world import Notified, Told, notified_world
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_workloads.push.workers import PLACES

PEOPLE = 1000
SEED = 8
KILLS = 2
IN_FLIGHT = PLACES * len(PLATFORMS)  # sends, in a process
WHY = {  # what a device that is not told is told not for
    Mood.AT_ALL: {"received"},
    Mood.AT_ONE: {"received"},
    Mood.READS: {"received", "read"},
    Mood.MUTED: {"muted"},
    Mood.MUTED_ALL: {"muted"},
    Mood.HELD: {"quiet"},
}


async def test_every_push_that_policy_demands_arrives_once_and_no_other(
    operators_nats_server: Nats,
    valkey_server: Valkey,
    cassandra_server: CassandraServer,
    http: ClientSession,
    tmp_path: Path,
) -> None:
    crowd = list(people(PEOPLE, SEED))
    wanted = {phone for person in crowd for phone in person.phones if phone.wanted != "nothing"}
    await cassandra_server.emptied("proof")
    store = {"SQLITE_PATH": "", **cassandra_server.environ("proof")}
    async with (
        data_plane(operators_nats_server, valkey_server, tmp_path) as plane,
        notified_world(plane, operators_nats_server, valkey_server, store, http, tmp_path) as world,
    ):
        await world.admit(crowd)
        began = time.monotonic()
        await world.tell(crowd)
        for share in (3, 2):  # KILLS: when a third, and when half, of the notifications are out
            await _out(world, len(wanted) // share)
            await world.kill()
        told = await world.settled(crowd)
        took = time.monotonic() - began
        alerts, badges, lost = _verdict(crowd, told, await world.arrivals())
    kinds = Counter(f"{one.state} {one.reason or ''}".strip() for one in told.values())
    shown = f"{len(told)} devices of {PEOPLE} people in {took:.1f} s: {alerts} alerts and {badges} badges came once"
    print(f"\n{shown}, {lost} of unknown fate; {dict(sorted(kinds.items()))}")  # noqa: T201 - figures to be read
    assert alerts + badges + lost == len(wanted)
    assert lost <= KILLS * IN_FLIGHT


async def _out(world: Notified, number: int) -> None:
    async def are_out() -> bool:
        return await world.count() >= number

    await eventually(are_out, within=120)


def _verdict(crowd: Sequence[Person], told: dict[str, Told], arrived: dict[str, list[Wanted]]) -> tuple[int, int, int]:
    """How many alerts and badges arrived once, and how many sends nobody knows of: those of which the push service was
    killed between the claim and the answer."""
    alerts = badges = lost = 0
    for person in crowd:
        for phone in person.phones:
            fate, came = told[phone.device_id], arrived.get(phone.device_id, [])
            assert len(came) <= 1, (person.mood, phone, came)
            if phone.wanted == "nothing":
                _not_told(person, phone, fate, came)
            elif fate.state == "sent":
                assert came == [phone.wanted], (person.mood, phone, fate, came)
                alerts, badges = alerts + (phone.wanted == "alert"), badges + (phone.wanted == "badge")
            else:
                assert (fate.state, (fate.reason or "")[:9]) == ("failed", "ambiguous"), (person.mood, phone, fate)
                lost += 1
    return alerts, badges, lost


def _not_told(person: Person, phone: Phone, fate: Told, came: list[Wanted]) -> None:
    assert came == [], (person.mood, phone, fate)
    assert fate.reason in WHY[person.mood], (person.mood, phone, fate)
    assert fate.state == ("held" if person.mood is Mood.HELD else "cancelled"), (person.mood, phone, fate)
