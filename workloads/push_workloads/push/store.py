"""Where devices are kept: the port, and its twin in memory."""

from __future__ import annotations

from typing import Protocol

from push_workloads.common.errors import Conflict
from push_workloads.push.devices import MAX_DEVICES, Device, DevicePage, format_place, parse_place

FULL = f"a user has at most {MAX_DEVICES} devices: remove one first"


class DeviceStore(Protocol):
    """Each method may raise Unavailable; a write that returned survives a crash."""

    async def put(self, device: Device) -> Device:
        """Adds the device or replaces it, keeping `created_at`; returns it as stored.

        Its address leaves whatever device had it before, of any user: a phone that changed hands must not go on
        showing its former owner's messages. Raises Conflict when the user has MAX_DEVICES others.
        """

    async def of_user(self, user_id: str) -> list[Device]:
        """Oldest first."""

    async def one(self, user_id: str, device_id: str) -> Device | None: ...

    async def remove(self, user_id: str, device_id: str) -> bool:
        """Whether there was one."""

    async def remove_if(self, user_id: str, device_id: str, address: str) -> bool:
        """Only while its address is still that one: it may have registered anew since. Whether it was."""

    async def scan(self, after: str | None, limit: int) -> DevicePage:
        """Of all devices of all users, those behind a place: that of an earlier page, or None for the first page. At
        most `limit` (itself at most MAX_SCAN); a page may hold fewer, even none, and not be the last.

        The order is the store's own and stays: who goes through all pages, with pauses and restarts as they may be,
        meets each device that is there all the time once. Raises ValueError when `after` is no place.
        """


class MemoryDevices:
    """For tests."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], Device] = {}

    async def put(self, device: Device) -> Device:
        key = (device.user_id, device.device_id)
        others = {
            held: one
            for held, one in self._devices.items()
            if held != key and (one.platform, one.address) != (device.platform, device.address)
        }
        if sum(one.user_id == device.user_id for one in others.values()) >= MAX_DEVICES:
            raise Conflict(FULL)
        before = self._devices.get(key)
        stored = device._replace(created_at=before.created_at) if before else device
        self._devices = others | {key: stored}
        return stored

    async def of_user(self, user_id: str) -> list[Device]:
        own = (device for device in self._devices.values() if device.user_id == user_id)
        return sorted(own, key=lambda device: (device.created_at, device.device_id))

    async def remove(self, user_id: str, device_id: str) -> bool:
        return self._devices.pop((user_id, device_id), None) is not None

    async def one(self, user_id: str, device_id: str) -> Device | None:
        return self._devices.get((user_id, device_id))

    async def remove_if(self, user_id: str, device_id: str, address: str) -> bool:
        device = self._devices.get((user_id, device_id))
        return device is not None and device.address == address and await self.remove(user_id, device_id)

    async def scan(self, after: str | None, limit: int) -> DevicePage:
        begin = parse_place(after) if after is not None else ("", "")
        found = [self._devices[key] for key in sorted(self._devices) if key > begin][:limit]
        return DevicePage(found, format_place(*found[-1][:2]) if len(found) == limit else None)
