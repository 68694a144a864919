"""The message service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from push_workloads.common.config import Common, Env, NatsConfig, StoreConfig, TokenConfig, read_store


@dataclass(frozen=True, slots=True)
class MessageConfig:
    """`log_max_bytes` and `log_max_age_hours` bound the log; history is kept in the store."""

    common: Common
    nats: NatsConfig
    tokens: TokenConfig
    store: StoreConfig
    log_max_bytes: int
    log_max_age_hours: int
    log_replicas: int

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> MessageConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(
            common=Common.read(env, 8082),
            nats=NatsConfig.read(env),
            tokens=TokenConfig.read(env),
            store=read_store(env),
            log_max_bytes=env.integer("LOG_MAX_BYTES", 8 * 1024**3, 1024**2, 1024**5),
            log_max_age_hours=env.integer("LOG_MAX_AGE_HOURS", 72, 72, 24 * 365),
            log_replicas=env.integer("LOG_REPLICAS", 1, 1, 5),
        )
        env.check()
        return made
