"""A local manifest: one PushCluster and the Secrets that it names. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from push_operator.errors import Fault, SpecError
from push_operator.fields import Node
from push_operator.model import PushCluster, parse
from push_operator.plan.names import credentials_name
from push_operator.stores import Managed

_NOT_HERE: Final = (
    "runs on Kubernetes only: leave it out, which keeps everything in SQLite files, or give the contactPoints of a "
    "Cassandra of your own"
)
_PLAIN: Final = "must be text without the character 0 or half a character"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The body as it was written, what it means, and the values of each Secret by name."""

    body: Mapping[str, Any]
    wanted: PushCluster
    secrets: Mapping[str, Mapping[str, str]]


def read_manifest(documents: Sequence[Any]) -> Manifest:
    """Raises SpecError when there is not exactly one PushCluster beside any number of Secrets, or one is not valid."""
    given = [document for document in documents if document is not None]
    bodies = [document for document in given if not _is_secret(document)]
    if len(bodies) != 1:
        found = ", ".join(_kind(body) for body in bodies) or "none"
        raise SpecError(
            (Fault("manifest", f"must hold exactly one PushCluster, and Secrets beside it; found {found}"),)
        )
    wanted = parse(bodies[0])
    faults: list[Fault] = []
    if isinstance(wanted.store, Managed):
        faults.append(Fault("spec.cassandra.managed", _NOT_HERE))
    secrets = {}
    for document in given:
        if _is_secret(document):
            name, values = _secret(document, faults)
            if name == credentials_name(wanted.name):
                faults.append(Fault(f"Secret {name}", "is the platform's own name: give it another"))
            secrets[name] = values
    if faults:
        raise SpecError(tuple(faults))
    return Manifest(bodies[0], wanted, secrets)


def with_replicas(body: Mapping[str, Any], service: str, replicas: int) -> dict[str, Any]:
    """The same manifest with another number of replicas for one service; checking it is `parse`'s work."""
    spec = dict(body.get("spec") or {})
    spec[service] = {**(spec.get(service) or {}), "replicas": replicas}
    return {**body, "spec": spec}


def _is_secret(document: Any) -> bool:
    return isinstance(document, Mapping) and document.get("kind") == "Secret"


def _kind(document: Any) -> str:
    return str(document.get("kind")) if isinstance(document, Mapping) else "a document that is no mapping"


def _secret(document: Mapping[str, Any], faults: list[Fault]) -> tuple[str, dict[str, str]]:
    root = Node(document, "Secret", faults)
    root.raw("kind")
    root.raw("type")
    if root.raw("apiVersion") != "v1":
        root.fault("apiVersion", "must be v1")
    metadata = root.child("metadata")
    name = metadata.name_of("name")
    if not metadata.has("name"):
        metadata.fault("name", "required: what the PushCluster calls it")
    values = _data(root, faults) | _string_data(root, faults)
    root.done()
    return name or "", values


def _string_data(root: Node, faults: list[Fault]) -> dict[str, str]:
    made = {}
    for key, value in _entries(root, "stringData"):
        if not isinstance(value, str):
            faults.append(Fault(f"Secret.stringData.{key}", "must be text (put it in quotes)"))
        elif not _is_plain(value):
            faults.append(Fault(f"Secret.stringData.{key}", _PLAIN))
        else:
            made[key] = value
    return made


def _data(root: Node, faults: list[Fault]) -> dict[str, str]:
    made = {}
    for key, value in _entries(root, "data"):
        try:
            made[key] = base64.b64decode(value, validate=True).decode()
        except (TypeError, ValueError, binascii.Error):
            faults.append(Fault(f"Secret.data.{key}", "must be base64 of text; stringData takes it as it is"))
            continue
        if not _is_plain(made[key]):
            faults.append(Fault(f"Secret.data.{key}", _PLAIN))
    return made


def _is_plain(value: str) -> bool:
    """A process can have it as an environment variable."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _entries(root: Node, name: str) -> list[tuple[str, Any]]:
    value = root.raw(name)
    if value is not None and not isinstance(value, Mapping):
        root.fault(name, "must be a mapping of keys to text")
    return [(str(key), entry) for key, entry in value.items()] if isinstance(value, Mapping) else []
