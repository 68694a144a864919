"""Redis or Valkey as the services use it: every call bounded in time, failures as Unavailable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from push_workloads.common.config import RedisConfig

CALL_SECONDS = 2.0
Cache = Redis
"""The client; bytes in, bytes out."""


@asynccontextmanager
async def cache(config: RedisConfig) -> AsyncIterator[Any]:
    """A client that connects when first used, retries a lost connection twice and gives a call at most two seconds."""
    client = Redis.from_url(
        config.url,
        username=config.user,
        password=config.password,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CALL_SECONDS,
        health_check_interval=10,
        max_connections=16,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2),
        retry_on_error=[RedisConnectionError],
    )
    try:
        yield client
    finally:
        await client.aclose()
