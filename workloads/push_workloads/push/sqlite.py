"""Devices in SQLite: the embedded store."""

from __future__ import annotations

from typing import Final

from push_workloads.common.errors import Conflict
from push_workloads.push.devices import MAX_DEVICES, Device, DevicePage, format_place, parse_place
from push_workloads.push.rows import Rows
from push_workloads.push.store import FULL

MIGRATIONS: Final = (
    """
    CREATE TABLE devices (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      platform TEXT NOT NULL,
      address TEXT NOT NULL,
      p256dh TEXT,
      auth TEXT,
      app TEXT,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY (user_id, device_id),
      UNIQUE (platform, address)
    );
    """,
    """
    ALTER TABLE devices ADD COLUMN locale TEXT;
    ALTER TABLE devices ADD COLUMN time_zone TEXT;
    ALTER TABLE devices ADD COLUMN app_version TEXT;
    """,
)
_COLUMNS: Final = ", ".join(Device._fields)
_DEVICES: Final = f"SELECT {_COLUMNS} FROM devices"  # noqa: S608 - constants
_OF_USER: Final = f"{_DEVICES} WHERE user_id = ? ORDER BY created_at, device_id"
_ONE: Final = f"{_DEVICES} WHERE user_id = ? AND device_id = ?"
_SCAN: Final = f"{_DEVICES} WHERE (user_id, device_id) > (?, ?) ORDER BY user_id, device_id LIMIT ?"
_REMOVE: Final = "DELETE FROM devices WHERE user_id = ? AND device_id = ?"
_BUT_SINCE_WHEN: Final = ", ".join(name for name in Device._fields if name != "created_at")
# REPLACE removes both the device's former row and the row of another device with this address. The count leaves out
# both of them; nothing is inserted when it is full.
_PUT: Final = f"""
INSERT OR REPLACE INTO devices ({_BUT_SINCE_WHEN}, created_at)
SELECT {_BUT_SINCE_WHEN}, coalesce(
    (SELECT created_at FROM devices AS old WHERE (old.user_id, old.device_id) = (new.user_id, new.device_id)),
    created_at
) FROM (SELECT {", ".join(f"? AS {name}" for name in Device._fields)}) AS new
WHERE (
    SELECT count(*) FROM devices AS other WHERE other.user_id = new.user_id AND other.device_id <> new.device_id
      AND (other.platform, other.address) <> (new.platform, new.address)
) < {MAX_DEVICES}
"""  # noqa: S608 - no value of a caller in it


class SqliteDevices:
    """A DeviceStore."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def put(self, device: Device) -> Device:
        if not await self._rows.write(_PUT, *device):
            raise Conflict(FULL)
        return await self.one(device.user_id, device.device_id) or device  # gone again already: it is what was asked

    async def of_user(self, user_id: str) -> list[Device]:
        return [Device(*row) for row in await self._rows.read(_OF_USER, user_id)]

    async def one(self, user_id: str, device_id: str) -> Device | None:
        rows = await self._rows.read(_ONE, user_id, device_id)
        return Device(*rows[0]) if rows else None

    async def remove(self, user_id: str, device_id: str) -> bool:
        return bool(await self._rows.write(_REMOVE, user_id, device_id))

    async def remove_if(self, user_id: str, device_id: str, address: str) -> bool:
        return bool(await self._rows.write(f"{_REMOVE} AND address = ?", user_id, device_id, address))

    async def scan(self, after: str | None, limit: int) -> DevicePage:
        begin = parse_place(after) if after is not None else ("", "")
        found = [Device(*row) for row in await self._rows.read(_SCAN, *begin, limit)]
        return DevicePage(found, format_place(*found[-1][:2]) if len(found) == limit else None)
