"""The adapters of what the push service keeps behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer
from tests.support.waiting import eventually

from push_workloads.common.cassandra_schema import opened
from push_workloads.common.errors import Conflict
from push_workloads.common.sqlite import opened as opened_file
from push_workloads.push import cassandra, sqlite
from push_workloads.push.books.memory import MemoryBooks
from push_workloads.push.broadcast.memory import MemoryBroadcasts
from push_workloads.push.cassandra import CassandraDevices
from push_workloads.push.cassandra_stores import MIGRATIONS, cassandra_stores
from push_workloads.push.deliveries import Delivery, DeliveryLog, MemoryDeliveries, State
from push_workloads.push.devices import MAX_DEVICES, Device
from push_workloads.push.preference_store import Held, MemoryPreferences, PreferenceStore, change
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours, muted, unmuted
from push_workloads.push.sqlite_deliveries import KEEP_MS, ROWS, SqliteDeliveries
from push_workloads.push.store import DeviceStore, MemoryDevices
from push_workloads.push.stores import Stores, sqlite_stores

KEYSPACE = "contract_push"
NOW = 1_790_000_000_000
PHONE = Device("u1", "phone", "fcm", "token-1", None, None, "com.example", 1000, 1000, "de-CH", "Europe/Zurich", "4.2")


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "memory":
        yield Stores(MemoryDevices(), MemoryDeliveries(), MemoryPreferences(), MemoryBooks(), MemoryBroadcasts())
    elif request.param == "sqlite":
        async with sqlite_stores(str(tmp_path / "devices.db"), lambda: NOW) as in_file:
            yield in_file
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_stores(await server.emptied(KEYSPACE), {}) as shared:
            yield shared


@pytest.fixture
def devices(stores: Stores) -> DeviceStore:
    return stores.devices


@pytest.fixture
def deliveries(stores: Stores) -> DeliveryLog:
    return stores.deliveries


@pytest.fixture
def preferences(stores: Stores) -> PreferenceStore:
    return stores.preferences


async def test_a_device_is_registered_listed_and_removed(devices: DeviceStore) -> None:
    assert await devices.put(PHONE) == PHONE
    browser = Device("u1", "browser", "webpush", "https://push.example.com/1", "p", "a", None, 900, 900)
    await devices.put(browser)
    assert await devices.of_user("u1") == [browser, PHONE]
    assert await devices.of_user("u2") == []
    assert await devices.remove("u1", "phone")
    assert not await devices.remove("u1", "phone")
    assert not await devices.remove("u2", "browser")
    assert await devices.of_user("u1") == [browser]


async def test_registering_again_keeps_the_time_of_the_first(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    again = PHONE._replace(address="token-2", app=None, created_at=5000, updated_at=5000)
    stored = again._replace(created_at=1000)
    assert await devices.put(again) == stored
    assert await devices.of_user("u1") == [stored]


async def test_an_address_moves_to_its_new_owner(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(user_id="u2", device_id="other"))
    assert await devices.of_user("u1") == []
    assert [device.device_id for device in await devices.of_user("u2")] == ["other"]


async def test_an_address_moves_between_devices_of_one_user(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(device_id="reinstalled"))
    assert [device.device_id for device in await devices.of_user("u1")] == ["reinstalled"]


async def test_the_same_text_at_two_platforms_is_two_addresses(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(device_id="ipad", platform="apns"))
    assert len(await devices.of_user("u1")) == 2


async def test_a_full_user_may_change_devices_and_not_add_one(devices: DeviceStore) -> None:
    full = [PHONE._replace(device_id=f"d{number}", address=f"t{number}") for number in range(MAX_DEVICES)]
    for device in full:
        await devices.put(device)
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    await devices.put(full[3]._replace(address="t-new"))
    await devices.put(full[4]._replace(device_id="renamed"))
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    assert len(await devices.of_user("u1")) == MAX_DEVICES
    await devices.put(PHONE._replace(user_id="u2"))


async def test_many_devices_at_once_come_to_the_limit_and_not_over_it(devices: DeviceStore) -> None:
    for number in range(MAX_DEVICES - 2):
        await devices.put(PHONE._replace(device_id=f"d{number}", address=f"t{number}"))
    more = [PHONE._replace(device_id=f"m{number}", address=f"m{number}") for number in range(4)]
    answers = await asyncio.gather(*map(devices.put, more), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 2 + ["Device"] * 2
    assert len(await devices.of_user("u1")) == MAX_DEVICES


async def test_an_address_that_many_want_at_once_has_one_owner(devices: DeviceStore) -> None:
    users = [f"u{number}" for number in range(8)]
    await asyncio.gather(*(devices.put(PHONE._replace(user_id=user)) for user in users))
    assert len([user for user in users if await devices.of_user(user)]) == 1


async def test_an_address_that_went_and_came_back(devices: DeviceStore) -> None:
    for user in ("u1", "u2", "u1"):
        await devices.put(PHONE._replace(user_id=user))
    assert await devices.of_user("u1") == [PHONE]
    assert await devices.of_user("u2") == []
    assert not await devices.remove("u2", "phone")
    assert await devices.of_user("u1") == [PHONE]
    await devices.put(PHONE._replace(user_id="u2", device_id="tablet", address="t2"))
    assert [device.device_id for device in await devices.of_user("u2")] == ["tablet"]


async def test_a_refused_device_leaves_the_address_where_it_was(devices: DeviceStore) -> None:
    await devices.put(PHONE._replace(user_id="u2"))
    for number in range(MAX_DEVICES):
        await devices.put(PHONE._replace(device_id=f"d{number}", address=f"t{number}"))
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    assert len(await devices.of_user("u2")) == 1


async def test_one_device(devices: DeviceStore) -> None:
    tablet = PHONE._replace(device_id="tablet", platform="apns", address="t2")
    await devices.put(PHONE)
    await devices.put(tablet)
    assert await devices.one("u1", "phone") == PHONE
    assert await devices.one("u1", "tablet") == tablet
    assert await devices.one("u1", "watch") is None
    assert await devices.one("u2", "phone") is None
    await devices.put(PHONE._replace(user_id="u2"))
    assert await devices.one("u1", "phone") is None


async def test_a_device_is_removed_only_while_it_has_that_address(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    assert not await devices.remove_if("u1", "phone", "token-0")
    assert not await devices.remove_if("u2", "phone", "token-1")
    again = await devices.put(PHONE._replace(address="token-2"))
    assert not await devices.remove_if("u1", "phone", "token-1")
    assert await devices.of_user("u1") == [again]
    assert await devices.remove_if("u1", "phone", "token-2")
    assert not await devices.remove_if("u1", "phone", "token-2")
    assert await devices.of_user("u1") == []
    await devices.put(PHONE._replace(user_id="u2"))
    assert not await devices.remove_if("u1", "phone", "token-1")


async def _scanned(devices: DeviceStore, limit: int, after: str | None = None) -> list[Device]:
    found = []
    while True:
        page = await devices.scan(after, limit)
        assert len(page.devices) <= limit
        found += page.devices
        if page.after is None:
            return found
        after = page.after


async def test_a_scan_meets_each_device_once(devices: DeviceStore) -> None:
    assert await _scanned(devices, 10) == []
    all_of_them = [
        PHONE._replace(user_id=user, device_id=f"d{number}", address=f"{user}-{number}")
        for user, count in (("ann", 3), ("bob", 1), ("é. =", 7), ("zoë", 5), ("-", 1))
        for number in range(count)
    ]
    for device in all_of_them:
        await devices.put(device)
    for limit in (1, 2, 3, 5, 17, 18, 1000):
        found = await _scanned(devices, limit)
        assert sorted(found) == sorted(all_of_them)
        assert found == await _scanned(devices, 1000)


async def test_a_scan_goes_on_where_it_was_while_devices_come_and_go(devices: DeviceStore) -> None:
    for number in range(20):
        await devices.put(PHONE._replace(user_id=f"u{number}", address=f"t{number}"))
    first = await devices.scan(None, 8)
    seen = [device.user_id for device in first.devices]
    unseen = [f"u{number}" for number in range(20) if f"u{number}" not in seen]
    gone, moved = unseen[0], unseen[1]
    await devices.remove(seen[-1], "phone")  # where the page ended
    await devices.remove(gone, "phone")
    await devices.put(PHONE._replace(user_id=seen[0], device_id="second", address=f"t{moved[1:]}"))
    rest = [device.user_id for device in await _scanned(devices, 3, first.after)]
    assert sorted(one for one in rest if one != seen[0]) == sorted(set(unseen) - {gone, moved})


@pytest.mark.parametrize("text", ["", "u1", ".d", "=GG.d"])
async def test_a_scan_from_nowhere(devices: DeviceStore, text: str) -> None:
    with pytest.raises(ValueError):
        await devices.scan(text, 10)


def _delivery(state: State, at: int, reason: str | None = None, *, user: str = "ann", device: str = "d1") -> Delivery:
    return Delivery("m1", user, device, "fcm", state, reason, at, at % 3, f"p{at}" if state is State.SENT else None)


async def test_deliveries_are_listed_by_message_and_by_user(deliveries: DeliveryLog) -> None:
    users = ("ann", "bob", "cleo", "zoë")
    made = [_delivery(State.SENT, NOW + n, user=user, device=f"d{n}") for user in users for n in range(3)]
    await deliveries.record([])
    await deliveries.record(made[::-1])
    await deliveries.record([made[0]._replace(message_id="m2", state=State.FAILED, reason='it\'s "gone" — é')])
    assert await deliveries.of_user("m1", "bob") == made[3:6]
    assert await deliveries.of_user("m1", "eve") == []
    assert await deliveries.of_message("m1", None, 100) == made
    assert await deliveries.of_message("m1", ("bob", "d1"), 4) == made[5:9]
    assert await deliveries.of_message("m1", ("zoë", "d2"), 4) == []
    [other] = await deliveries.of_message("m2", None, 100)
    assert (other.state, other.reason) == (State.FAILED, 'it\'s "gone" — é')


WAYS = {
    "as they happened": [(State.QUEUED, 1), (State.HELD, 2), (State.QUEUED, 3), (State.SENT, 4)],
    "the later is no end": [(State.QUEUED, 1), (State.FAILED, 2), (State.QUEUED, 3), (State.HELD, 9)],
    "no end yet": [(State.QUEUED, 1), (State.HELD, 2), (State.QUEUED, 7)],
    "two ends": [(State.SENT, 3), (State.FAILED, 5), (State.QUEUED, 900_000_000)],
    "at once": [(State.QUEUED, 5), (State.SENT, 5)],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_the_later_counts_and_an_end_before_all(deliveries: DeliveryLog, way: list[tuple[State, int]]) -> None:
    steps = [_delivery(state, NOW + at, f"step {at}") for state, at in way]
    expected = max(steps, key=lambda one: (one.is_end, one.at))
    for number in range(4):
        told = [one._replace(device_id=f"d{number}") for one in steps]
        random.Random(number).shuffle(told)  # noqa: S311 - the same each time
        if number % 2:
            await deliveries.record(told)
        else:
            for one in told:
                await deliveries.record([one])
        assert (await deliveries.of_user("m1", "ann"))[number] == expected._replace(device_id=f"d{number}")


async def test_a_delivery_of_one_moment_is_one_of_them_and_none_mixed(deliveries: DeliveryLog) -> None:
    one, other = _delivery(State.FAILED, NOW, "zzz"), _delivery(State.CANCELLED, NOW, "aaa")._replace(attempts=99)
    await asyncio.gather(deliveries.record([one]), deliveries.record([other]))
    [kept] = await deliveries.of_user("m1", "ann")
    assert kept in (one, other)


async def test_old_deliveries_are_swept_from_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "devices.db")
    async with sqlite_stores(path, lambda: 0) as stores:  # its own sweep finds nothing old
        log = stores.deliveries
        assert isinstance(log, SqliteDeliveries)
        old = [_delivery(State.SENT, NOW - KEEP_MS - 1 - n, user=f"u{n}") for n in range(2 * ROWS + 1)]
        young = _delivery(State.SENT, NOW - KEEP_MS, user="young")
        await log.record([*old, young])
        assert await log.sweep(NOW) == len(old)
        assert await log.of_message("m1", None, 10_000) == [young]
    async with sqlite_stores(path, lambda: NOW + 1) as stores:

        async def is_swept() -> bool:
            return await stores.deliveries.of_message("m1", None, 10_000) == []

        await eventually(is_swept)


async def test_a_device_that_is_just_being_registered_is_not_swept_away(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, goes_on, claim = asyncio.Event(), asyncio.Event(), CassandraDevices._claim

    async def slow_for_the_first(self: CassandraDevices, device: Device) -> None:
        if device.device_id == PHONE.device_id:
            stopped.set()
            await goes_on.wait()
        await claim(self, device)

    monkeypatch.setattr(CassandraDevices, "_claim", slow_for_the_first)
    async with cassandra_stores(await cassandra_server.emptied(KEYSPACE), {}) as stores:
        async with asyncio.TaskGroup() as group:
            group.create_task(stores.devices.put(PHONE))
            await stopped.wait()  # its row is there, and no address is its own yet
            await stores.devices.put(PHONE._replace(device_id="tablet", address="token-2"))
            goes_on.set()
        assert [one.device_id for one in await stores.devices.of_user("u1")] == ["phone", "tablet"]


async def test_deliveries_end_by_themselves_in_cassandra(cassandra_server: CassandraServer) -> None:
    config = await cassandra_server.emptied(KEYSPACE)
    async with cassandra_stores(config, {}) as stores:
        await stores.deliveries.record([_delivery(State.QUEUED, NOW), _delivery(State.SENT, NOW, device="d2")])
    async with opened(config, "push", MIGRATIONS, {}) as session:
        rows = await session.rows("SELECT TTL(delivery) AS left FROM {ks}.deliveries")
    assert len(rows) == 2
    assert all(KEEP_MS / 1000 - 600 < row["left"] <= KEEP_MS / 1000 for row in rows)


QUIET = QuietHours("22:00", "07:00", "Europe/Zurich", "hold")


async def test_preferences_are_kept_and_forgotten(preferences: PreferenceStore) -> None:
    assert await preferences.held("ann") == Held(Preferences(), None)
    wanted = Preferences(QUIET, {"user:é": FOR_EVER, "*": NOW})
    assert await preferences.replace("ann", wanted, None)
    held = await preferences.held("ann")
    assert held.preferences == await preferences.of_user("ann") == wanted
    assert not await preferences.replace("ann", Preferences(), None)
    assert await preferences.replace("ann", Preferences(), held.version)
    assert not await preferences.replace("ann", wanted, held.version)
    assert await preferences.held("bob") == Held(Preferences(), None)
    assert await preferences.of_user("bob") == Preferences()
    for _ in range(2):
        await preferences.forget("ann")
    assert await preferences.held("ann") == Held(Preferences(), None)
    assert await preferences.replace("ann", wanted, None)


async def _mute(preferences: PreferenceStore, conversation: str) -> Preferences:
    return await change(preferences, "ann", lambda old: muted(old, conversation, FOR_EVER, NOW))


async def test_of_many_changes_at_once_none_is_lost(preferences: PreferenceStore) -> None:
    names = [f"user:{number}" for number in range(4)]
    await asyncio.gather(*(_mute(preferences, name) for name in names))
    assert (await preferences.held("ann")).preferences.mutes == dict.fromkeys(names, FOR_EVER)
    await change(preferences, "ann", lambda old: unmuted(old, "user:2", NOW))
    assert "user:2" not in (await preferences.held("ann")).preferences.mutes


async def test_a_file_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = str(tmp_path / "devices.db")
    async with opened_file(path, sqlite.MIGRATIONS[:1], autocommit=True):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as before:
        before.execute("INSERT INTO devices VALUES ('u1', 'phone', 'fcm', 'token-1', NULL, NULL, 'com.example', 5, 6)")
    async with sqlite_stores(path, lambda: NOW) as stores:
        old = Device("u1", "phone", "fcm", "token-1", None, None, "com.example", 5, 6)
        assert await stores.devices.of_user("u1") == [old]
        assert await stores.devices.put(PHONE) == PHONE._replace(created_at=5)


async def test_a_keyspace_of_before_is_brought_up_to_date(cassandra_server: CassandraServer) -> None:
    config = cassandra_server.config()
    async with opened(config, "push", cassandra.MIGRATIONS[:2], {}) as session:
        await session.write(
            "INSERT INTO {ks}.devices (user_id, changes, device_id, platform, address, created_at, updated_at) "
            "VALUES ('u1', 1, 'phone', 'fcm', 'token-1', 5, 6) IF NOT EXISTS"
        )
        await session.write(
            "INSERT INTO {ks}.device_addresses (platform, address, user_id, device_id) "
            "VALUES ('fcm', 'token-1', 'u1', 'phone') IF NOT EXISTS"
        )
        # As a process does that dies between a statement and its entry in the ledger: it may run twice.
        await session.change_schema(cassandra.MIGRATIONS[2])
    async with cassandra_stores(config, {}) as stores:
        old = Device("u1", "phone", "fcm", "token-1", None, None, None, 5, 6)
        assert await stores.devices.of_user("u1") == [old]
        assert await stores.devices.put(PHONE) == PHONE._replace(created_at=5)
