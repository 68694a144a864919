"""Who carries to which platform, by the service's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from push_workloads.push.carrier import Carrier
from push_workloads.push.config import PushConfig
from push_workloads.push.devices import Platform


@asynccontextmanager
async def carriers(config: PushConfig) -> AsyncIterator[dict[Platform, Carrier]]:
    """Those that are configured, for as long as the context is open. None is so far: devices are told apart by
    `no_sender`."""
    yield {}
