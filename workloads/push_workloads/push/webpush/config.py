"""The settings of Web Push."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from push_workloads.common.config import Env
from push_workloads.common.keys import SEED_MIN_BYTES, p256_from_seed
from push_workloads.push.webpush.vapid import BadVapidKey, point, read_key, unpadded

SUBJECT: Final = re.compile(
    r"mailto:[^\s@<>]{1,64}@[A-Za-z0-9.-]{1,253}|https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?"
)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:]{2,45}")


@dataclass(frozen=True, slots=True)
class WebPushConfig:
    """`private_hosts`: push services of your own, which may have addresses within your network."""

    key: EllipticCurvePrivateKey = field(repr=False)
    subject: str
    private_hosts: frozenset[str] = frozenset()

    @property
    def public_key(self) -> str:
        return unpadded(point(self.key))

    @classmethod
    def read(cls, env: Env) -> WebPushConfig | None:
        """None without a key: then there is no Web Push."""
        key = _key(env)
        if key is None:
            return None
        subject = env.text("VAPID_SUBJECT")
        if subject and not SUBJECT.fullmatch(subject):
            env.fault("VAPID_SUBJECT must be like mailto:push@example.com or https://example.com")
        hosts = frozenset(env.words("WEBPUSH_PRIVATE_HOSTS"))
        if not all(_HOST.fullmatch(host) for host in hosts):
            env.fault("WEBPUSH_PRIVATE_HOSTS must be names or addresses of hosts, separated by commas")
        return cls(key, subject, hosts)


def _key(env: Env) -> EllipticCurvePrivateKey | None:
    """The user's own, or the one that a generated secret stands for."""
    text = env.optional("VAPID_PRIVATE_KEY")
    if text is not None:
        try:
            return read_key(text)
        except BadVapidKey as error:
            env.fault(f"VAPID_PRIVATE_KEY {error}")
            return None
    if env.optional("VAPID_SEED") is None:
        return None
    return p256_from_seed("Web Push", env.secret("VAPID_SEED", SEED_MIN_BYTES).decode())
