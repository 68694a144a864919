"""The presence service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from push_workloads.common.config import Common, Env, NatsConfig, RedisConfig, TokenConfig, presence_grace_ms
from push_workloads.presence.restarts import SETTLE_SECONDS


@dataclass(frozen=True, slots=True)
class PresenceConfig:
    """`grace_ms`: how long a user without a session is not told to be offline. `settle_seconds`: how long a Redis that
    came back is left alone, for gateways to register again."""

    common: Common
    nats: NatsConfig
    redis: RedisConfig
    tokens: TokenConfig
    grace_ms: int
    settle_seconds: int

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> PresenceConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(
            common=Common.read(env, 8083),
            nats=NatsConfig.read(env),
            redis=RedisConfig.read(env),
            tokens=TokenConfig.read(env),
            grace_ms=presence_grace_ms(env),
            settle_seconds=env.integer("SETTLE_SECONDS", SETTLE_SECONDS, 0, 600),
        )
        env.check()
        return made
