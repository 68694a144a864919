"""Who carries to which platform, by the service's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from push_workloads.push.carrier import Carrier
from push_workloads.push.config import PushConfig
from push_workloads.push.devices import Platform


@asynccontextmanager
async def carriers(config: PushConfig) -> AsyncIterator[dict[Platform, Carrier]]:
    """Those that are configured, for as long as the context is open. The libraries of the others are not loaded."""
    made: dict[Platform, Carrier] = {}
    async with AsyncExitStack() as stack:
        if config.fcm is not None:
            from push_workloads.push.fcm.sender import fcm_carrier

            made["fcm"] = await stack.enter_async_context(fcm_carrier(config.fcm))
        if config.apns is not None:
            from push_workloads.push.apns.carrier import apns_carrier

            made["apns"] = await stack.enter_async_context(apns_carrier(config.apns))
        if config.webpush is not None:
            from push_workloads.push.webpush.sender import webpush_carrier

            made["webpush"] = await stack.enter_async_context(webpush_carrier(config.webpush))
        yield made
