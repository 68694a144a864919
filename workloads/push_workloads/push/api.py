"""Devices over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from push_workloads.common.errors import NotFound
from push_workloads.common.http import Call, Route
from push_workloads.push.devices import Device, DeviceRegistration, Platform, device_of
from push_workloads.push.store import DeviceStore


class DeviceView(Struct):
    """`address_ending`: the last characters of its token or endpoint, to tell devices apart. Never the whole."""

    device_id: str
    platform: Platform
    app: str | None
    address_ending: str
    created_at: int
    updated_at: int
    locale: str | None
    time_zone: str | None
    app_version: str | None


class OneDevice(Struct):
    device: DeviceView


class DeviceList(Struct):
    """Oldest first."""

    devices: list[DeviceView]


def routes(store: DeviceStore, now_ms: Callable[[], int]) -> list[Route]:
    async def register(call: Call) -> OneDevice:
        asked: DeviceRegistration = call.body
        return OneDevice(_view(await store.put(device_of(call.user_id, asked, now_ms()))))

    async def devices(call: Call) -> DeviceList:
        return DeviceList([_view(device) for device in await store.of_user(call.user_id)])

    async def remove(call: Call) -> None:
        if not await store.remove(call.user_id, call.path["device_id"]):
            raise NotFound("there is no such device")

    return [
        Route(
            "POST",
            "/devices",
            register,
            "Registers a device of the caller, or registers it anew",
            OneDevice,
            body=DeviceRegistration,
            status=201,
            errors=(409,),
        ),
        Route("GET", "/devices", devices, "The caller's devices", DeviceList),
        Route("DELETE", "/devices/{device_id}", remove, "Removes a device", None, errors=(404,)),
    ]


def _view(device: Device) -> DeviceView:
    shown = {name: value for name, value in device._asdict().items() if name in DeviceView.__struct_fields__}
    return DeviceView(address_ending=device.ending, **shown)
