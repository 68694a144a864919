"""The presence service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from push_workloads.common import questions
from push_workloads.common.announcements import Announcer
from push_workloads.common.asking import ask
from push_workloads.common.bus import DirectClient, connected
from push_workloads.common.cache import cache
from push_workloads.common.credentials import Credentialed
from push_workloads.common.erasing import Erasing
from push_workloads.common.fetching import fetching
from push_workloads.common.following import Following
from push_workloads.common.http import application, serving
from push_workloads.common.presence_keys import last_seen
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens
from push_workloads.presence.api import routes
from push_workloads.presence.config import PresenceConfig
from push_workloads.presence.leases import Leases
from push_workloads.presence.sessions import SessionList
from push_workloads.presence.sweeper import Pace, Sweeper, SweepMetrics

parse = PresenceConfig.parse


@asynccontextmanager
async def serve(config: PresenceConfig, process: Process) -> AsyncIterator[None]:
    """Answers and sweeps."""
    async with cache(config.redis) as redis:
        client = DirectClient()
        announcer, pace = Announcer(client), Pace(settle=config.settle_seconds, grace_ms=config.grace_ms)
        sweeper = Sweeper(redis, SweepMetrics(process.registry), announcer.announce, pace)
        process.checks["redis"] = sweeper.waiting
        process.checks["nats"] = lambda: "not connected to NATS"

        async def may_watch(pairs: Sequence[tuple[str, str]]) -> list[bool]:
            asked = questions.WatchAsked(list(pairs))
            return (await ask(client, questions.WATCH, asked, questions.Watchable)).allowed

        api = routes(redis, SessionList(redis, Leases(redis, time.monotonic)), may_watch)
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        credentials = Following(redis)
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        verifier = Credentialed(Unrevoked(tokens, revoked.known), credentials.known)
        app = application("presence", api, verifier, config.common.origins, process.registry)

        async def forget(user_id: str) -> None:
            await redis.delete(last_seen(user_id))

        erasing = Erasing(redis, forget)
        heard, keys = beside(revoked.run(), credentials.run(), erasing.run()), fetching(tokens.sources)
        async with heard, keys, serving(app, config.common.public), connected(config.nats, "presence", client) as bus:
            bus.on_back(announcer.back)
            process.checks["nats"] = bus.waiting
            async with beside(sweeper.run()):
                yield
        await sweeper.close()
