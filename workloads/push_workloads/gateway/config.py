"""The gateway's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from push_workloads.common.config import (
    Common,
    Env,
    Listen,
    NatsConfig,
    RedisConfig,
    TokenConfig,
    admin_token,
    presence_grace_ms,
)
from push_workloads.common.tracing import TracingConfig
from push_workloads.gateway.actions import Limits

SSE_PORT: Final = 8085
LAST_SECONDS: Final = 5  # of a stop: for goodbyes that nobody answers, and for what is still to be written


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`drain_rate`: clients a second that a stopping gateway asks to come back elsewhere, more when else not all were
    asked within `drain_seconds`. `admin_token`: whoever shows it may drain. `max_outbound_bytes`: what may wait for one
    slow client before it is closed with 4410. `max_lag_ms` of the event loop, or `max_in_flight` publishes without an
    answer: over it, who sends waits for a turn; a lag of 0 switches that off. `sse`: where Server-Sent Events are
    served. `grace_ms`: how long a user without a session is not told to be offline."""

    common: Common
    nats: NatsConfig
    redis: RedisConfig
    tokens: TokenConfig
    limits: Limits
    max_connections: int
    max_outbound_bytes: int
    max_lag_ms: int
    max_in_flight: int
    drain_seconds: int
    drain_rate: int
    admin_token: bytes | None = field(repr=False)
    sse: Listen
    grace_ms: int
    tracing: TracingConfig

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> GatewayConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        common = Common.read(env, 8080)
        made = cls(
            common=common,
            nats=NatsConfig.read(env),
            redis=RedisConfig.read(env),
            tokens=TokenConfig.read(env),
            limits=Limits(
                heartbeat_s=env.integer("HEARTBEAT_SECONDS", 25, 1, 300),
                max_frame_bytes=env.integer("MAX_FRAME_BYTES", 65_536, 1024, 512 * 1024),
                frames_per_second=env.integer("FRAMES_PER_SECOND", 50, 1, 100_000),
                burst=env.integer("FRAMES_BURST", 100, 1, 100_000),
            ),
            max_connections=env.integer("MAX_CONNECTIONS", 15_000, 1, 1_000_000),
            max_outbound_bytes=env.integer("MAX_OUTBOUND_BYTES", 1024 * 1024, 65_536, 64 * 1024 * 1024),
            max_lag_ms=env.integer("MAX_LAG_MS", 100, 0, 10_000),
            max_in_flight=env.integer("MAX_IN_FLIGHT", 1000, 1, 1_000_000),
            drain_seconds=_drain_seconds(env, common.stop_seconds),
            drain_rate=env.integer("DRAIN_RATE", 200, 1, 100_000),
            admin_token=admin_token(env),
            sse=Listen.read(env, "SSE_", SSE_PORT),
            grace_ms=presence_grace_ms(env),
            tracing=TracingConfig.read(env),
        )
        env.check()
        return made


def _drain_seconds(env: Env, stop_seconds: int) -> int:
    """What is not asked by the time the process has to be gone is cut off."""
    seconds = env.integer("DRAIN_SECONDS", max(0, stop_seconds - LAST_SECONDS), 0, 3600)
    if seconds >= stop_seconds:
        env.fault(f"DRAIN_SECONDS must be below STOP_SECONDS ({stop_seconds}): lower the one or raise the other")
    return seconds
