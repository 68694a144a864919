"""The auth service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from push_workloads.auth.oauth.config import OAuthConfig
from push_workloads.common.config import Common, Env, RedisConfig, StoreConfig, TokenConfig, read_store


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """`registrations_per_hour`: for each client address, 0 for no limit."""

    common: Common
    redis: RedisConfig
    tokens: TokenConfig
    store: StoreConfig
    registrations_per_hour: int
    oauth: OAuthConfig

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> AuthConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(
            common=Common.read(env, 8081),
            redis=RedisConfig.read(env),
            tokens=TokenConfig.read(env, signs=True),
            store=read_store(env),
            registrations_per_hour=env.integer("REGISTRATIONS_PER_HOUR", 60, 0, 1_000_000),
            oauth=OAuthConfig.read(env),
        )
        env.check()
        return made
