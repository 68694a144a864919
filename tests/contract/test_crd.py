"""The CRD and the model are one: the same fields, the same defaults, and (with the API tier) the same verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import overlays, verdicts
from tests.support.overlays import STALLED
from tests.support.verdicts import Manifest, manifest

from push_operator.errors import SpecError
from push_operator.model import API_VERSION, KIND, parse
from push_operator.schedule import LINE

ACCEPTED = verdicts.ACCEPTED | overlays.ACCEPTED
REFUSED = verdicts.REFUSED | overlays.REFUSED | STALLED
CRD_FILE = Path(__file__).parents[2] / "crds" / "pushcluster.yaml"
CRD: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SPEC: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]["properties"]["spec"]


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_model_accepts(body: Manifest) -> None:
    parse(body)


@pytest.mark.parametrize(("body", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_the_model_refuses_and_names(body: Manifest, named: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(body)
    assert any(fault.path.removeprefix("manifest.").startswith(named) for fault in caught.value.faults)


def _leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        if child.get("type") == "object" and child.get("properties"):
            yield from _leaves(child, (*path, name))
        else:
            yield (*path, name), child


REQUIRED: dict[tuple[str, ...], dict[str, Any]] = {
    ("expose", "ingress"): {"host": "chat.example.com"},
    ("expose", "gateway"): {"parentRefs": [{"name": "public"}]},
}
OAUTH_PROVIDER = {
    "name": "github", "credentialsSecret": "github", "redirectUrl": "https://chat.example.com/oauth/github/callback",
}  # fmt: skip


NOTIFICATIONS: dict[str, dict[str, Any]] = {
    "fcm": {"serviceAccountSecret": "fcm"},
    "apns": {"keySecret": "apns", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "com.example.chat"},
    "webPush": {"subject": "mailto:push@example.com"},
}


def _unsaid(path: tuple[str, ...]) -> Manifest:
    """What a field is added to: the least manifest in which it may stand."""
    if path[:2] == ("gateway", "autoscaling"):
        return manifest(gateway={"scaling": {"mode": "Operator"}})
    if path[:2] == ("monitoring", "tracing"):
        return manifest(monitoring={"tracing": {"endpoint": "http://collector:4318"}})
    if path[0] == "mail":
        return manifest(mail={"url": "log:", "from": "push@example.com", "resetUrl": "https://a.example"})
    if path[0] == "notifications" and path[1] in NOTIFICATIONS:
        return manifest(notifications={path[1]: dict(NOTIFICATIONS[path[1]])})
    if path[0] in ("message", "push") and path[1] == "autoscaling":
        spec: Manifest = {path[0]: {"autoscaling": {"maxReplicas": 100}}}
        return manifest(cassandra={"managed": {}}, **spec)
    return manifest(cassandra={"managed": {}}) if path[:2] == ("cassandra", "managed") else manifest()


def _with(path: tuple[str, ...], value: Any) -> Manifest:
    body = _unsaid(path)
    place = body["spec"]
    for name in path[:-1]:
        place = place.setdefault(name, {})
    if path[0] == "cassandra" and path[1] not in ("embedded", "managed"):
        place.update(contactPoints=["host"], keyspace="chat", localDatacenter="dc1")
    elif path[:2] == ("auth", "oauth"):
        place.update(providers=[OAUTH_PROVIDER], returnUrls=["https://chat.example.com/"])
    elif path[:2] in REQUIRED:
        place.update(REQUIRED[path[:2]])
    elif path[-1] in ("credentialsSecret", "monitoringUrl") and path[0] != "mail":
        place["url"] = f"{path[0]}://host:1"
    place[path[-1]] = value
    return body


EXAMPLES = {"integer": 60, "boolean": True, "array": ["a"], "string": "a"}
SPECIAL: dict[str, Callable[[tuple[str, ...]], Any]] = {
    "url": lambda path: f"{'smtp' if path[0] == 'mail' else path[0]}://host:1",
    "from": lambda _: "push@example.com",
    "resetUrl": lambda _: "https://a.example/reset",
    "keyId": lambda _: "ABC123DEFG",
    "teamId": lambda _: "DEF123GHIJ",
    "subject": lambda _: "https://example.com",
    "storage": lambda _: "1Gi",
    "replication": lambda _: 2,
    "trustedProxies": lambda _: ["10.0.0.0/8"],
    "allowedOrigins": lambda _: ["https://a.example"],
    "topics": lambda _: [{"prefix": "a", "read": "everyone", "write": "service"}],
    "providers": lambda _: [OAUTH_PROVIDER],
    "returnUrls": lambda _: ["https://chat.example.com/"],
    "trustedIssuers": lambda _: [verdicts.ISSUER],
    "annotations": lambda _: {"name": "value"},
    "labels": lambda _: {"name": "value"},
    "parentRefs": lambda _: [{"name": "public"}],
    "replicas": lambda _: 1,
    "minReplicas": lambda _: 1,
    "maxConcurrentDrains": lambda _: 1,
    "podTemplate": lambda _: {"spec": {"priorityClassName": "high"}},
    "schedules": lambda _: [{"start": "0 8 * * *", "minutes": 60, "minReplicas": 1}],
    "monitoringUrl": lambda _: "http://host:8222",
    "endpoint": lambda _: "http://host:4318",
    "cpu": lambda _: "1",
    "memory": lambda _: "1Gi",
}


def _example(path: tuple[str, ...], schema: dict[str, Any]) -> Any:
    if path[-1] in SPECIAL:
        return SPECIAL[path[-1]](path)
    return schema["enum"][0] if "enum" in schema else EXAMPLES[schema["type"]]


LEAVES = list(_leaves(SPEC))
DEFAULTED = [leaf for leaf in LEAVES if "default" in leaf[1]]


def _named(leaves: list[tuple[tuple[str, ...], dict[str, Any]]]) -> list[str]:
    return [".".join(path) for path, _ in leaves]


@pytest.mark.parametrize(("path", "schema"), LEAVES, ids=_named(LEAVES))
def test_the_model_reads_every_field_of_the_schema(path: tuple[str, ...], schema: dict[str, Any]) -> None:
    parse(_with(path, _example(path, schema)))


@pytest.mark.parametrize(("path", "schema"), DEFAULTED, ids=_named(DEFAULTED))
def test_their_defaults_are_the_same(path: tuple[str, ...], schema: dict[str, Any]) -> None:
    assert parse(_with(path, schema["default"])) == parse(_unsaid(path))


def test_the_schema_has_every_field_of_the_model() -> None:
    """The model says what it knows of each mapping when it refuses a name in it."""
    assert _known_to_model(SPEC, ()) == {path[: at + 1] for path, _ in LEAVES for at in range(len(path))}


def _known_to_model(schema: dict[str, Any], path: tuple[str, ...]) -> set[tuple[str, ...]]:
    with pytest.raises(SpecError) as caught:
        parse(_with((*path, "zzzzzzzz"), 1))
    told = next(fault.message for fault in caught.value.faults if fault.path.endswith("zzzzzzzz"))
    names = told.split("allowed here: ")[1].split(", ") if "allowed here: " in told else []
    found = {(*path, name) for name in names if name}
    for name, child in schema["properties"].items():
        if child.get("type") == "object" and child.get("properties"):
            found |= _known_to_model(child, (*path, name))
    return found


def test_cron_lines_are_told_by_one_expression() -> None:
    schedules = SPEC["properties"]["gateway"]["properties"]["autoscaling"]["properties"]["schedules"]
    rules = schedules["items"]["properties"]["start"]["x-kubernetes-validations"]
    assert rules[0]["rule"] == f"self.matches('^{LINE}$')"


def test_what_it_is_called_and_how_large_it_is() -> None:
    names = CRD["spec"]["names"]
    assert (f"{CRD['spec']['group']}/{VERSION['name']}", names["kind"]) == (API_VERSION, KIND)
    assert (names["shortNames"], names["categories"]) == (["pcl"], ["push"])
    assert CRD_FILE.stat().st_size < 200 * 1024
