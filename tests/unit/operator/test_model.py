"""What a manifest means, and what exactly is said of one that is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.manifests import cluster, manifest

from push_operator.cluster.local.manifest import with_replicas
from push_operator.errors import SpecError
from push_operator.expose import ByGateway, ByIngress, Parent
from push_operator.model import External, ImageSpec, object_key, parse
from push_operator.quantities import mebibytes
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, LagScaling, Mode, Window
from push_operator.stores import Embedded, ExternalCassandra, Managed


def _faults(body: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(body)
    return [str(fault) for fault in caught.value.faults]


def test_the_least_manifest_gets_every_default() -> None:
    made = cluster()
    assert (made.name, made.namespace, made.size, made.version, made.paused) == (
        "chat",
        "default",
        "small",
        "0.1.0",
        False,
    )
    assert {name: service.replicas for name, service in made.services.items()} == {
        "gateway": 2, "auth": 1, "message": 1, "presence": 1, "push": 1,
    }  # fmt: skip
    assert (made.nats, made.redis, made.image) == (Managed("10Gi", retain=True), Managed("1Gi"), ImageSpec())
    assert made.tokens.signing_keys_secret is None


def test_every_field_is_read() -> None:
    made = cluster(
        size="small", version="1.2", paused=True,
        gateway={"replicas": 7, "scaling": {"mode": "Fixed"}, "resources": {"requests": {"cpu": "500m", "memory": 1}}},
        auth={"replicas": 1, "registrationsPerHour": 5, "trustedProxies": ["10.0.0.0/8"]},
        presence={"replicas": 3},
        nats={"url": "tls://nats.example:4222", "credentialsSecret": "nats-login",
              "monitoringUrl": "http://nats.example:8222"},
        redis={"managed": {"storage": "2Gi", "retain": False}},
        image={"repository": "registry.example:5000/push", "pullPolicy": "Never", "pullSecrets": ["a"]},
        cassandra={"embedded": {}},
        allowedOrigins=["https://chat.example.com", "http://localhost:3000"],
        tokens={"signingKeysSecret": "keys", "accessTokenTtlSeconds": 900},
        expose={"ingress": {"host": "chat.example.com", "className": "nginx", "tlsSecret": "cert",
                            "annotations": {"a": "b"}}},
    )  # fmt: skip
    assert (made.version, made.paused, made.registrations_per_hour) == ("1.2", True, 5)
    assert made.services["gateway"].replicas == 7
    assert made.services["gateway"].resources.requests == {"cpu": "500m", "memory": "1"}
    assert made.services["presence"].replicas == 3
    assert made.nats == External("tls://nats.example:4222", "nats-login", "http://nats.example:8222")
    assert made.redis == Managed("2Gi", retain=False)
    assert made.image == ImageSpec("registry.example:5000/push", "Never", ("a",))
    assert made.allowed_origins == ("https://chat.example.com", "http://localhost:3000")
    assert (made.tokens.signing_keys_secret, made.tokens.access_token_ttl_seconds) == ("keys", 900)
    assert made.expose == ByIngress("chat.example.com", "nginx", "cert", {"a": "b"})


def test_gateways_are_read() -> None:
    parents = [{"name": "public", "namespace": "edge", "sectionName": "https"}, {"name": "other"}]
    made = cluster(expose={"gateway": {"parentRefs": parents, "hostnames": ["*.example.com"]}})
    assert made.expose == ByGateway(
        (Parent("public", "edge", "https"), Parent("other", None, None)), ("*.example.com",)
    )  # fmt: skip


def _autoscaled(**fields: Any) -> dict[str, Any]:
    return {"gateway": {"scaling": {"mode": "Operator"}, "autoscaling": fields}}


def test_a_number_of_gateways_is_fixed_or_bounded() -> None:
    assert cluster().scaling == GatewayScaling(Mode.FIXED, 2)
    assert cluster(gateway={"replicas": 3, "scaling": {"mode": "External"}}).scaling.mode is Mode.EXTERNAL
    made = cluster(
        gateway={
            "scaling": {"mode": "Operator"},
            "autoscaling": {
                "minReplicas": 4, "maxReplicas": 40, "targetConnections": 500, "headroomPercent": 0,
                "acceptRatePerPod": 50, "scaleDown": {"stabilizationSeconds": 0, "maxConcurrentDrains": 3},
                "schedules": [{"start": "0 8 * * 1-5", "minutes": 600, "minReplicas": 9}],
            },
            "drain": {"timeoutSeconds": 60, "reconnectsPerSecond": 10},
        }
    )  # fmt: skip
    assert made.scaling == GatewayScaling(
        Mode.OPERATOR, None, Autoscaling(4, 40, 500, 0, 50, 0, 3, (Window("0 8 * * 1-5", 600, 9),)), Drain(60, 10)
    )
    assert made.services["gateway"].replicas == 4


@pytest.mark.parametrize(("size", "least", "most"), [("small", 1, 2), ("medium", 3, 10), ("large", 20, 100)])
def test_the_bounds_follow_from_the_size(size: str, least: int, most: int) -> None:
    made = cluster(size=size, cassandra={"managed": {}}, gateway={"scaling": {"mode": "Operator"}})
    assert made.scaling == GatewayScaling(Mode.OPERATOR, None, Autoscaling(least, most))


def test_what_reads_a_stream_follows_what_waits_in_it() -> None:
    made = cluster(
        size="medium", cassandra={"managed": {}},
        message={"autoscaling": {"maxReplicas": 9}},
        push={"autoscaling": {"minReplicas": 1, "maxReplicas": 4, "targetLag": 10}},
    )  # fmt: skip
    assert made.services["message"].autoscaling == LagScaling(3, 9, 5000)
    assert made.services["push"].autoscaling == LagScaling(1, 4, 10)
    assert [made.services[name].replicas for name in ("message", "push", "presence")] == [3, 1, 2]
    assert made.services["presence"].autoscaling is None
    unsaid = cluster(cassandra={"managed": {}}, push={"autoscaling": {"maxReplicas": 2}})
    assert unsaid.services["push"].autoscaling == LagScaling(1, 2, 1000)


MAIL: dict[str, Any] = {"url": "log:", "from": "a@b", "resetUrl": "https://a.example"}
APNS = {"keySecret": "a", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "com.example.chat"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"allowedOrigins": "https://a.example"},
     "spec.allowedOrigins: must be a list of 1 to 50, each an origin such as https://chat.example.com, no path"),
    ({"allowedOrigins": ["https://a.example", "https://a.example/x"]},
     "spec.allowedOrigins[1]: must be an origin such as https://chat.example.com, no path"),
    ({"gateway": {}},
     "spec.gateway.replicas: required unless scaling.mode is Operator: how many gateways to run, 1 to 1000"),
    ({"gateway": {"replicas": 0}}, "spec.gateway.replicas: must be a whole number from 1 to 1000"),
    ({"gateway": {"replicas": True}}, "spec.gateway.replicas: must be a whole number from 1 to 1000"),
    ({"gateway": {"replicas": "2"}}, "spec.gateway.replicas: must be a whole number from 1 to 1000"),
    ({"gateway": {"replicas": 2, "scaling": {"mode": "Sometimes"}}},
     "spec.gateway.scaling.mode: must be one of Fixed, Operator, External"),
    ({"gateway": {"replicas": 2, "scaling": "Fixed"}}, "spec.gateway.scaling: must be a mapping of fields, not text"),
    ({"gateway": {"replicas": 2, "resources": {"limits": {"cpu": "lots"}}}},
     "spec.gateway.resources.limits.cpu: must be a quantity such as 500m, 2 or 256Mi"),
    ({"gateway": {"replica": 2, "replicas": 2}},
     "spec.gateway.replica: unknown field: did you mean replicas? allowed here: scaling, replicas, autoscaling, drain, "
     "resources, podTemplate"),
    ({"gateway": {"replicas": 2, "scaling": {"mode": "Operator"}}},
     "spec.gateway.replicas: must not be given when scaling.mode is Operator: autoscaling.minReplicas and maxReplicas "
     "are its bounds"),
    ({"gateway": {"replicas": 2, "autoscaling": {}}}, "spec.gateway.autoscaling: goes with scaling.mode Operator"),
    ({"gateway": {"scaling": {"mode": "Operator"}, "drain": {"timeoutSeconds": 10}}},
     "spec.gateway.autoscaling.targetConnections: must not be more than drain.reconnectsPerSecond times "
     "drain.timeoutSeconds (2000): more than that no gateway gets rid of in time"),
    (_autoscaled(minReplicas=3),
     "spec.gateway.autoscaling.minReplicas: must not be more than maxReplicas: 3 are more than 2"),
    (_autoscaled(schedules=[{"start": "0 8 * * *", "minutes": 1, "minReplicas": 3}]),
     "spec.gateway.autoscaling.schedules[0].minReplicas: must not be more than maxReplicas: 3 are more than 2"),
    (_autoscaled(schedules=[{"start": "8 o'clock", "minutes": 1, "minReplicas": 1}]),
     "spec.gateway.autoscaling.schedules[0].start: must be a cron line of five fields (minute hour day month weekday, "
     "in UTC) such as 0 8 * * 1-5"),
    (_autoscaled(schedules=[{"start": "0 18-8 * * *", "minutes": 1, "minReplicas": 1}]),
     "spec.gateway.autoscaling.schedules[0].start: a range goes from its lower end to its higher one"),
    (_autoscaled(schedules=[{"start": "0 8 * * *", "minReplicas": 1}]),
     "spec.gateway.autoscaling.schedules[0].minutes: required: how long it is open"),
    ({"message": {"autoscaling": {"maxReplicas": 1}}},
     "spec.message.autoscaling: must not be given with the embedded store, where there is one; "
     "more need cassandra.managed or cassandra.contactPoints"),
    ({"presence": {"autoscaling": {"maxReplicas": 2}}},
     "spec.presence.autoscaling: unknown field: allowed here: offlineGraceSeconds, visibleTo, replicas, resources, "
     "podTemplate"),
    ({"nats": {"url": "nats://a:1", "monitoringUrl": "http://u:p@a:1"}},
     "spec.nats.monitoringUrl: must be an address such as http://HOST:PORT, without a password"),
    ({"nats": {"monitoringUrl": "http://a:1"}},
     "spec.nats.monitoringUrl: goes with url; where a managed one has it is known"),
    ({"auth": {"replicas": 2}},
     "spec.auth.replicas: must be 1 with the embedded store, not 2; "
     "more need cassandra.managed or cassandra.contactPoints"),
    ({"size": "medium", "auth": {"replicas": 1}, "push": {"replicas": 1}},
     "spec.message.replicas: must be 1 with the embedded store, not 3; "
     "more need cassandra.managed or cassandra.contactPoints"),
    ({"size": "tiny"}, "spec.size: must be one of small, medium, large"),
    ({"paused": "yes"}, "spec.paused: must be true or false"),
    ({"version": 0.1}, 'spec.version: must be an image tag such as "0.1.0" (put the number in quotes)'),
    ({"nats": {"managed": {}, "url": "nats://a:1"}}, "spec.nats: give one of managed and url, not both"),
    ({"nats": {"url": "http://a:1"}}, "spec.nats.url: must look like nats://HOST:PORT or tls://HOST:PORT"),
    ({"nats": {"url": "nats://a:99999"}}, "spec.nats.url: must look like nats://HOST:PORT or tls://HOST:PORT"),
    ({"redis": {"url": "redis://u:p@a:1"}},
     "spec.redis.url: must not hold a password: put it in a Secret and name that in credentialsSecret"),
    ({"redis": {"credentialsSecret": "x"}},
     "spec.redis.credentialsSecret: goes with url; a managed one makes its own credentials"),
    ({"redis": {"managed": {"storage": "1GB"}}}, "spec.redis.managed.storage: must be a size such as 10Gi"),
    ({"tokens": {"accessTokenTtlSeconds": 5}},
     "spec.tokens.accessTokenTtlSeconds: must be a whole number from 60 to 31536000"),
    ({"tokens": {"signingKeysSecret": "Not A Name"}},
     "spec.tokens.signingKeysSecret: must be an object's name: lower-case letters, digits and '-'"),
    ({"mail": {"url": "smtp://mail:25", "resetUrl": "https://a.example"}},
     "spec.mail.from: required: the address that mails come from"),
    ({"mail": {**MAIL, "url": "smtp://u:p@mail:25"}},
     "spec.mail.url: must not hold a password: put it in a Secret and name that in credentialsSecret"),
    ({"mail": {**MAIL, "url": "mail"}}, "spec.mail.url: must look like smtp://HOST:PORT or smtps://HOST:PORT"),
    ({"mail": {**MAIL, "from": "Push <push@example.com>"}},
     "spec.mail.from: must be an address such as push@example.com"),
    ({"mail": {**MAIL, "resetUrl": "https://a.example/#reset"}},
     "spec.mail.resetUrl: must be an address such as http://HOST:PORT, without a password"),
    ({"notifications": {"fcm": {}}},
     "spec.notifications.fcm.serviceAccountSecret: required: the Secret with the JSON key of a service account"),
    ({"notifications": {"apns": {**APNS, "keyId": "short"}}},
     "spec.notifications.apns.keyId: must be the 10 characters that Apple names the key by"),
    ({"notifications": {"apns": {"keySecret": "a", "keyId": "ABC123DEFG", "teamId": "ABC123DEFG"}}},
     "spec.notifications.apns.topic: required: the bundle id of your app"),
    ({"notifications": {"webPush": {"subject": "push@example.com"}}},
     "spec.notifications.webPush.subject: must be an address such as mailto:push@example.com or https://example.com"),
    ({"notifications": {"webPush": {"vapidSecret": "own"}}},
     "spec.notifications.webPush.subject: required: "
     "an address such as mailto:push@example.com or https://example.com"),
    ({"notifications": {"holdOffSeconds": 61}},
     "spec.notifications.holdOffSeconds: must be a whole number from 0 to 60"),
    ({"auth": {"trustedProxies": ["10.0.0.0"]}}, "spec.auth.trustedProxies[0]: must be a network such as 10.0.0.0/8"),
    ({"auth": {"trustedProxies": ["::/0", "10.0.0.0/64"]}},
     "spec.auth.trustedProxies[1]: must be a network such as 10.0.0.0/8"),
    ({"oauth": {}},
     "spec.oauth: unknown field: did you mean auth? allowed here: size, gateway, auth, message, presence, push, "
     "version, image, paused, allowedOrigins, nats, redis, cassandra, tokens, "
     "serviceKeySecret, topics, history, expose, monitoring, mail, notifications"),
]  # fmt: skip


CASSANDRA: dict[str, Any] = {"contactPoints": ["a:9042"], "keyspace": "chat", "localDatacenter": "dc1"}
REFUSED += [
    ({"cassandra": cassandra}, f"spec.cassandra{told}")
    for cassandra, told in (
        ({**CASSANDRA, "embedded": {}}, ": give one of embedded, managed and contactPoints, no more"),
        ({**CASSANDRA, "managed": {}}, ": give one of embedded, managed and contactPoints, no more"),
        ({"embedded": {}, "managed": {}}, ": give one of embedded, managed and contactPoints, no more"),
        ({"managed": {"storage": "20GB"}}, ".managed.storage: must be a size such as 10Gi"),
        ({"managed": {"replicas": 3}}, ".managed.replicas: unknown field: allowed here: storage, retain"),
        ({"managed": {}, "keyspace": "chat"}, ".keyspace: goes with contactPoints"),
        ({"managed": {}, "credentialsSecret": "login"}, ".credentialsSecret: goes with contactPoints"),
        ({"embedded": {"path": "x"}}, ".embedded.path: unknown field: allowed here: retain"),
        ({"embedded": True}, ".embedded: must be a mapping of fields, not true/false"),
        ({"embedded": {}, "keyspace": "chat"}, ".keyspace: goes with contactPoints"),
        ({"localDatacenter": "dc1"}, ".localDatacenter: goes with contactPoints"),
        ({"replication": 3}, ".replication: goes with contactPoints"),
        ({"credentialsSecret": "login"}, ".credentialsSecret: goes with contactPoints"),
        ({"contactPoints": ["a"], "localDatacenter": "dc1"},
         ".keyspace: required with contactPoints: whose tables are this platform's alone"),
        ({"contactPoints": ["a"], "keyspace": "chat"},
         ".localDatacenter: required with contactPoints: the one whose nodes are asked, as `nodetool status` calls it"),
        ({**CASSANDRA, "contactPoints": []}, ".contactPoints: must be a list of 1 to 16, each HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": "a:1"}, ".contactPoints: must be a list of 1 to 16, each HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["a"] * 17},
         ".contactPoints: must be a list of 1 to 16, each HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["a", 9042]}, ".contactPoints[1]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["a:0"]}, ".contactPoints[0]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["a:65536"]}, ".contactPoints[0]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["a,b"]}, ".contactPoints[0]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": ["cql://a"]}, ".contactPoints[0]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "contactPoints": [" "]}, ".contactPoints[0]: must be HOST or HOST:PORT"),
        ({**CASSANDRA, "keyspace": "Chat-1"},
         ".keyspace: must be 1 to 48 lower-case letters, digits or '_', beginning with a letter"),
        ({**CASSANDRA, "keyspace": "c" * 49},
         ".keyspace: must be 1 to 48 lower-case letters, digits or '_', beginning with a letter"),
        ({**CASSANDRA, "localDatacenter": "dc'1"}, ".localDatacenter: must be a datacenter's name"),
        ({**CASSANDRA, "replication": 0}, ".replication: must be a whole number from 1 to 9"),
        ({**CASSANDRA, "credentialsSecret": "Not A Name"},
         ".credentialsSecret: must be an object's name: lower-case letters, digits and '-'"),
        ({**CASSANDRA, "localDataCentre": "dc1"}, ".localDataCentre: unknown field: did you mean localDatacenter? "
         "allowed here: embedded, managed, contactPoints, keyspace, localDatacenter, replication, credentialsSecret"),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "told"), REFUSED, ids=[told.split(":")[0] + f"-{at}" for at, (_, told) in enumerate(REFUSED)]
)
def test_a_bad_field_is_named_with_what_is_allowed(spec: dict[str, Any], told: str) -> None:
    assert _faults(manifest(**spec)) == [told]


def test_a_shared_store_takes_any_number_of_replicas() -> None:
    made = cluster(size="large", cassandra={**CASSANDRA, "contactPoints": ["a", "b.example:9043", "[::1]:9042"]})
    assert made.store == ExternalCassandra(("a", "b.example:9043", "[::1]:9042"), "chat", "dc1", 3, None)
    assert [made.services[name].replicas for name in ("auth", "message", "push")] == [5, 10, 5]
    whole = cluster(cassandra={**CASSANDRA, "replication": 1, "credentialsSecret": "login"}, auth={"replicas": 4})
    assert whole.store == ExternalCassandra(("a:9042",), "chat", "dc1", 1, "login")
    assert whole.services["auth"].replicas == 4


def test_a_managed_store_takes_any_number_of_replicas() -> None:
    made = cluster(size="large", cassandra={"managed": {}})
    assert made.store == Managed("20Gi", retain=True)
    assert [made.services[name].replicas for name in ("auth", "message", "push")] == [5, 10, 5]
    assert cluster(cassandra={"managed": {"storage": "1Ti", "retain": False}}).store == Managed("1Ti", retain=False)


@pytest.mark.parametrize("given", [None, {}, {"embedded": None}, {"embedded": {}}])
def test_the_store_is_embedded_unless_said_otherwise(given: Any) -> None:
    assert cluster(cassandra=given).store == Embedded()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (None, "manifest.apiVersion: must be pushcluster.io/v1alpha1"),
        ([], "manifest: must be a mapping of fields, not a list"),
        ("text", "manifest: must be a mapping of fields, not text"),
        ({**manifest(), "kind": "Deployment"}, "manifest.kind: must be PushCluster"),
        ({**manifest(), "spce": {}}, "manifest.spce: unknown field: did you mean spec?"),
        ({**manifest(), "metadata": {}}, "manifest.metadata.name: required: what the cluster is called"),
        ({**manifest(), "metadata": {"name": "Chat"}}, "manifest.metadata.name: must be 1 to 40 lower-case letters"),
        ({**manifest(), "metadata": {"name": "c" * 41}}, "manifest.metadata.name: must be 1 to 40 lower-case letters"),
        ({**manifest(), "spec": None}, "spec: required: the least is"),
        ({**manifest(), "spec": []}, "spec: must be a mapping of fields, not a list"),
    ],
)
def test_a_bad_envelope_is_named(body: Any, told: str) -> None:
    assert any(fault.startswith(told) for fault in _faults(body)), _faults(body)


def test_all_faults_are_told_at_once() -> None:
    told = _faults(manifest(size="tiny", paused=1, gateway={"replicas": -1}))
    assert [fault.split(":")[0] for fault in told] == ["spec.size", "spec.gateway.replicas", "spec.paused"]


_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_nested = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_known = st.sampled_from(
    ["size", "gateway", "auth", "nats", "redis", "tokens", "cassandra", "replicas", "resources", "requests", "cpu",
     "limits", "url", "managed", "storage", "scaling", "mode", "version", "paused", "memory", "metadata",
     "signingKeysSecret", "contactPoints", "keyspace", "localDatacenter", "embedded", "message", "autoscaling",
     "schedules", "start", "minReplicas", "maxReplicas", "drain", "timeoutSeconds", "scaleDown", "monitoringUrl"]
)  # fmt: skip
_likely = st.recursive(
    _leaves
    | st.sampled_from(
        ["small", "10Gi", "nats://[", "redis://h:x", "tls://h:1", "Fixed", "Operator", "0 8 * * 5-1", "1" * 300]
    ),
    lambda inner: st.dictionaries(_known, inner, max_size=5),
    max_leaves=20,
)


@given(_nested)
def test_no_manifest_breaks_the_parser(body: Any) -> None:
    with pytest.raises(SpecError):
        parse(body)


@given(_likely)
def test_no_spec_breaks_the_parser(spec: Any) -> None:
    try:
        parse({**manifest(), "spec": spec})
    except SpecError as error:
        assert all(fault.path and fault.message for fault in error.faults)


def test_with_replicas_changes_one_number_and_not_its_input() -> None:
    body = manifest()
    assert parse(with_replicas(body, "gateway", 5)).services["gateway"].replicas == 5
    assert parse(with_replicas(body, "presence", 2)).services["presence"].replicas == 2
    assert body == manifest()


def test_object_key_and_sizes() -> None:
    assert object_key(manifest()) == "default/chat"
    assert object_key({"metadata": {"name": "a", "namespace": "b"}}) == "b/a"
    assert [mebibytes(size) for size in ("512Mi", "10Gi", "1Ti")] == [512, 10_240, 1_048_576]
    with pytest.raises(ValueError, match="not a size"):
        mebibytes("10")
