"""The push service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from push_workloads.common.config import (
    Common,
    Env,
    NatsConfig,
    RedisConfig,
    StoreConfig,
    TokenConfig,
    admin_token,
    read_store,
)
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.webpush.config import WebPushConfig


@dataclass(frozen=True, slots=True)
class PushConfig:
    """`fcm`, `webpush` None: nothing is carried that way. `admin_token`: whoever shows it gives orders over the admin
    port."""

    common: Common
    nats: NatsConfig
    redis: RedisConfig
    tokens: TokenConfig
    store: StoreConfig
    fcm: FcmConfig | None = None
    webpush: WebPushConfig | None = None
    admin_token: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> PushConfig:
        """Raises ConfigError naming every variable that is missing or wrong."""
        env = Env(environ)
        made = cls(
            common=Common.read(env, 8084),
            nats=NatsConfig.read(env),
            redis=RedisConfig.read(env),
            tokens=TokenConfig.read(env),
            store=read_store(env),
            fcm=FcmConfig.read(env),
            webpush=WebPushConfig.read(env),
            admin_token=admin_token(env),
        )
        env.check()
        return made
