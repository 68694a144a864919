"""The presence service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from push_workloads.common.config import Common, Env, RedisConfig, TokenConfig


@dataclass(frozen=True, slots=True)
class PresenceConfig:
    common: Common
    redis: RedisConfig
    tokens: TokenConfig

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> PresenceConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(common=Common.read(env, 8083), redis=RedisConfig.read(env), tokens=TokenConfig.read(env))
        env.check()
        return made
