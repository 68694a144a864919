"""NATS and Redis: run by the operator where they stood in the stack, by their address where they stood elsewhere.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from push_operator.migrate.commands import password_in_url, printing, user_in_url
from push_operator.migrate.old import Old, Spec, is_taken
from push_operator.migrate.settings import Setting, Source

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
REACHABLE: Final = "it must be reachable from pods by that name, before you apply"
_Told = tuple[Setting, Callable[[Source], str]]
"""A setting, and how words are made that print what is meant of it."""


@dataclass(frozen=True, slots=True)
class Server:
    """How the old services were told of a server. `schemes`: what ours are called by those of the old."""

    names: tuple[str, ...]
    host_names: tuple[str, ...]
    port_names: tuple[str, ...]
    user_names: tuple[str, ...]
    password_names: tuple[str, ...]
    schemes: Mapping[str, str]
    called: str


SERVERS: Final[Mapping[str, Server]] = {
    "nats": Server(
        ("NATS_URL", "NATS_URLS", "NATS_SERVERS"), ("NATS_HOST",), ("NATS_PORT",),
        ("NATS_USER", "NATS_USERNAME"), ("NATS_PASSWORD",), {"nats": "nats", "tls": "tls"}, "NATS",
    ),
    "redis": Server(
        ("REDIS_URL", "VALKEY_URL"), ("REDIS_HOST", "VALKEY_HOST"), ("REDIS_PORT", "VALKEY_PORT"),
        ("REDIS_USER", "REDIS_USERNAME"), ("REDIS_PASSWORD", "VALKEY_PASSWORD"),
        {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}, "Valkey",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """One address without what is secret in it."""

    scheme: str
    host: str
    port: int | None
    database: str = ""
    has_user: bool = False
    has_password: bool = False

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.at}{self.database}"

    @property
    def at(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def address_of(text: str, scheme: str) -> Address | None:
    """The first address in a text, `scheme` unless it says one; None where it cannot be told apart from a password."""
    first = text.split(",")[0].strip()
    if "@" in text and "@" not in first:  # the comma may be one of a password
        return None
    whole = first if "://" in first else f"{scheme}://{first}"
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "@" in parts.path + parts.query + parts.fragment:
        return None
    database = parts.path if re.fullmatch("/[0-9]{1,4}", parts.path) else ""
    return Address(parts.scheme, host, port, database, bool(parts.username), bool(parts.password))


def is_inside(host: str, old: Old) -> bool:
    """Whether it is a service of the stack, also by the name with the stack's before it."""
    return host in old.stack.hosts or host in _LOCAL or any(host.endswith(f"_{name}") for name in old.stack.hosts)


def server(kind: str, old: Old) -> Spec:
    """`spec.nats` or `spec.redis`."""
    known = SERVERS[kind]
    found = old.settings(*known.names, *known.host_names)
    outside = [(one, address) for one in found if (address := _outside(one, known, old)) is not None]
    if not outside:
        return _managed(kind, known, old, found)
    setting, address = outside[0]
    if len({address.at for _, address in outside}) > 1:
        old.report.todo(setting.path, "the old services do not all have the same address: this one is taken for all")
    if "," in (setting.value or ""):
        old.report.left(
            setting.path, "names several servers: the first one is taken, which tells clients of the others"
        )
    old.report.taken(setting.path, f"spec.{kind}.url is {address.url}: {REACHABLE}")
    return {kind: {"url": address.url, **_login(kind, known, old, setting, address)}}


def _outside(setting: Setting, known: Server, old: Old) -> Address | None:
    """The address, when it is one of a server elsewhere that the manifest can name."""
    found = address_of(setting.value or "", next(iter(known.schemes)))
    if found is None or is_inside(found.host, old):
        return None
    port = _port(setting, known, old) if setting.name in known.host_names else found.port
    ours = Address(known.schemes.get(found.scheme, ""), found.host, port, found.database,
                   found.has_user, found.has_password)  # fmt: skip
    wanted = tuple(known.schemes.values())
    return ours if is_taken(lambda node: node.url("url", wanted), url=ours.url) else None


def _port(setting: Setting, known: Server, old: Old) -> int | None:
    ports = [one.value or "" for one in old.settings(*known.port_names)]
    return int(ports[0]) if ports and re.fullmatch("[0-9]{1,5}", ports[0]) else None


def _managed(kind: str, known: Server, old: Old, found: list[Setting]) -> Spec:
    for one in found:
        inside = address_of(one.value or "", next(iter(known.schemes)))
        if inside is None or not is_inside(inside.host, old):
            old.report.todo(one.path, f"is no address that spec.{kind}.url can hold: the operator runs {known.called} "
                            f"instead; if you have one elsewhere, write its url there")  # fmt: skip
    for path in old.paths(kind) or ("",):
        old.report.taken(path, f"spec.{kind}.managed: the operator runs {known.called}, with passwords of its own")
    return {kind: {"managed": {}}}


def _login(kind: str, known: Server, old: Old, setting: Setting, address: Address) -> Spec:
    """The Secret with which a server elsewhere is entered; nothing where the old services had no password."""
    user = _told(old, known.user_names, (setting, user_in_url) if address.has_user else None)
    password = _told(old, known.password_names, (setting, password_in_url) if address.has_password else None)
    if password is None:
        if user is not None:
            old.report.todo(user[0].path, f"logs in without a password: make a user with one, and name a Secret with "
                            f"username and password in spec.{kind}.credentialsSecret")  # fmt: skip
        return {}
    if address.has_password and "%" in (setting.value or ""):
        old.report.todo(setting.path, "has %XX in its login, which stand for characters: the command copies them as "
                        "they are, so make this Secret by hand")  # fmt: skip
    name, keys = old.secret(kind), {"username": user, "password": password}
    old.report.taken(password[0].path, f"spec.{kind}.credentialsSecret is {name}, which is yours to make")
    told = {key: one for key, one in keys.items() if one is not None}
    words = {key: words_of(one.source) for key, (one, words_of) in told.items()}
    command = old.make_secret(kind, words, [one for one, _ in told.values()])
    old.report.todo("", f"make the Secret {name}, with the login of your {known.called}, before you apply", command)
    return {"credentialsSecret": name}


def _told(old: Old, names: tuple[str, ...], in_url: _Told | None) -> _Told | None:
    """Where a part of the login stands: in the address itself, else in a setting of its own."""
    return in_url or next(((one, printing) for one in old.settings(*names)), None)
