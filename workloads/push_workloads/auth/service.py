"""The auth service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from push_workloads.auth.api import routes
from push_workloads.auth.config import AuthConfig
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.sessions import Sessions
from push_workloads.auth.sqlite import sqlite_accounts
from push_workloads.auth.store import AccountStore
from push_workloads.common.cache import cache
from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.http import application, serving
from push_workloads.common.service import Process
from push_workloads.common.tokens import Tokens

parse = AuthConfig.parse


@asynccontextmanager
async def serve(config: AuthConfig, process: Process) -> AsyncIterator[None]:
    """Ready without Redis: logins do not need it, and registrations say themselves that they do."""
    tokens = Tokens(config.tokens)
    passwords = Passwords(process.registry)
    await passwords.prepare()
    async with _store(config.store, process) as store, cache(config.redis) as redis:
        limiter = Limiter(redis, config.registrations_per_hour)
        sessions = Sessions(store, passwords, tokens, limiter, lambda: int(time.time() * 1000))
        api = routes(sessions, tokens.ttl_seconds, process.registry)
        app = application("auth", api, tokens, config.common.origins, process.registry)
        async with serving(app, config.common.public):
            yield


def _store(config: StoreConfig, process: Process) -> AbstractAsyncContextManager[AccountStore]:
    if isinstance(config, SqliteConfig):
        return sqlite_accounts(config.path)
    # Here: its driver costs memory and start-up time, and brings threads.
    from push_workloads.auth.cassandra import cassandra_accounts

    return cassandra_accounts(config, process.checks)
