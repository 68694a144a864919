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
from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.webpush.config import WebPushConfig


@dataclass(frozen=True, slots=True)
class PushConfig:
    """`fcm`, `apns`, `webpush` None: nothing is carried that way. `admin_token`: whoever shows it gives orders over the
    admin port. `per_user_per_minute`: so many notifications a user gets at most. `hold_off_seconds`: for how long a
    message is not told to a user with an open socket, whose devices may receive it meanwhile."""

    common: Common
    nats: NatsConfig
    redis: RedisConfig
    tokens: TokenConfig
    store: StoreConfig
    per_user_per_minute: int
    hold_off_seconds: float
    fcm: FcmConfig | None = None
    apns: ApnsConfig | None = None
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
            apns=ApnsConfig.read(env),
            webpush=WebPushConfig.read(env),
            per_user_per_minute=env.integer("PUSH_PER_USER_PER_MINUTE", 60, 1, 100_000),
            hold_off_seconds=env.number("PUSH_HOLD_OFF_SECONDS", 3, 0, 60),
            admin_token=admin_token(env),
        )
        env.check()
        return made
