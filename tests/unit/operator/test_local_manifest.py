"""A local manifest file: one PushCluster, its Secrets, and what one machine does without."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.operator.manifests import manifest

from push_operator.cli.logs import for_people
from push_operator.cli.output import is_ready, rows
from push_operator.cli.web import addresses
from push_operator.cluster.local.ignored import ignored_fields
from push_operator.cluster.local.manifest import read_manifest
from push_operator.errors import SpecError


def _secret(name: str = "keys", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


def _refusal(*documents: Any) -> str:
    with pytest.raises(SpecError) as caught:
        read_manifest(documents)
    return str(caught.value)


def test_secrets_come_as_text_or_base64() -> None:
    data = {"A": base64.b64encode(b"one").decode(), "B": base64.b64encode(b"two").decode()}
    made = read_manifest([None, _secret(type="Opaque", data=data, stringData={"B": "three"}), manifest()])
    assert made.secrets == {"keys": {"A": "one", "B": "three"}}
    assert made.wanted.name == "chat"


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ((), "found none"),
        ((manifest(), manifest()), "found PushCluster, PushCluster"),
        ((manifest(), {"kind": "ConfigMap"}), "found PushCluster, ConfigMap"),
        ((manifest(), "text"), "found PushCluster, a document that is no mapping"),
        ((manifest(), _secret(data={"A": "***"})), "Secret.data.A: must be base64 of text"),
        ((manifest(), _secret(data={"A": 1})), "Secret.data.A: must be base64 of text"),
        ((manifest(), _secret(stringData={"A": 1})), "Secret.stringData.A: must be text (put it in quotes)"),
        ((manifest(), _secret(stringData={"A": "a\0b"})), "Secret.stringData.A: must be text without"),
        (
            (manifest(), _secret(stringData={"A": "\ud800"})),
            "Secret.stringData.A: must be text without",
        ),
        ((manifest(), _secret(data={"A": "AA=="})), "Secret.data.A: must be text without"),
        ((manifest(), _secret(stringData=[])), "Secret.stringData: must be a mapping"),
        ((manifest(), _secret(strngData={})), "Secret.strngData: unknown field: did you mean stringData?"),
        ((manifest(), _secret("chat-credentials")), "Secret chat-credentials: is the platform's own name"),
        ((manifest(cassandra={"managed": {}}),), "spec.cassandra.managed: runs on Kubernetes only: leave it out"),
        ((manifest(), {"apiVersion": "v1", "kind": "Secret"}), "Secret.metadata.name: required"),
    ],
)
def test_what_does_not_belong_in_it_is_refused(documents: tuple[Any, ...], told: str) -> None:
    assert told in _refusal(*documents)


def test_what_one_machine_does_without_is_told_only_when_asked_for() -> None:
    assert ignored_fields(manifest()) == ()
    assert ignored_fields({"spec": "anything"}) == ()
    asked = manifest(
        version="9.9",
        gateway={"replicas": 1, "resources": {"limits": {"cpu": 1}}, "podTemplate": {"spec": {}}},
        push={"podTemplate": {"metadata": {"labels": {"a": "b"}}}},
        redis={"managed": {"storage": "1Gi"}},
        expose={"ingress": {"host": "chat.example.com"}},
        monitoring={"rules": True},
    )
    assert ignored_fields(manifest(monitoring={"rules": False})) == ()
    assert [text.split(":")[0] for text in ignored_fields(asked)] == [
        "spec.gateway.resources", "spec.gateway.podTemplate", "spec.push.podTemplate", "spec.redis.managed.storage",
        "spec.expose", "spec.monitoring", "spec.version",
    ]  # fmt: skip


def test_log_lines_for_people() -> None:
    line = (
        '{"ts":"2030-01-01T12:00:00.123+00:00","level":"info","instance":"chat-auth-1","logger":"l","msg":"started",'
        '"user":"ann","error":"Traceback\\nKeyError"}'
    )
    text = for_people(line)
    assert text[2] == ":"
    assert text[8:] == ".123 INFO chat-auth-1 started user=ann\nTraceback\nKeyError"
    for other in ("[1] nats started", "{", "{}", "[]", "null", '{"ts":1}'):
        assert for_people(other) == other


def test_ready_means_this_generation() -> None:
    ready = {"type": "Ready", "status": "True"}
    body = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [ready]}}
    assert is_ready(body)
    assert not is_ready({**body, "metadata": {"generation": 3}})
    assert not is_ready({"metadata": {"generation": 1}})


def test_rows_show_the_first_note() -> None:
    component = {"name": "auth", "desired": 2, "ready": 1, "endpoint": "http://here"}
    units = [
        {"component": "auth", "ready": True, "note": "", "restarts": 1},
        {"component": "auth", "ready": False, "note": "starting", "restarts": 2},
    ]
    (row,) = rows({"status": {"components": [component]}}, units)
    assert (row.ready, row.desired, row.restarts, row.note, row.complete) == (1, 2, 3, "starting", False)


def test_the_page_is_told_addresses_under_the_name_it_was_asked_by() -> None:
    assert addresses("127.0.0.1:8090", 0)["auth"] == "http://127.0.0.1:8081"
    assert addresses("127.0.0.1:8090", 100)["sse"] == "http://127.0.0.1:8185/sse"
    assert addresses("evil.example:8090", 100)["gateway"] == "ws://localhost:8180/ws"
