"""Devices in Cassandra: the store that replicas share.

Two things must hold whatever happens at the same time. A user has at most MAX_DEVICES: every change of a user's devices
is conditional on a number that each registration raises. An address has one owner: the row of the address names it, and
a device is one only while that row does, so that a phone that changed hands is its former owner's no more from the
moment on that it is written, and no crash in between can leave it with two.

Both tables are only ever written conditionally: mixed with plain writes, the later could lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from push_workloads.common.cassandra import Cassandra, Row, Statement, Undecided
from push_workloads.common.errors import Conflict, Unavailable
from push_workloads.common.tasks import together
from push_workloads.push.devices import MAX_DEVICES, Device, DevicePage, format_place, parse_place
from push_workloads.push.store import FULL

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.devices (
      user_id text, changes int static, device_id text,
      platform text, address text, p256dh text, auth text, app text, created_at bigint, updated_at bigint,
      PRIMARY KEY (user_id, device_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.device_addresses (
      platform text, address text, user_id text, device_id text, PRIMARY KEY ((platform, address))
    )
    """,
    *(f"ALTER TABLE {{ks}}.devices ADD {name} text" for name in ("locale", "time_zone", "app_version")),
)
ATTEMPTS: Final = 8
SETTLED_MS: Final = 600_000  # longer than any registration is under way, and than clocks differ
_COLUMNS: Final = ", ".join(Device._fields)
_DEVICES: Final = f"SELECT {_COLUMNS} FROM {{ks}}.devices"  # noqa: S608 - constants
STATEMENTS: Final = {
    "of_user": f"SELECT changes, {_COLUMNS} FROM {{ks}}.devices WHERE user_id = ?",  # noqa: S608 - constants
    "one": f"{_DEVICES} WHERE user_id = ? AND device_id = ?",
    "scan": f"{_DEVICES} LIMIT ?",
    "scan_user": f"{_DEVICES} WHERE user_id = ? AND device_id > ? LIMIT ?",
    "scan_users": f"{_DEVICES} WHERE token(user_id) > token(?) LIMIT ?",
    "put": f"""
        BEGIN UNLOGGED BATCH
          UPDATE {{ks}}.devices SET changes = ? WHERE user_id = ? IF changes = ?;
          INSERT INTO {{ks}}.devices ({_COLUMNS}) VALUES ({", ".join("?" for _ in Device._fields)});
        APPLY BATCH""",  # noqa: S608 - constants
    "remove": "DELETE FROM {ks}.devices WHERE user_id = ? AND device_id = ? IF address = ?",
    "clean": "DELETE FROM {ks}.devices WHERE user_id = ? AND device_id = ? IF changes = ?",
    "owner": "SELECT user_id, device_id FROM {ks}.device_addresses WHERE platform = ? AND address = ?",
    "claim": """
        INSERT INTO {ks}.device_addresses (platform, address, user_id, device_id) VALUES (?, ?, ?, ?) IF NOT EXISTS""",
    "take": """
        UPDATE {ks}.device_addresses SET user_id = ?, device_id = ? WHERE platform = ? AND address = ?
        IF user_id = ? AND device_id = ?""",
    "release": "DELETE FROM {ks}.device_addresses WHERE platform = ? AND address = ? IF user_id = ? AND device_id = ?",
}


class _Held(NamedTuple):
    """What a user has: every row, those that own their address, and the number that the next change is tied to."""

    rows: dict[str, Device]
    owned: list[Device]
    changes: int | None


class CassandraDevices:
    """A DeviceStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def put(self, device: Device) -> Device:
        """Row first, address then: until the second the address is where it was."""
        for _ in range(ATTEMPTS):
            held = await self._held(device.user_id)
            stored = _admitted(device, held)
            with suppress(Undecided):  # the same once more is the same
                if await self._changed(stored, held.changes):
                    await self._claim(stored)
                    await self._clean(stored, held)
                    return stored
        raise Unavailable("devices are not available now; try again", retry_after_ms=1000)

    async def of_user(self, user_id: str) -> list[Device]:
        return sorted((await self._held(user_id)).owned, key=lambda device: (device.created_at, device.device_id))

    async def remove(self, user_id: str, device_id: str) -> bool:
        row = await self._row(user_id, device_id)
        if row is None:
            return False
        owned = await self._owns(row)
        await self._removed(row)
        return owned

    async def remove_if(self, user_id: str, device_id: str, address: str) -> bool:
        device = await self.one(user_id, device_id)
        return device is not None and device.address == address and await self._removed(device)

    async def one(self, user_id: str, device_id: str) -> Device | None:
        row = await self._row(user_id, device_id)
        return row if row is not None and await self._owns(row) else None

    async def scan(self, after: str | None, limit: int) -> DevicePage:
        """In the order in which Cassandra keeps users. What is no device any more is read too, and left out."""
        rows = await self._scanned(after, limit)
        devices = [device for device in map(_device, rows) if device is not None]
        owners = await together(self._owns(device) for device in devices)
        found = [device for device, owns in zip(devices, owners, strict=True) if owns]
        last = format_place(rows[-1]["user_id"], rows[-1]["device_id"] or "") if len(rows) == limit else None
        return DevicePage(found, last)

    async def _scanned(self, after: str | None, limit: int) -> list[Row]:
        """The rest of a user's rows, then those of the users behind."""
        if after is None:
            return await self._cassandra.rows(self._statements["scan"], limit)
        user_id, device_id = parse_place(after)
        rows = await self._cassandra.rows(self._statements["scan_user"], user_id, device_id, limit)
        if len(rows) < limit:
            rows += await self._cassandra.rows(self._statements["scan_users"], user_id, limit - len(rows))
        return rows

    async def _row(self, user_id: str, device_id: str) -> Device | None:
        """Whether or not its address is still its own."""
        row = await self._cassandra.row(self._statements["one"], user_id, device_id)
        return _device(row) if row is not None else None

    async def _removed(self, row: Device) -> bool:
        """False when it has another address by now: then it stays."""
        stands = await self._cassandra.write_if(self._statements["remove"], row.user_id, row.device_id, row.address)
        address = (row.platform, row.address)
        await self._cassandra.write_if(self._statements["release"], *address, row.user_id, row.device_id)
        return stands is None

    async def _held(self, user_id: str) -> _Held:
        rows = await self._cassandra.rows(self._statements["of_user"], user_id)
        changes = rows[0]["changes"] if rows else None
        devices = {device.device_id: device for device in map(_device, rows) if device is not None}
        owners = await together(self._owns(device) for device in devices.values())
        owned = [device for device, owns in zip(devices.values(), owners, strict=True) if owns]
        return _Held(devices, owned, changes)

    async def _owns(self, device: Device) -> bool:
        owner = await self._cassandra.row(self._statements["owner"], device.platform, device.address)
        return owner == {"user_id": device.user_id, "device_id": device.device_id}

    async def _changed(self, device: Device, changes: int | None) -> bool:
        """False when another change came between: look again."""
        upped = ((changes or 0) + 1, device.user_id, changes)
        return await self._cassandra.write_if(self._statements["put"], *upped, *device) is None

    async def _claim(self, device: Device) -> None:
        """Takes the address from whoever has it. What the device's former address says stays: it names a device that
        is elsewhere now, which is nothing, and to delete it could hit the same device just coming back."""
        place, mine = (device.platform, device.address), (device.user_id, device.device_id)
        for _ in range(ATTEMPTS):
            stands = await self._cassandra.write_if(self._statements["claim"], *place, *mine)
            if stands is None:
                return
            owner = (stands["user_id"], stands["device_id"])
            if owner == mine or await self._cassandra.write_if(self._statements["take"], *mine, *place, *owner) is None:
                return
        raise Undecided("devices are not available now; try again", retry_after_ms=1000)

    async def _clean(self, device: Device, held: _Held) -> None:
        """Deletes this user's rows whose address is another's by now, unless the user has changed something since:
        then one of them may have come back. A young row may be that of a registration that has not claimed its address
        yet."""
        settled = device.updated_at - SETTLED_MS
        lost = [one for one in held.rows.values() if one not in held.owned and one.device_id != device.device_id]
        changes = (held.changes or 0) + 1
        await together(
            self._cassandra.write_if(self._statements["clean"], one.user_id, one.device_id, changes)
            for one in lost
            if one.updated_at < settled
        )


def _device(row: Row) -> Device | None:
    """None for the static column, which alone is a row too, without a device."""
    return Device(**{name: row[name] for name in Device._fields}) if row["device_id"] is not None else None


def _admitted(device: Device, held: _Held) -> Device:
    """The device as it will stand. Raises Conflict when the user has MAX_DEVICES others."""
    others = [
        one
        for one in held.owned
        if one.device_id != device.device_id and (one.platform, one.address) != (device.platform, device.address)
    ]
    if len(others) >= MAX_DEVICES:
        raise Conflict(FULL)
    before = held.rows.get(device.device_id)
    return device._replace(created_at=before.created_at) if before else device
