"""The message service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from push_workloads.common.config import Common, Env, NatsConfig, RedisConfig, StoreConfig, TokenConfig, read_store
from push_workloads.common.http import MAX_BODY_BYTES
from push_workloads.common.tracing import TracingConfig
from push_workloads.message.groups.policies import BadPolicies, Policy, read_policies
from push_workloads.message.groups.visibility import WIDEST_FIRST, Visibility
from push_workloads.message.retention import Retention

MAX_DAYS = 7300


@dataclass(frozen=True, slots=True)
class MessageConfig:
    """`log_max_bytes` and `log_max_age_hours` bound the log; history is kept in the store, as `retention` says. The
    `messages_…` bound what one user sends over HTTP, as the gateway's bound a socket. `topics`: policies by prefix.
    `visible_to`: how far presence goes at most."""

    common: Common
    nats: NatsConfig
    redis: RedisConfig
    tokens: TokenConfig
    store: StoreConfig
    log_max_bytes: int
    log_max_age_hours: int
    log_replicas: int
    max_frame_bytes: int
    messages_per_second: int
    messages_burst: int
    topics: dict[str, Policy]
    retention: Retention
    tracing: TracingConfig
    visible_to: Visibility

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> MessageConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(
            common=Common.read(env, 8082),
            nats=NatsConfig.read(env),
            redis=RedisConfig.read(env),
            tokens=TokenConfig.read(env),
            store=read_store(env),
            log_max_bytes=env.integer("LOG_MAX_BYTES", 8 * 1024**3, 1024**2, 1024**5),
            log_max_age_hours=env.integer("LOG_MAX_AGE_HOURS", 72, 72, 24 * 365),
            log_replicas=env.integer("LOG_REPLICAS", 1, 1, 5),
            max_frame_bytes=env.integer("MAX_FRAME_BYTES", 65_536, 1024, MAX_BODY_BYTES),
            messages_per_second=env.integer("MESSAGES_PER_SECOND", 50, 1, 100_000),
            messages_burst=env.integer("MESSAGES_BURST", 100, 1, 100_000),
            topics=_topics(env),
            retention=Retention(
                direct=env.integer("HISTORY_DAYS_DIRECT", 0, 0, MAX_DAYS),
                group=env.integer("HISTORY_DAYS_GROUP", 0, 0, MAX_DAYS),
                topic=env.integer("HISTORY_DAYS_TOPIC", 30, 0, MAX_DAYS),
            ),
            tracing=TracingConfig.read(env),
            visible_to=_visibility(env),
        )
        env.check()
        return made


def _visibility(env: Env) -> Visibility:
    given = env.text("PRESENCE_VISIBLE_TO", "contacts")
    for known in WIDEST_FIRST:
        if given == known:
            return known
    env.fault(f"PRESENCE_VISIBLE_TO must be one of {', '.join(WIDEST_FIRST)}, not {given!r}")
    return "nobody"


def _topics(env: Env) -> dict[str, Policy]:
    try:
        return read_policies(env.text("TOPIC_POLICIES", "[]"))
    except BadPolicies as error:
        env.fault(f"TOPIC_POLICIES must be a JSON list of policies: {error}")
        return {}
