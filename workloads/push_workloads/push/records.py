"""Where deliveries and users' preferences are kept, by the service's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from push_workloads.common.config import StoreConfig
from push_workloads.common.service import Process
from push_workloads.push.deliveries import DeliveryLog, MemoryDeliveries
from push_workloads.push.facts import MemoryPreferences, PreferenceReader


@asynccontextmanager
async def records(config: StoreConfig, process: Process) -> AsyncIterator[tuple[DeliveryLog, PreferenceReader]]:
    """For as long as the context is open."""
    yield MemoryDeliveries(), MemoryPreferences()
