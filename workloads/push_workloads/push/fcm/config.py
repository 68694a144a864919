"""The settings of FCM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from push_workloads.common.config import Env

URL: Final = "https://fcm.googleapis.com"
PER_MINUTE: Final = 600_000  # what Google grants a project that has not asked for more
NEEDED: Final = ("project_id", "client_email", "private_key", "token_uri")
LEGACY: Final = (
    "FCM_API_KEY is a key of FCM's legacy API, which Google has shut down: set FCM_SERVICE_ACCOUNT to the JSON key of a"
    " service account instead (FCM HTTP v1)"
)
_PROJECT: Final = re.compile(r"[a-z][a-z0-9.:-]{2,99}")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class BadAccount(ValueError):
    """The text completes "the account …"; nothing of the key is in it."""


@dataclass(frozen=True, slots=True)
class FcmConfig:
    """`account`: the JSON key of a service account. `url`: of FCM. `per_minute`: its quota."""

    account: Mapping[str, Any] = field(repr=False)
    url: str = URL
    per_minute: int = PER_MINUTE

    @property
    def project(self) -> str:
        return str(self.account["project_id"])

    @classmethod
    def read(cls, env: Env) -> FcmConfig | None:
        """None without an account: then there is no FCM."""
        if env.optional("FCM_API_KEY"):
            env.fault(LEGACY)
        text = env.optional("FCM_SERVICE_ACCOUNT")
        per_minute = env.integer("FCM_PER_MINUTE", PER_MINUTE, 1, 100_000_000)
        if text is None:
            return None
        url = env.text("FCM_URL", URL).rstrip("/")
        if not _is_safe(url):
            env.fault("FCM_URL must be like https://fcm.googleapis.com; http:// on this machine alone")
        try:
            return cls(read_account(text), url, per_minute)
        except BadAccount as error:
            env.fault(f"FCM_SERVICE_ACCOUNT {error}")
            return None


def read_account(text: str) -> dict[str, Any]:
    """A service account's key, looked at whole. Raises BadAccount."""
    try:
        account = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadAccount("must be the JSON key of a service account, as Google's console gives it") from error
    missing = [name for name in NEEDED if not isinstance(account.get(name), str) or not account[name]]
    if account.get("type") != "service_account" or missing:
        names = ", ".join(missing) or "type service_account"
        raise BadAccount(f"must be the JSON key of a service account: it has no {names}")
    if not _PROJECT.fullmatch(account["project_id"]):
        raise BadAccount("has a project_id that is none")
    if not _is_safe(account["token_uri"]):
        raise BadAccount("has a token_uri that does not begin with https://")
    _check_key(account["private_key"])
    return account


def _check_key(pem: str) -> None:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:  # TypeError: with a passphrase
        raise BadAccount("has a private_key that cannot be read") from error
    if not isinstance(key, RSAPrivateKey):
        raise BadAccount("has a private_key that is none of RSA")


def _is_safe(url: str) -> bool:
    """Whether tokens may travel there: over TLS, or not beyond this machine."""
    try:
        parts = urlsplit(url)
        host = (parts.port or 443) > 0 and parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK))
