"""The environment that the planner renders is one that every workload understands."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support import verdicts
from tests.support.fcm import PROJECT, FcmPeer

from push_operator import tokens
from push_operator.model import parse
from push_operator.plan.build import build
from push_operator.plan.workload import Address, DataPath, EnvValue, SecretKey, Workload
from push_operator.quantities import mebibytes
from push_operator.tokens import KEYS_ANNOTATION, schedule
from push_workloads.auth.config import AuthConfig
from push_workloads.common import issuers
from push_workloads.common.config import SIGNING_KEY_PREFIX
from push_workloads.common.keys import ALGORITHMS, NEVER
from push_workloads.message import streams
from push_workloads.message.config import MessageConfig
from push_workloads.presence.config import PresenceConfig

SERVICES = ("gateway", "auth", "message", "presence", "push")
HOSTS = {
    "nats": ("nats.example.internal", 4222),
    "valkey": ("valkey.example.internal", 6379),
    "cassandra": ("cassandra.example.internal", 9042),
    "auth": ("auth.example.internal", 8081),
}

MANIFESTS: dict[str, dict[str, Any]] = {
    "least": {"gateway": {"replicas": 1}},
    "everything managed": {
        "gateway": {"replicas": 3},
        "auth": {"registrationsPerHour": 0, "trustedProxies": ["10.1.2.3/8", "fd00::/8"]},
        "nats": {"managed": {"storage": "20Gi"}},
        "redis": {"managed": {}},
        "tokens": {"accessTokenTtlSeconds": 60},
        "topics": [
            {"prefix": "news/", "read": "everyone", "write": "service"},
            {"prefix": "börse", "read": "service", "write": "service", "readers": ["bob"], "writers": ["ann", "zoë"]},
        ],
        "history": {"directDays": 365, "groupDays": 90, "topicDays": 1},
        "presence": {"offlineGraceSeconds": 0, "visibleTo": "nobody"},
    },
    "gateways that the operator counts": {
        "gateway": {"scaling": {"mode": "Operator"}, "drain": {"timeoutSeconds": 3600, "reconnectsPerSecond": 100_000}},
    },
    "traces": {"gateway": {"replicas": 1}, "monitoring": {"tracing": {"endpoint": "http://c:4318/", "percent": 7}}},
    "logins by providers": {
        "gateway": {"replicas": 1},
        "auth": {
            "oauth": {
                "returnUrls": ["https://chat.example.com/", "com.example.app:/login", "http://localhost:8090/"],
                "providers": [
                    {
                        "name": "google",
                        "credentialsSecret": "google",
                        "redirectUrl": "https://chat.example.com/oauth/google/callback",
                    },
                    {
                        "name": "github",
                        "label": "GitHub (work)",
                        "credentialsSecret": "github",
                        "redirectUrl": "https://chat.example.com/oauth/github/callback",
                        "url": "https://github.example.com",
                        "apiUrl": "https://github.example.com/api/v3",
                    },
                    {
                        "name": "acme",
                        "credentialsSecret": "acme",
                        "issuer": "https://login.acme.example/realms/a",
                        "redirectUrl": "http://127.0.0.1:8081/oauth/acme/callback",
                    },
                ],
            }
        },
    },
    "small disk": {"gateway": {"replicas": 1}, "nats": {"managed": {"storage": "64Mi"}}},
    "large disk": {"gateway": {"replicas": 1}, "nats": {"managed": {"storage": "100Ti"}}},
    "external without passwords": {
        "gateway": {"replicas": 1},
        "nats": {"url": "nats://bus:4222"},
        "redis": {"url": "redis://cache:6379"},
    },
    "medium on an external Cassandra": {
        "size": "medium",
        "gateway": {"replicas": 5},
        "cassandra": {"contactPoints": ["one", "[::1]:9043"], "keyspace": "chat", "localDatacenter": "dc1"},
    },
    "large on a managed Cassandra": {
        "size": "large",
        "gateway": {"replicas": 20},
        "cassandra": {"managed": {"storage": "100Gi"}},
    },
    "external with passwords": {
        "gateway": {"replicas": 1},
        "nats": {"url": "tls://bus:4222", "credentialsSecret": "bus"},
        "redis": {"url": "rediss://cache:6380/1", "credentialsSecret": "cache"},
        "cassandra": {
            "contactPoints": ["one:9042"],
            "keyspace": "chat",
            "localDatacenter": "dc1",
            "replication": 1,
            "credentialsSecret": "store",
        },
        "tokens": {"signingKeysSecret": "keys", "accessTokenTtlSeconds": 365 * 86400},
        "serviceKeySecret": "backend",
        "mail": {
            "url": "smtps://mail.example.com",
            "from": "push@example.com",
            "resetUrl": "https://chat.example.com/reset",
            "credentialsSecret": "mail",
        },
    },
    "notifications": {
        "gateway": {"replicas": 1},
        "notifications": {
            "fcm": {"serviceAccountSecret": "fcm"},
            "apns": {"keySecret": "apns", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "com.example.chat",
                     "sandbox": True},
            "webPush": {"vapidSecret": "own", "subject": "https://example.com/push"},
            "holdOffSeconds": 0,
            "perUserPerMinute": 100_000,
        },
    },
    "exposed": {"gateway": {"replicas": 1}, "expose": {"ingress": {"host": "chat.example.com"}}},
    "mails into the log": {
        "gateway": {"replicas": 1},
        "mail": {"url": "log:", "from": "push@example.com", "resetUrl": "http://localhost:8090"},
    },
    "issuers that are trusted": {
        "gateway": {"replicas": 1},
        "tokens": {"trustedIssuers": [verdicts.ISSUER, {
            "issuer": "http://id:8080/a", "allowInsecure": True, "audience": "a", "userIdPrefix": "",
            "jwksUrl": "http://id:8080/keys", "userIdClaim": "uid", "algorithms": ["PS256", "EdDSA"],
            "topicClaims": {"read": "r", "write": "w"},
        }]},
    },
    "private keys of one's own": {"gateway": {"replicas": 1}, "tokens": {"privateKeysSecret": "own"}},
    "private keys after a shared secret": {
        "gateway": {"replicas": 1}, "tokens": {"privateKeysSecret": "own", "signingKeysSecret": "old"}
    },
}  # fmt: skip
P256 = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                      capture_output=True, text=True, check=True).stdout  # fmt: skip
PEM = subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519"], capture_output=True, text=True, check=True).stdout


def _workload(spec: Mapping[str, Any], service: str) -> Workload:
    body = {
        "apiVersion": "pushcluster.io/v1alpha1",
        "kind": "PushCluster",
        "metadata": {"name": "demo"},
        "spec": spec,
    }
    workload = build(parse(body), ("http://localhost:8090",)).workload(service)
    assert workload is not None
    return workload


def _resolved(env: Mapping[str, EnvValue], *, with_optional: bool) -> dict[str, str]:
    """What a cluster adapter makes of it."""
    texts: dict[str, str] = {}
    for name, value in env.items():
        match value:
            case SecretKey(optional=True) if not with_optional:
                continue
            case SecretKey(key="SIGNING_KEYS"):
                texts[name] = PEM
            case SecretKey(key="FCM_SERVICE_ACCOUNT"):
                texts[name] = json.dumps(FcmPeer(1).account)
            case SecretKey(key="VAPID_PRIVATE_KEY" | "APNS_KEY"):
                texts[name] = P256
            case SecretKey(key=key):
                texts[name] = f"a generated value for {key}, of 32 bytes or more"
            case Address(component):
                texts[name] = value.at(*HOSTS[component])
            case DataPath(file):
                texts[name] = f"/data/{file}"
            case str():
                texts[name] = value
    return texts


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("with_optional", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("spec", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_every_workload_reads_its_environment(spec: dict[str, Any], with_optional: bool, service: str) -> None:
    module: Any = importlib.import_module(f"push_workloads.{service}.service")
    workload = _workload(spec, service)
    config = module.parse(_resolved(workload.env, with_optional=with_optional))
    assert config.common.stop_seconds == workload.stop_seconds
    assert config.common.origins == ("http://localhost:8090",)
    assert config.common.public.port == next(port.number for port in workload.ports if port.public)
    for port in workload.ports:
        if port.name == "sse" and hasattr(config, "sse"):  # until the gateway listens there
            assert config.sse.port == port.number
    assert config.common.admin.port == next(port.number for port in workload.ports if port.name == "admin")
    assert config.tokens.ttl_seconds == spec.get("tokens", {}).get("accessTokenTtlSeconds", 86_400)


def test_notifications_go_where_the_manifest_says() -> None:
    module: Any = importlib.import_module("push_workloads.push.service")
    config = module.parse(_resolved(_workload(MANIFESTS["notifications"], "push").env, with_optional=False))
    assert config.fcm.project == PROJECT
    assert config.webpush.subject == "https://example.com/push"
    assert (config.apns.key, config.apns.key_id, config.apns.topic) == (P256, "ABC123DEFG", "com.example.chat")
    assert config.apns.host == "api.sandbox.push.apple.com"
    assert (config.hold_off_seconds, config.per_user_per_minute) == (0, 100_000)
    plain = module.parse(_resolved(_workload(MANIFESTS["least"], "push").env, with_optional=False))
    assert (plain.fcm, plain.apns) == (None, None)
    assert (plain.hold_off_seconds, plain.per_user_per_minute) == (3, 60)
    assert plain.webpush.public_key not in (config.webpush.public_key, "")


@pytest.mark.parametrize("service", ["gateway", "message"])
def test_who_traces_is_told_how_much_and_whom(service: str) -> None:
    module: Any = importlib.import_module(f"push_workloads.{service}.service")
    config = module.parse(_resolved(_workload(MANIFESTS["traces"], service).env, with_optional=False))
    assert (config.tracing.endpoint, config.tracing.ratio) == ("http://c:4318", 0.07)
    plain = module.parse(_resolved(_workload(MANIFESTS["least"], service).env, with_optional=False))
    assert plain.tracing.endpoint is None


@pytest.mark.parametrize("service", ["auth", "message", "push"])
def test_a_managed_cassandra_is_found_and_its_login_can_be_made(service: str) -> None:
    module: Any = importlib.import_module(f"push_workloads.{service}.service")
    env = _workload(MANIFESTS["large on a managed Cassandra"], service).env
    store = module.parse(_resolved(env, with_optional=False)).store
    assert store.contact_points == (HOSTS["cassandra"],)
    assert (store.keyspace, store.local_datacenter, store.replication) == ("pushcluster", "datacenter1", 1)
    assert store.user == "push"
    assert len({store.password, store.admin_password, None}) == 3


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("spec", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_every_variable_is_read(spec: dict[str, Any], service: str) -> None:
    """A variable that no workload reads would be a setting of the manifest that does nothing."""
    module: Any = importlib.import_module(f"push_workloads.{service}.service")
    seen: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            seen.add(key)
            return super().get(key, default)

    env = _resolved(_workload(spec, service).env, with_optional=True)
    module.parse(Watched(env))
    assert {name for name in env if not name.startswith(SIGNING_KEY_PREFIX)} <= seen
    if service == "auth":
        assert len(module.parse(env).tokens.signing_keys) == ("signingKeysSecret" not in spec.get("tokens", {})
                                                              or "privateKeysSecret" in spec["tokens"])  # fmt: skip


@pytest.mark.parametrize("times", ["0", "1000", "0,1000", "5,7000,9000000"])
def test_both_sides_come_to_the_same_turns_of_the_keys(times: str) -> None:
    annotations = {KEYS_ANNOTATION: times}
    body = {"apiVersion": "pushcluster.io/v1alpha1", "kind": "PushCluster", "spec": {"gateway": {"replicas": 1}},
            "metadata": {"name": "demo", "annotations": annotations}}  # fmt: skip
    cluster = parse(body)
    workload = build(cluster).workload("auth")
    assert workload is not None
    keys = AuthConfig.parse(_resolved(workload.env, with_optional=False)).tokens.signing_keys
    planned = schedule(cluster.tokens.key_times, cluster.tokens.access_token_ttl_seconds)
    assert [(one.signs_from, one.until) for one in keys] == [(one.signs_from, one.until or NEVER) for one in planned]
    assert len({one.key.kid for one in keys}) == len(planned)


def test_both_sides_read_the_same_of_an_issuer() -> None:
    body = verdicts.manifest(tokens=MANIFESTS["issuers that are trusted"]["tokens"])
    env = _resolved(_workload(body["spec"], "presence").env, with_optional=False)
    first, second = PresenceConfig.parse(env).tokens.trusted
    assert (first.issuer, first.audience, first.user_id_prefix) == ("https://login.example.com", "push", "corp:")
    assert (first.jwks_url, first.user_id_claim, first.allow_insecure) == (None, "sub", False)
    assert first.algorithms == tokens.DEFAULT_ALGORITHMS == issuers.DEFAULT_ALGORITHMS
    assert (second.jwks_url, second.user_id_claim, second.allow_insecure) == ("http://id:8080/keys", "uid", True)
    assert (second.algorithms, second.topic_claims) == (("PS256", "EdDSA"), issuers.TopicClaims("r", "w"))
    assert tokens.ALGORITHMS == ALGORITHMS


@pytest.mark.parametrize("storage", ["64Mi", "1Gi", "10Gi", "100Ti"])
def test_the_brokers_disk_holds_all_streams(storage: str) -> None:
    """JetStream sets the most that each stream may hold aside, and something is left for its own files."""
    spec = {"gateway": {"replicas": 1}, "nats": {"managed": {"storage": storage}}}
    config = MessageConfig.parse(_resolved(_workload(spec, "message").env, with_optional=False))
    logs = [streams.log_stream(config, shard) for shard in range(config.nats.shards)]
    made = [*logs, streams.push_stream(config), streams.dead_stream(config)]
    assert sum(stream["max_bytes"] for stream in made) <= mebibytes(storage) * 1024**2 * 0.91
