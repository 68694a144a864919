"""The autopilot put together: over HTTP, by the clocks of this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from push_operator.admin.http import http_gateways
from push_operator.admin.nats import nats_monitor
from push_operator.autopilot import Autopilot
from push_operator.leader import boot_clock


@asynccontextmanager
async def piloting(epoch: Callable[[], int]) -> AsyncIterator[Autopilot]:
    """An autopilot whose connections are kept while the context is open. `epoch`: how often the leader has changed."""
    async with http_gateways(boot_clock) as gateways, nats_monitor(boot_clock) as monitor:
        yield Autopilot(gateways, monitor, boot_clock, time.time, epoch)
