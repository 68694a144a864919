"""How Apple's push service is reached, and with which key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from push_workloads.common.config import Env

HOST: Final = "api.push.apple.com"
SANDBOX_HOST: Final = "api.sandbox.push.apple.com"
PORT: Final = 443
REQUIRED: Final = ("APNS_KEY", "APNS_KEY_ID", "APNS_TEAM_ID", "APNS_TOPIC")
_ID: Final = re.compile(r"[A-Z0-9]{10}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,255}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class ApnsConfig:
    """`key`: the PEM of the .p8 file. `topic`: the bundle id of devices that name none. `ca`: a file of certificates to
    trust in place of the system's, for a proxy."""

    key: str = field(repr=False)
    key_id: str
    team_id: str
    topic: str
    host: str = HOST
    port: int = PORT
    connections: int = 2
    ca: str | None = None

    @classmethod
    def read(cls, env: Env) -> ApnsConfig | None:
        """None when nothing of it is set; else every fault is told to `env`."""
        if not any(env.optional(name) for name in REQUIRED):
            return None
        sandbox = env.integer("APNS_SANDBOX", 0, 0, 1) == 1
        return cls(
            key=_key(env),
            key_id=_matching(env, "APNS_KEY_ID", _ID, "the 10 characters that Apple names the key by"),
            team_id=_matching(env, "APNS_TEAM_ID", _ID, "the 10 characters of your team's id at Apple"),
            topic=_matching(env, "APNS_TOPIC", _TOPIC, "the bundle id of your app, such as com.example.chat"),
            host=_matching(env, "APNS_HOST", _HOST, "a host name", SANDBOX_HOST if sandbox else HOST),
            port=env.integer("APNS_PORT", PORT, 1, 65535),
            connections=env.integer("APNS_CONNECTIONS", 2, 1, 50),
            ca=env.optional("APNS_CA"),
        )


def _matching(env: Env, name: str, pattern: re.Pattern[str], what: str, default: str | None = None) -> str:
    value = env.text(name, default)
    if value and not pattern.fullmatch(value):
        env.fault(f"{name} must be {what}")
    return value


def _key(env: Env) -> str:
    text = env.text("APNS_KEY")
    if text and not _is_p256(text):
        env.fault("APNS_KEY must be the text of the .p8 file as Apple gave it: the PEM of a private P-256 key")
    return text


def _is_p256(text: str) -> bool:
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
