"""The presence service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from push_workloads.common.cache import cache
from push_workloads.common.credentials import Credentialed
from push_workloads.common.fetching import fetching
from push_workloads.common.following import Following
from push_workloads.common.http import application, serving
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens
from push_workloads.presence.api import routes
from push_workloads.presence.config import PresenceConfig
from push_workloads.presence.reader import PresenceReader
from push_workloads.presence.sessions import SessionList
from push_workloads.presence.sweeper import Pace, Sweeper, SweepMetrics

parse = PresenceConfig.parse


@asynccontextmanager
async def serve(config: PresenceConfig, process: Process) -> AsyncIterator[None]:
    """Answers and sweeps."""
    async with cache(config.redis) as redis:
        sweeper = Sweeper(redis, SweepMetrics(process.registry), lambda: int(time.time() * 1000), Pace())
        process.checks["redis"] = sweeper.waiting
        reader = PresenceReader(redis, time.monotonic)
        api = routes(reader, SessionList(redis, reader))
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        credentials = Following(redis)
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        verifier = Credentialed(Unrevoked(tokens, revoked.known), credentials.known)
        app = application("presence", api, verifier, config.common.origins, process.registry)
        running = beside(sweeper.run(), revoked.run(), credentials.run())
        async with running, fetching(tokens.sources), serving(app, config.common.public):
            yield
        await sweeper.close()
