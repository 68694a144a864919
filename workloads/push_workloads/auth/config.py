"""The auth service's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from push_workloads.auth.mail import LOG, MailConfig
from push_workloads.auth.oauth.config import OAuthConfig
from push_workloads.common.addresses import Network, networks
from push_workloads.common.config import Common, Env, RedisConfig, StoreConfig, TokenConfig, admin_token, read_store

_SENDER: Final = re.compile(r"[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """`registrations_per_hour`: for each client address, 0 for no limit. `mail` None: none are sent.
    `admin_token`: whoever shows it makes service credentials. `proxies`: who stands before this service and tells in
    X-Forwarded-For from whom a request comes."""

    common: Common
    redis: RedisConfig
    tokens: TokenConfig
    store: StoreConfig
    registrations_per_hour: int
    oauth: OAuthConfig
    mail: MailConfig | None
    admin_token: bytes | None = field(repr=False)
    proxies: tuple[Network, ...]

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
            mail=_mail(env) if env.optional("MAIL_URL") else None,
            admin_token=admin_token(env),
            proxies=_proxies(env),
        )
        env.check()
        return made


def _proxies(env: Env) -> tuple[Network, ...]:
    try:
        return networks(env.words("TRUSTED_PROXIES"))
    except ValueError as error:
        env.fault(f"TRUSTED_PROXIES must be networks such as 10.0.0.0/8, separated by commas: {error}")
        return ()


def _mail(env: Env) -> MailConfig:
    url = env.text("MAIL_URL")
    if url != LOG:
        env.url("MAIL_URL", ("smtp", "smtps"))
    made = MailConfig(
        url=url,
        sender=env.text("MAIL_FROM"),
        reset_url=env.url("MAIL_RESET_URL", ("http", "https")),
        user=env.optional("MAIL_USER"),
        password=env.optional("MAIL_PASSWORD"),
    )
    if made.sender and not _SENDER.fullmatch(made.sender):
        env.fault("MAIL_FROM must be an address such as push@example.com")
    if "#" in made.reset_url:
        env.fault("MAIL_RESET_URL must have no fragment: the token goes there")
    return made
