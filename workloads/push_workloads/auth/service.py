"""The auth service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from push_workloads.auth import logins, resets
from push_workloads.auth.api import routes
from push_workloads.auth.attempts import Attempts, MemoryCounts, RedisCounts
from push_workloads.auth.config import AuthConfig
from push_workloads.auth.entrance import Entrance
from push_workloads.auth.eraser import Eraser
from push_workloads.auth.jwks import jwks_route
from push_workloads.auth.keyring import Keyring
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.mail import posting
from push_workloads.auth.oauth.office import Office
from push_workloads.auth.oauth.setup import flow_of
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.revoker import Revoker
from push_workloads.auth.sessions import Sessions
from push_workloads.auth.sqlite import sqlite_accounts
from push_workloads.auth.store import AccountStore
from push_workloads.auth.upkeep import Letters, ResetLimits, Upkeep
from push_workloads.common.cache import cache
from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.fetching import fetching
from push_workloads.common.http import application, serving
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens

RESETS_OF_ADDRESS_PER_HOUR: Final = 30  # an office may share one
RESETS_OF_ACCOUNT_PER_HOUR: Final = 3
parse = AuthConfig.parse


@asynccontextmanager
async def serve(config: AuthConfig, process: Process) -> AsyncIterator[None]:
    """Ready once it knows which tokens are revoked, and then also without Redis: logins do not need it, registrations
    say themselves that they do."""
    tokens = Tokens(config.tokens)
    passwords = Passwords(process.registry)
    await passwords.prepare()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_store(config.store, process))
        redis = await stack.enter_async_context(cache(config.redis))
        secret = config.tokens.refresh_secret
        revoked, revoker = Revoked(redis), Revoker(store, redis, tokens.ttl_seconds, lambda: int(time.time()))
        process.checks |= {"revocations": revoked.waiting, "keys": tokens.waiting}
        sessions = Sessions(store, tokens, revoker, logins.key_of(secret), _now_ms)
        attempts = Attempts(RedisCounts(redis), MemoryCounts(_now_ms))
        limiter = Limiter(redis, config.registrations_per_hour)
        entrance = Entrance(store, passwords, sessions, limiter, attempts, _now_ms)
        post = await stack.enter_async_context(posting(config.mail, process.registry))
        letters = Letters(post, config.mail.reset_url if config.mail else "", resets.key_of(secret))
        eraser = Eraser(store, redis, lambda: int(time.time()))
        upkeep = Upkeep(store, passwords, sessions, attempts, _reset_limits(redis), letters, eraser.erase, _now_ms)
        flow = await stack.enter_async_context(flow_of(config.oauth, secret, redis, process.registry))
        office = Office(store, passwords, _now_ms)
        own = routes(entrance, upkeep, sessions, flow, office, tokens.ttl_seconds, process.registry)
        api = [*own, jwks_route(tokens)]
        keyring = Keyring(store, redis, config.admin_token, _now_ms)
        process.admin_routes = keyring.routes()
        verifier = Unrevoked(tokens, revoked.known)
        app = application("auth", api, verifier, config.common.origins, process.registry, config.proxies)
        running = beside(revoked.run(), revoker.run(), keyring.run(), eraser.run())
        async with running, fetching(tokens.sources), serving(app, config.common.public):
            yield


def _reset_limits(redis: Any) -> ResetLimits:
    what = "password resets"
    by_address = Limiter(redis, RESETS_OF_ADDRESS_PER_HOUR, "auth:reset:from", what)
    return ResetLimits(by_address, Limiter(redis, RESETS_OF_ACCOUNT_PER_HOUR, "auth:reset:of", what))


def _now_ms() -> int:
    return int(time.time() * 1000)


def _store(config: StoreConfig, process: Process) -> AbstractAsyncContextManager[AccountStore]:
    if isinstance(config, SqliteConfig):
        return sqlite_accounts(config.path)
    # Here: its driver costs memory and start-up time, and brings threads.
    from push_workloads.auth.cassandra import cassandra_accounts

    return cassandra_accounts(config, process.checks)
