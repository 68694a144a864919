"""Where history, accounts and devices are kept, and what the operator runs to keep them in, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.fields import Node

_CONTACT_POINT: Final = (
    r"([A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"  # a name or an address, IPv6 in brackets
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
_WITH_CONTACT_POINTS: Final[Mapping[str, str]] = {
    # field: why it is needed, empty when it is not
    "keyspace": "whose tables are this platform's alone",
    "localDatacenter": "the one whose nodes are asked, as `nodetool status` calls it",
    "replication": "",
    "credentialsSecret": "",
}


@dataclass(frozen=True, slots=True)
class Managed:
    """A backing service that the operator runs itself. `retain`: its volume outlives the PushCluster."""

    storage: str
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Embedded:
    """History, accounts and devices in SQLite files of the services themselves: one machine, one replica each."""

    retain: bool = True


@dataclass(frozen=True, slots=True)
class ExternalCassandra:
    """A Cassandra or ScyllaDB that exists already, shared by any number of replicas. `replication` counts only while
    the keyspace is not there yet. The Secret has the keys `username` and `password`."""

    contact_points: tuple[str, ...]
    keyspace: str
    local_datacenter: str
    replication: int
    credentials_secret: str | None


Store = Embedded | Managed | ExternalCassandra
"""`Managed` is a Cassandra of one node."""


def managed_of(node: Node, storage: str) -> Managed:
    """What a field `managed` asks for, with this much storage unless it says."""
    size = node.text("storage", storage, r"(?=.{1,16}$)[1-9][0-9]*(Mi|Gi|Ti)", "a size such as 10Gi")
    made = Managed(size, node.boolean("retain", True))
    node.done()
    return made


def store_of(node: Node) -> Store:
    """What `spec.cassandra` asks for."""
    embedded = node.child("embedded")
    retain = embedded.boolean("retain", True)
    embedded.done()
    managed = node.child("managed")
    run_here = managed_of(managed, "20Gi")
    points = node.texts("contactPoints", _CONTACT_POINT, "HOST or HOST:PORT", 16)
    made = ExternalCassandra(
        contact_points=points,
        keyspace=node.text("keyspace", "", r"[a-z][a-z0-9_]{0,47}",
                           "1 to 48 lower-case letters, digits or '_', beginning with a letter"),
        local_datacenter=node.text("localDatacenter", "", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a datacenter's name"),
        replication=node.integer("replication", 3, 1, 9),
        credentials_secret=node.name_of("credentialsSecret"),
    )  # fmt: skip
    _one_store(node)
    node.done()
    if node.has("contactPoints"):
        return made
    return run_here if managed.given else Embedded(retain)


def _one_store(node: Node) -> None:
    if sum(node.has(name) for name in ("embedded", "managed", "contactPoints")) > 1:
        node.fault("", "give one of embedded, managed and contactPoints, no more")
    for name, means in _WITH_CONTACT_POINTS.items():
        if node.has(name) and not node.has("contactPoints"):
            node.fault(name, "goes with contactPoints")
        if means and node.has("contactPoints") and not node.has(name):
            node.fault(name, f"required with contactPoints: {means}")
