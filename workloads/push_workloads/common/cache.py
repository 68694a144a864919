"""Redis or Valkey as the services use it: every call bounded in time, failures as Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from push_workloads.common.config import RedisConfig
from push_workloads.common.errors import Unavailable

CALL_SECONDS = 2.0
Cache = Redis
"""The client; bytes in, bytes out."""


@asynccontextmanager
async def cache(config: RedisConfig) -> AsyncIterator[Any]:
    """A client that connects when first used, retries a lost connection twice and gives a call at most two seconds.

    Its pool makes callers wait for a connection: the plain one fails the call when more are asked for than there are.
    """
    pool = BlockingConnectionPool.from_url(
        config.url,
        timeout=CALL_SECONDS,
        username=config.user,
        password=config.password,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CALL_SECONDS,
        health_check_interval=10,
        max_connections=16,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2),
        retry_on_error=[RedisConnectionError],
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def reaching(what: str) -> AsyncIterator[None]:
    """Around calls that a client waits for: Unavailable when Redis fails them or takes over `CALL_SECONDS` in all.

    `what` completes "… is not available now".
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"{what} is not available now; try again", retry_after_ms=1000) from error
