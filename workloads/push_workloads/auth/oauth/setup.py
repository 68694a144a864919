"""Logins by providers put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from push_workloads.auth.oauth.attempts import key_of
from push_workloads.auth.oauth.codes import Codes
from push_workloads.auth.oauth.config import GitHubClient, OAuthConfig
from push_workloads.auth.oauth.flow import Flow
from push_workloads.auth.oauth.github import GitHub
from push_workloads.auth.oauth.oidc import Oidc
from push_workloads.auth.oauth.providers import Provider
from push_workloads.auth.oauth.wire import Wire


@asynccontextmanager
async def flow_of(config: OAuthConfig, secret: bytes, redis: Any, registry: CollectorRegistry) -> AsyncIterator[Flow]:
    """`secret` is the platform's; nobody is asked before somebody logs in."""
    wire = Wire()
    providers: dict[str, Provider] = {
        one.name: GitHub(one, wire) if isinstance(one, GitHubClient) else Oidc(one, wire, time.time)
        for one in config.clients
    }
    try:
        yield Flow(providers, config.return_urls, Codes(redis), key_of(secret), time.time, registry)
    finally:
        await wire.close()
