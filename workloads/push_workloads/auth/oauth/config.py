"""Which providers there are, and to which addresses of apps a login may return."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from push_workloads.common.config import Env

GOOGLE_ISSUER: Final = "https://accounts.google.com"
GITHUB_URL: Final = "https://github.com"
GITHUB_API_URL: Final = "https://api.github.com"
MAX_PROVIDERS: Final = 16
MAX_RETURN_URLS: Final = 50
MAX_URL: Final = 512  # characters
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# A scheme of an app's own has a dot in it, as it begins with a domain of its maker (RFC 8252 §7.1).
_APP: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/[!-~]*")
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Client:
    """What a provider knows us by. `redirect_url` is sent as it is, so that it can be registered exactly."""

    name: str
    label: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS."""
        return self.redirect_url.startswith("https:")


@dataclass(frozen=True, slots=True)
class OidcClient(Client):
    issuer: str


@dataclass(frozen=True, slots=True)
class GitHubClient(Client):
    """`url`: where people log in, `api_url`: where we ask who they are."""

    url: str
    api_url: str


@dataclass(frozen=True, slots=True)
class OAuthConfig:
    """`return_urls`: compared whole; the first one is where a login goes that names none."""

    clients: tuple[OidcClient | GitHubClient, ...] = ()
    return_urls: tuple[str, ...] = ()

    @classmethod
    def read(cls, env: Env) -> OAuthConfig:
        made = cls(tuple(_clients(env)), env.words("OAUTH_RETURN_URLS"))
        if made.clients and not made.return_urls:
            env.fault("OAUTH_RETURN_URLS is required where a provider is set: the addresses of your apps, with commas")
        if len(made.return_urls) > MAX_RETURN_URLS or not all(map(_may_return, made.return_urls)):
            env.fault(
                f"OAUTH_RETURN_URLS must be at most {MAX_RETURN_URLS} addresses such as https://chat.example.com/ or"
                " com.example.app:/login, separated by commas, none with a ? or #; http:// on this machine alone"
            )
        return made


def _clients(env: Env) -> Iterator[OidcClient | GitHubClient]:
    if env.optional("OAUTH_GOOGLE_CLIENT_ID"):
        yield _oidc(env, "google", "Google", GOOGLE_ISSUER)
    if env.optional("OAUTH_GITHUB_CLIENT_ID"):
        yield _github(env)
    names = env.words("OAUTH_PROVIDERS")
    own = [name for name in names if _NAME.fullmatch(name) and name not in ("google", "github")]
    if own != list(dict.fromkeys(names)) or len(names) > MAX_PROVIDERS or len(set(names)) != len(names):
        env.fault(
            f"OAUTH_PROVIDERS must be at most {MAX_PROVIDERS} names of a-z 0-9, separated by commas, each once; google"
            " and github need no mention: they are there when OAUTH_GOOGLE_CLIENT_ID and OAUTH_GITHUB_CLIENT_ID are"
        )
    yield from (_oidc(env, name, name.capitalize(), None) for name in own)


def _oidc(env: Env, name: str, label: str, issuer: str | None) -> OidcClient:
    prefix = f"OAUTH_{name.upper()}"
    text = env.text(f"{prefix}_ISSUER", issuer)
    if text and not is_safe(text):
        env.fault(f"{prefix}_ISSUER must be like https://login.example.com; http:// on this machine alone")
    return OidcClient(*_client(env, name, label), issuer=text)


def _github(env: Env) -> GitHubClient:
    url, api_url = env.text("OAUTH_GITHUB_URL", GITHUB_URL), env.text("OAUTH_GITHUB_API_URL", GITHUB_API_URL)
    if not (is_safe(url) and is_safe(api_url)):
        env.fault("OAUTH_GITHUB_URL and OAUTH_GITHUB_API_URL must be like https://github.example.com")
    return GitHubClient(*_client(env, "github", "GitHub"), url.rstrip("/"), api_url.rstrip("/"))


def _client(env: Env, name: str, label: str) -> tuple[str, str, str, str, str]:
    prefix = f"OAUTH_{name.upper()}"
    redirect = env.text(f"{prefix}_REDIRECT_URL")
    if redirect and not (is_safe(redirect) and urlsplit(redirect).path.endswith(f"/oauth/{name}/callback")):
        env.fault(
            f"{prefix}_REDIRECT_URL must be what the provider has registered, such as"
            f" https://chat.example.com/oauth/{name}/callback; http:// on this machine alone"
        )
    client_id, secret = env.text(f"{prefix}_CLIENT_ID"), env.text(f"{prefix}_CLIENT_SECRET")
    return name, env.text(f"{prefix}_LABEL", label)[:64], client_id, secret, redirect


def is_safe(url: str) -> bool:
    """May secrets travel to this address: over TLS, or not beyond this machine?"""
    try:
        parts = urlsplit(url)
        port_and_host = (parts.port or 443) > 0 and bool(parts.hostname)
    except ValueError:  # half a bracket, a port that is none
        return False
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url) or not port_and_host or parts.username is not None:
        return False
    known = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return known and "#" not in url and not parts.query


def _may_return(url: str) -> bool:
    if _APP.fullmatch(url):
        return len(url) <= MAX_URL and not set(url) & {"#", "?"}
    return is_safe(url)
