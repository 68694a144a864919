"""Where accounts and history are kept: run by the operator, or the old Cassandra or ScyllaDB elsewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from push_operator.migrate.commands import printing
from push_operator.migrate.old import Old, Spec, is_taken
from push_operator.migrate.servers import REACHABLE, Address, address_of, is_inside
from push_operator.migrate.settings import Setting
from push_operator.model import SINGLE_WITH_SQLITE
from push_operator.stores import store_of

MAX_POINTS: Final = 16
DEFAULT_PORT: Final = 9042
DEFAULT_DATACENTER: Final = "datacenter1"  # of Cassandra and ScyllaDB where nobody named one
_MANAGED: Final = "spec.cassandra.managed: the operator runs a Cassandra of one node, with passwords of its own"
_UNREADABLE: Final = (
    "has no address that spec.cassandra.contactPoints can hold: the operator runs a Cassandra instead; if you have one "
    "elsewhere, write it there"
)


def _named(*endings: str) -> tuple[str, ...]:
    return tuple(f"{server}_{ending}" for server in ("CASSANDRA", "SCYLLA") for ending in endings)


POINTS: Final = _named("CONTACT_POINTS", "HOSTS", "NODES", "URL", "HOST")
PORT: Final = _named("PORT")
KEYSPACE: Final = _named("KEYSPACE")
DATACENTER: Final = _named("LOCAL_DATACENTER", "DATACENTER", "LOCAL_DC", "DC")
REPLICATION: Final = _named("REPLICATION", "REPLICATION_FACTOR")
USER: Final = _named("USER", "USERNAME")
PASSWORD: Final = _named("PASSWORD")


def store(old: Old, services: Mapping[str, Mapping[str, Any]]) -> Spec:
    """`spec.cassandra`, for these numbers of replicas."""
    found, port = old.settings(*POINTS), _port(old)
    for setting in found:
        points = _points_outside(setting, port, old)
        if points:
            return _external(old, setting, points)
        if not _is_inside(setting, old):
            old.report.todo(setting.path, _UNREADABLE)
    paths = old.paths("cassandra") or tuple(one.path for one in found)
    return _managed(old, paths) if paths else _without_one(old, services)


def _managed(old: Old, paths: tuple[str, ...]) -> Spec:
    for path in paths:
        old.report.taken(path, _MANAGED)
    return {"cassandra": {"managed": {}}}


def _without_one(old: Old, services: Mapping[str, Mapping[str, Any]]) -> Spec:
    several = [name for name in SINGLE_WITH_SQLITE if services.get(name, {}).get("replicas", 1) > 1]
    if several:
        return _managed(old, (f"no Cassandra was found, and {', '.join(several)} run more than once",))
    old.report.taken("", "spec.cassandra.embedded: no Cassandra was found; accounts and history go into SQLite files")
    return {"cassandra": {"embedded": {}}}


def _port(old: Old) -> str:
    ports = [one.value or "" for one in old.settings(*PORT)]
    given = ports[0] if ports and re.fullmatch("[0-9]{1,5}", ports[0]) else ""
    return "" if given == str(DEFAULT_PORT) else given


def _points_outside(setting: Setting, port: str, old: Old) -> list[str]:
    """Contact points that the manifest can name; none when one of them is in the stack, as all are of one cluster."""
    if _is_inside(setting, old):
        return []
    found = (f"{one.at}:{port}" if port and one.port is None else one.at for one in _addresses(setting))
    taken = (one for one in found if is_taken(store_of, contactPoints=[one], keyspace="a", localDatacenter="a"))
    return list(dict.fromkeys(taken))


def _is_inside(setting: Setting, old: Old) -> bool:
    return any(is_inside(one.host, old) for one in _addresses(setting))


def _addresses(setting: Setting) -> list[Address]:
    """None of a text with an `@`: what stands around it may be a password."""
    texts = (setting.value or "").split(",") if "@" not in (setting.value or "") else []
    found = (address_of(text, "cassandra") for text in texts if text.strip())
    return [one for one in found if one is not None]


def _external(old: Old, setting: Setting, points: list[str]) -> Spec:
    old.report.taken(setting.path, f"spec.cassandra.contactPoints has {', '.join(points[:MAX_POINTS])}: {REACHABLE}")
    if len(points) > MAX_POINTS:
        old.report.left(
            setting.path, f"names {len(points)} servers: the first {MAX_POINTS} are enough to find the rest"
        )
    return {
        "cassandra": {
            "contactPoints": points[:MAX_POINTS],
            "keyspace": _keyspace(old),
            "localDatacenter": _datacenter(old),
            **_replication(old),
            **_login(old),
        }
    }


def _keyspace(old: Old) -> str:
    """One of its own: in the old one there are tables of the same names with other columns."""
    used = {one.value for one in old.settings(*KEYSPACE)}
    ours = old.name.replace("-", "_")
    made = f"{ours}_pushcluster" if not used or ours in used else ours
    for one in old.settings(*KEYSPACE)[:1]:
        old.report.left(one.path, "stays as it is: its tables are the old services' alone")
    old.report.todo("", f"spec.cassandra.keyspace is {made}: the login must be allowed to make it, or make it before "
                    "you apply (docs/storage.md)")  # fmt: skip
    return made


def _datacenter(old: Old) -> str:
    for one in old.settings(*DATACENTER):
        if is_taken(store_of, contactPoints=["a"], keyspace="a", localDatacenter=one.value or ""):
            old.report.taken(one.path, f"spec.cassandra.localDatacenter is {one.value}")
            return str(one.value)
    old.report.todo("", f"spec.cassandra.localDatacenter is {DEFAULT_DATACENTER}, as the stack names none: compare it "
                    "with `nodetool status`")  # fmt: skip
    return DEFAULT_DATACENTER


def _replication(old: Old) -> Spec:
    for one in old.settings(*REPLICATION):
        if re.fullmatch("[1-9]", one.value or ""):
            old.report.taken(one.path, f"spec.cassandra.replication is {one.value}")
            return {"replication": int(one.value or "")}
    return {}


def _login(old: Old) -> Spec:
    users, passwords = old.settings(*USER), old.settings(*PASSWORD)
    if not users or not passwords:
        return {}
    name = old.secret("cassandra")
    old.report.taken(passwords[0].path, f"spec.cassandra.credentialsSecret is {name}, which is yours to make")
    keys = {"username": printing(users[0].source), "password": printing(passwords[0].source)}
    command = old.make_secret("cassandra", keys, [users[0], passwords[0]])
    old.report.todo("", f"make the Secret {name}, with the login of your Cassandra, before you apply", command)
    return {"credentialsSecret": name}
