"""Devices in one SQLite file: the embedded store. Every write is one statement, so the connection autocommits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiosqlite

from push_workloads.common.errors import Conflict, Unavailable
from push_workloads.common.sqlite import opened
from push_workloads.push.devices import MAX_DEVICES, Device
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
)
_DEVICES = """
SELECT user_id, device_id, platform, address, p256dh, auth, app, created_at, updated_at FROM devices WHERE user_id = ?
"""
_OF_USER = f"{_DEVICES} ORDER BY created_at, device_id"
_ONE = f"{_DEVICES} AND device_id = ?"
# REPLACE removes both the device's former row and the row of another device with this address. The count leaves out
# both of them; nothing is inserted when it is full.
_PUT = f"""
INSERT OR REPLACE INTO devices
SELECT :user_id, :device_id, :platform, :address, :p256dh, :auth, :app, coalesce(
    (SELECT created_at FROM devices WHERE user_id = :user_id AND device_id = :device_id), :created_at
), :updated_at
WHERE (
    SELECT count(*) FROM devices
    WHERE user_id = :user_id AND device_id <> :device_id AND NOT (platform = :platform AND address = :address)
) < {MAX_DEVICES}
"""  # noqa: S608 - no value of a caller in it


class SqliteDevices:
    """A DeviceStore."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def put(self, device: Device) -> Device:
        if not await self._write(_PUT, device._asdict()):
            raise Conflict(FULL)
        rows = await self._read(_ONE, (device.user_id, device.device_id))
        return rows[0] if rows else device  # gone again already: what was stored is what was asked

    async def of_user(self, user_id: str) -> list[Device]:
        return await self._read(_OF_USER, (user_id,))

    async def remove(self, user_id: str, device_id: str) -> bool:
        return bool(
            await self._write(
                "DELETE FROM devices WHERE user_id = :user_id AND device_id = :device_id",
                {"user_id": user_id, "device_id": device_id},
            )
        )

    async def _write(self, statement: str, values: dict[str, object]) -> int:
        """How many rows were written."""
        try:
            async with self._connection.execute(statement, values) as cursor:
                return cursor.rowcount
        except sqlite3.Error as error:
            raise _away(error) from error

    async def _read(self, statement: str, values: tuple[str, ...]) -> list[Device]:
        try:
            return [Device(*row) for row in await self._connection.execute_fetchall(statement, values)]
        except sqlite3.Error as error:
            raise _away(error) from error


def _away(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"devices are not available now: {type(error).__name__}", retry_after_ms=1000)


@asynccontextmanager
async def sqlite_devices(path: str) -> AsyncIterator[SqliteDevices]:
    """The store in the file at `path`, made when it is not there."""
    async with opened(path, MIGRATIONS, autocommit=True) as connection:
        yield SqliteDevices(connection)
