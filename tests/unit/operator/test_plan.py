"""What must run for a manifest: golden tables, and what holds for every manifest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.manifests import cluster

from push_operator.model import SERVICES
from push_operator.plan import services
from push_operator.plan.build import build, with_secrets
from push_operator.plan.env import service_env
from push_operator.plan.names import REVISION_KEY
from push_operator.plan.secrets import Secrets, SecretValue, known, lacking
from push_operator.plan.workload import Address, DataPath, EnvValue, Plan, SecretKey, Workload

ORIGINS = ("http://localhost:8090",)


def _env(plan: Plan, component: str) -> dict[str, EnvValue]:
    return dict(_workload(plan, component).env)


def _workload(plan: Plan, component: str) -> Workload:
    found = plan.workload(component)
    assert found is not None
    return found


def test_the_components_in_their_order_with_their_ports() -> None:
    plan = build(cluster(), ORIGINS)
    assert [(one.component, one.name, one.replicas, [port.number for port in one.ports]) for one in plan.workloads] == [
        ("nats", "chat-nats", 1, [4222, 8222]),
        ("valkey", "chat-valkey", 1, [6379]),
        ("gateway", "chat-gateway", 2, [8080, 8085, 9090]),
        ("auth", "chat-auth", 1, [8081, 9090]),
        ("message", "chat-message", 1, [8082, 9090]),
        ("presence", "chat-presence", 1, [8083, 9090]),
        ("push", "chat-push", 1, [8084, 9090]),
    ]
    public = {one.component for one in plan.workloads if any(port.public for port in one.ports)}
    assert public == {"gateway", "auth", "message", "presence", "push"}


def test_generated_secrets_are_one_object_with_every_password() -> None:
    (secret,) = build(cluster()).secrets
    assert secret.name == "chat-credentials"
    assert set(secret.keys) == {
        "SIGNING_KEY_0", "REFRESH_SECRET", "SERVICE_KEY", "ADMIN_TOKEN", "VAPID_SEED", "NATS_PASSWORD_GATEWAY",
        "NATS_PASSWORD_MESSAGE", "NATS_PASSWORD_PRESENCE", "NATS_PASSWORD_PUSH", "VALKEY_PASSWORD",
    }  # fmt: skip


def test_the_environment_of_a_gateway() -> None:
    assert _env(build(cluster(), ORIGINS), "gateway") == {
        "STOP_SECONDS": "315",
        "DRAIN_SECONDS": "300",
        "DRAIN_RATE": "200",
        "PRESENCE_GRACE_SECONDS": "15",
        "AUTH_URL": Address("auth", "public", "http"),
        "ACCESS_TOKEN_TTL_SECONDS": "86400",
        "ALLOWED_ORIGINS": "http://localhost:8090",
        "LOG_SHARDS": "1",
        "NATS_URL": Address("nats", "client", "nats"),
        "NATS_USER": "gateway",
        "NATS_PASSWORD": SecretKey("chat-credentials", "NATS_PASSWORD_GATEWAY"),
        "REDIS_URL": Address("valkey", "client", "redis"),
        "REDIS_PASSWORD": SecretKey("chat-credentials", "VALKEY_PASSWORD"),
        "ADMIN_TOKEN": SecretKey("chat-credentials", "ADMIN_TOKEN", min_bytes=32),
    }


def test_a_gateway_may_take_as_long_to_stop_as_its_clients_have_to_leave() -> None:
    plan = build(cluster(gateway={"replicas": 2, "drain": {"timeoutSeconds": 60, "reconnectsPerSecond": 7}}))
    env, workload = _env(plan, "gateway"), _workload(plan, "gateway")
    assert (env["DRAIN_SECONDS"], env["DRAIN_RATE"], env["STOP_SECONDS"]) == ("60", "7", "75")
    assert workload.stop_seconds == 75
    assert workload.revision != _workload(build(cluster()), "gateway").revision


def test_a_number_that_varies_begins_with_its_least() -> None:
    plan = build(cluster(
        cassandra={"managed": {}}, message={"autoscaling": {"minReplicas": 3, "maxReplicas": 9}},
        gateway={"scaling": {"mode": "Operator"}, "autoscaling": {"minReplicas": 4, "maxReplicas": 8}},
    ))  # fmt: skip
    assert [_workload(plan, one).replicas for one in ("gateway", "message", "push")] == [4, 3, 1]


def test_a_key_for_web_push_is_made_where_none_is_given() -> None:
    made = build(cluster())
    assert _env(made, "push")["VAPID_SEED"] == SecretKey("chat-credentials", "VAPID_SEED", min_bytes=32)
    own = build(cluster(notifications={"webPush": {"vapidSecret": "own", "subject": "https://example.com"}}))
    assert "VAPID_SEED" not in _env(own, "push").keys() | set(own.secrets[0].keys)
    assert _env(own, "push")["VAPID_PRIVATE_KEY"] == SecretKey("own", "VAPID_PRIVATE_KEY")


def test_a_secret_of_notifications_that_is_not_there_is_named() -> None:
    apns = {"keySecret": "apple", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "com.example.chat"}
    plan = build(cluster(notifications={"fcm": {"serviceAccountSecret": "google"}, "apns": apns}))
    assert lacking(plan, {}) == "Secret apple is not there: make one with the key APNS_KEY"
    there = {"apple": {"APNS_KEY": SecretValue(300, "a")}, "google": {"key.json": SecretValue(2000, "b")}}
    assert lacking(plan, there) == "Secret google has no key FCM_SERVICE_ACCOUNT: add it"


def test_files_belong_to_those_that_keep_some() -> None:
    plan = build(cluster())
    files = {one.component: [v.file for v in one.env.values() if isinstance(v, DataPath)] for one in plan.workloads}
    assert {component: made for component, made in files.items() if made} == {
        "auth": ["accounts.db"], "message": ["history.db"], "push": ["devices.db"],
    }  # fmt: skip
    assert all(_workload(plan, component).storage for component in ("auth", "message", "push", "nats", "valkey"))


def test_external_servers_are_not_run_and_their_logins_come_from_the_users_secret() -> None:
    plan = build(
        cluster(
            nats={"url": "tls://nats.example:4222", "credentialsSecret": "nats-login"},
            redis={"url": "rediss://redis.example:6380"},
            tokens={"signingKeysSecret": "keys"},
            serviceKeySecret="backend",
        )
    )
    assert [secret.keys for secret in plan.secrets] == [
        ("ADMIN_TOKEN", "REFRESH_SECRET", "VAPID_SEED", REVISION_KEY)
    ]  # for the digests of those of the user
    assert plan.workload("nats") is None
    assert plan.workload("valkey") is None
    env = _env(plan, "gateway")
    assert env["NATS_URL"] == "tls://nats.example:4222"
    assert env["NATS_USER"] == SecretKey("nats-login", "username", optional=True)
    assert env["NATS_PASSWORD"] == SecretKey("nats-login", "password")
    assert env["REDIS_URL"] == "rediss://redis.example:6380"
    assert "REDIS_PASSWORD" not in env
    assert env["JWT_SECRET"] == SecretKey("keys", "JWT_SECRET", min_bytes=32)
    assert _env(plan, "message")["SERVICE_KEY"] == SecretKey("backend", "SERVICE_KEY", min_bytes=32)


def test_the_service_credential_is_known_to_those_that_take_it() -> None:
    plan = build(cluster())
    keyed = {
        service: _env(plan, service)["SERVICE_KEY"] for service in SERVICES if "SERVICE_KEY" in _env(plan, service)
    }
    assert keyed == dict.fromkeys(
        ("message", "presence", "push"), SecretKey("chat-credentials", "SERVICE_KEY", min_bytes=32)
    )


def test_who_takes_orders() -> None:
    plan = build(cluster())
    ordered = {service for service in SERVICES if "ADMIN_TOKEN" in _env(plan, service)}
    assert ordered == {"gateway", "auth", "push"}


def test_who_is_believed_about_addresses() -> None:
    exposed = {"ingress": {"host": "chat.example.com"}}
    assert "TRUSTED_PROXIES" not in _env(build(cluster()), "auth")
    assert str(_env(build(cluster(expose=exposed)), "auth")["TRUSTED_PROXIES"]).startswith("10.0.0.0/8,172.16.0.0/12,")
    own = build(cluster(expose=exposed, auth={"trustedProxies": ["192.0.2.0/24"]}))
    assert _env(own, "auth")["TRUSTED_PROXIES"] == "192.0.2.0/24"


def test_topics_are_told_in_one_order_whatever_the_manifests() -> None:
    news = {"prefix": "news/", "read": "everyone", "write": "service", "writers": ["zoë", "ann"]}
    prices = {"prefix": "börse", "read": "service", "write": "service", "readers": ["bob"]}
    one, other = (build(cluster(topics=topics)) for topics in ([news, prices], [prices, news]))
    assert one == other
    assert _env(one, "message")["TOPIC_POLICIES"] == (
        '[{"prefix":"börse","read":"service","readers":["bob"],"write":"service"},'
        '{"prefix":"news/","read":"everyone","write":"service","writers":["ann","zoë"]}]'
    )
    assert "TOPIC_POLICIES" not in _env(build(cluster()), "message")


@pytest.mark.parametrize(
    "users",
    [[chr(0x1F300 + number) for number in range(78)], ['"\\' + chr(0x4E00 + number) for number in range(26)]],
    ids=["wide", "escaped"],
)
def test_all_that_topics_may_hold_is_one_variable(users: list[str]) -> None:
    """Linux takes no variable of 128 KiB or more."""
    half = len(users) // 2
    topics = [
        {
            "prefix": f"{at:03}",
            "read": "everyone",
            "write": "everyone",
            "readers": users[:half],
            "writers": users[half:],
        }
        for at in range(200)
    ]
    text = _env(build(cluster(topics=topics)), "message")["TOPIC_POLICIES"]
    assert isinstance(text, str)
    assert len(text.encode()) < 128 * 1024 - len("TOPIC_POLICIES=")


def test_a_service_credential_of_ones_own_must_be_long() -> None:
    plan = build(cluster(serviceKeySecret="backend"))
    for size, told in ((31, "Secret backend: SERVICE_KEY has 31 bytes and needs at least 32"), (32, "")):
        assert lacking(plan, {"backend": {"SERVICE_KEY": known(b"x" * size, b"own")}}) == told


def test_history_is_told_in_days() -> None:
    def days(**spec: Any) -> list[EnvValue]:
        env = _env(build(cluster(**spec)), "message")
        return [env[f"HISTORY_DAYS_{kind}"] for kind in ("DIRECT", "GROUP", "TOPIC")]

    assert days() == ["0", "0", "30"]
    assert days(history={"directDays": 365, "groupDays": 90, "topicDays": 1}) == ["365", "90", "1"]


def test_a_shared_store_is_named_to_those_that_keep_something_and_they_have_no_disk() -> None:
    cassandra = {"contactPoints": ["a", "b:9043"], "keyspace": "chat", "localDatacenter": "dc1"}
    shared = {
        "CASSANDRA_CONTACT_POINTS": "a,b:9043",
        "CASSANDRA_KEYSPACE": "chat",
        "CASSANDRA_LOCAL_DATACENTER": "dc1",
        "CASSANDRA_REPLICATION": "3",
    }
    login = {
        "CASSANDRA_USER": SecretKey("login", "username"),
        "CASSANDRA_PASSWORD": SecretKey("login", "password"),
    }
    for store, expected in ((cassandra, shared), ({**cassandra, "credentialsSecret": "login"}, {**shared, **login})):
        plan = build(cluster(size="medium", cassandra=store))
        for service in ("gateway", "auth", "message", "presence", "push"):
            keeps = service in ("auth", "message", "push")
            env = _env(plan, service)
            assert {name: env[name] for name in env if name.startswith("CASS")} == (expected if keeps else {})
            assert "SQLITE_PATH" not in env
            assert _workload(plan, service).storage is None


def test_a_managed_store_is_one_node_that_services_log_in_to_and_make_their_login_at() -> None:
    plan = build(cluster(size="medium", cassandra={"managed": {"storage": "7Gi", "retain": False}}))
    assert [one.component for one in plan.workloads][:3] == ["nats", "valkey", "cassandra"]
    node = _workload(plan, "cassandra")
    assert (node.replicas, node.storage, node.retain, dict(node.env)) == (1, "7Gi", False, {})
    assert [(port.name, port.number, port.public) for port in node.ports] == [("client", 9042, False)]
    (secret,) = plan.secrets
    assert {"CASSANDRA_PASSWORD", "CASSANDRA_ADMIN_PASSWORD"} <= set(secret.keys)
    expected = {
        "CASSANDRA_CONTACT_POINTS": Address("cassandra", "client"),
        "CASSANDRA_KEYSPACE": "pushcluster",
        "CASSANDRA_LOCAL_DATACENTER": "datacenter1",
        "CASSANDRA_REPLICATION": "1",
        "CASSANDRA_USER": "push",
        "CASSANDRA_PASSWORD": SecretKey("chat-credentials", "CASSANDRA_PASSWORD"),
        "CASSANDRA_ADMIN_PASSWORD": SecretKey("chat-credentials", "CASSANDRA_ADMIN_PASSWORD"),
    }
    for service in ("gateway", "auth", "message", "presence", "push"):
        env = _env(plan, service)
        keeps = service in ("auth", "message", "push")
        assert {name: env[name] for name in env if name.startswith("CASS")} == (expected if keeps else {})
        assert "SQLITE_PATH" not in env
        assert _workload(plan, service).storage is None
    other = build(cluster(cassandra={"managed": {}}))
    assert _workload(other, "cassandra").revision == node.revision


def test_passwords_are_kept_as_long_as_a_volume_is_that_only_they_open() -> None:
    goes = {"managed": {"retain": False}}
    stays = build(cluster(nats=goes, redis=goes, cassandra={"managed": {}}))
    assert stays.secrets[0].retain
    assert not build(cluster(nats=goes, redis=goes, cassandra=goes)).secrets[0].retain


def test_a_managed_cassandra_talks_to_nobody_and_lets_nobody_in_unasked() -> None:
    config = yaml.safe_load(_workload(build(cluster(cassandra={"managed": {}})), "cassandra").config or "")
    assert (config["authenticator"], config["authorizer"]) == ("PasswordAuthenticator", "CassandraAuthorizer")
    assert config["listen_address"] == config["seed_provider"][0]["parameters"][0]["seeds"] == "127.0.0.1"
    assert config["commitlog_sync"] == "batch"


def test_nobody_may_publish_deliveries_and_only_the_message_service_manages_streams() -> None:
    config = _workload(build(cluster()), "nats").config or ""
    users = {line.split("user: ")[1].split(",")[0]: line for line in config.splitlines() if "{user:" in line}
    assert set(users) == {"gateway", "message", "presence", "push"}
    for name, line in users.items():
        publish = line.split("publish: {allow: [")[1].split("]")[0]
        assert "dlv" not in publish
        assert ("$JS.API.>" in publish) == (name == "message")
        assert ('"log.>"' in publish) == (name in ("gateway", "message"))
        assert f"password: $NATS_PASSWORD_{name.upper()}" in line
        assert f'"_INBOX_{name}.>"' in line
        assert ("allow_responses" in line) == (name == "message")


_backing = st.none() | st.builds(
    lambda secret: {"url": "nats://peer:1"} | ({"credentialsSecret": secret} if secret else {}),
    st.sampled_from([None, "login"]),
)


def _redis(nats: dict[str, Any] | None) -> dict[str, Any] | None:
    return nats and {**nats, "url": "redis://peer:1"}


_clusters = st.builds(
    lambda replicas, presence, nats, redis, store, keys, version: cluster(
        gateway={"replicas": replicas}, presence={"replicas": presence}, nats=nats, redis=_redis(redis),
        cassandra={store: {}}, tokens={"signingKeysSecret": keys}, version=version,
    ),
    st.integers(1, 1000), st.integers(1, 50), _backing, _backing, st.sampled_from(["embedded", "managed"]),
    st.sampled_from([None, "keys"]),
    st.sampled_from(["0.1.0", "0.2.0"]),
)  # fmt: skip


@given(_clusters)
def test_every_reference_leads_somewhere(made: Any) -> None:
    plan = build(made, ORIGINS)
    generated = {(secret.name, key) for secret in plan.secrets for key in secret.keys}
    by_user = {made.tokens.signing_keys_secret, "login"}
    for workload in plan.workloads:
        for value in workload.env.values():
            if isinstance(value, SecretKey):
                assert (value.secret, value.key) in generated or value.secret in by_user
            if isinstance(value, Address):
                target = _workload(plan, value.component)
                assert value.port in {port.name for port in target.ports}
            if isinstance(value, DataPath):
                assert workload.storage is not None


@given(_clusters)
def test_planning_is_a_function_and_names_are_unique(made: Any) -> None:
    plan = build(made, ORIGINS)
    assert plan == build(made, ORIGINS)
    assert len({workload.name for workload in plan.workloads}) == len(plan.workloads)
    assert all(len(workload.revision) == 8 for workload in plan.workloads)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_another_number_of_replicas_is_no_new_revision(one: int, other: int) -> None:
    first, second = (build(cluster(gateway={"replicas": count}), ORIGINS) for count in (one, other))
    assert [w.revision for w in first.workloads] == [w.revision for w in second.workloads]


def test_what_a_unit_is_started_from_is_its_revision() -> None:
    before = build(cluster(), ORIGINS)
    changes: dict[str, dict[str, Any]] = {
        "gateway": {"gateway": {"replicas": 2, "resources": {"limits": {"cpu": 1}}}},
        "auth": {"auth": {"registrationsPerHour": 1}},
        "valkey": {"redis": {"managed": {"storage": "9Gi"}}},
        "message": {"history": {"topicDays": 31}},
    }
    for component, spec in changes.items():
        after = build(cluster(**spec), ORIGINS)
        changed = [w.component for w in after.workloads if w.revision != _workload(before, w.component).revision]
        assert changed == [component]


def test_a_newer_operator_alone_is_no_new_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hands over another variable, and has another default; whoever asked for something else has that."""

    def revisions(**spec: Any) -> dict[str, str]:
        return {one.component: one.revision for one in build(cluster(**spec), ("https://a.example",)).workloads}

    asked = {
        "tokens": {"accessTokenTtlSeconds": 600},
        "gateway": {"replicas": 2, "resources": {"limits": {"cpu": "2"}}},
    }
    before, before_asked = revisions(), revisions(**asked)

    def newer(*about: Any) -> dict[str, EnvValue]:
        env = service_env(*about)
        given = env["ACCESS_TOKEN_TTL_SECONDS"]
        return {**env, "NEW": "1", "ACCESS_TOKEN_TTL_SECONDS": "3600" if given == "86400" else given}

    monkeypatch.setattr(services, "service_env", newer)
    monkeypatch.setattr(services, "STOP_SECONDS", dict.fromkeys(services.STOP_SECONDS, 30))
    assert revisions() == before
    assert revisions(**asked) == before_asked
    assert all(before[name] != before_asked[name] for name in SERVICES)


def test_another_value_of_a_secret_is_a_new_revision_of_those_that_use_it() -> None:
    made = cluster(
        nats={"url": "nats://peer:1", "credentialsSecret": "bus"}, redis={"url": "redis://peer:1"},
        tokens={"signingKeysSecret": "keys"}, serviceKeySecret="backend",
    )  # fmt: skip
    plan = build(made, ORIGINS)

    def found(values: dict[str, str], key: bytes = b"own") -> Secrets:
        made: dict[str, dict[str, SecretValue]] = {}
        for path, value in values.items():
            secret, entry = path.split("/")
            made.setdefault(secret, {})[entry] = known(value.encode(), key)
        return made

    before = with_secrets(plan, found({"keys/JWT_SECRET": "1", "bus/password": "1"}))

    def rolled(values: dict[str, str], key: bytes = b"own") -> set[str]:
        after = with_secrets(plan, found(values, key))
        return {w.component for w in after.workloads if w.revision != _workload(before, w.component).revision}

    assert rolled({"bus/password": "1", "keys/JWT_SECRET": "1", "keys/OTHER": "1", "other/password": "1"}) == set()
    assert rolled({"keys/JWT_SECRET": "1", "bus/password": "2"}) == {"gateway", "message", "presence", "push"}
    assert rolled({"keys/JWT_SECRET": "2", "bus/password": "1"}) == set(SERVICES)
    assert rolled({"keys/JWT_SECRET": "1", "bus/password": "1", "backend/SERVICE_KEY": "2"}) == {
        "message",
        "presence",
        "push",
    }
    bus = {"keys/JWT_SECRET": "1", "bus/password": "1", "bus/username": "optional, and now there"}
    assert rolled(bus) == {"gateway", "message", "presence", "push"}
    # Nobody can try values against a revision without the key.
    assert rolled({"keys/JWT_SECRET": "1", "bus/password": "1"}, b"other") == set(SERVICES)
    assert {key.path for key in before.given_keys()} == {
        "keys/JWT_SECRET", "bus/username", "bus/password", "backend/SERVICE_KEY",
    }  # fmt: skip


def test_what_the_operator_makes_is_nothing_that_the_user_gives() -> None:
    assert build(cluster()).given_keys() == ()
    assert REVISION_KEY not in build(cluster()).secrets[0].keys


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, "Secret bus is not there: make one with the key password"),
        ({"bus": {}}, "Secret bus has no key password: add it"),
        ({"bus": {"password": b"x"}}, "Secret keys is not there: make one with the key JWT_SECRET"),
        ({"bus": {"password": b""}, "keys": {"JWT_SECRET": b"x" * 31}},
         "Secret keys: JWT_SECRET has 31 bytes and needs at least 32"),
        ({"bus": {"password": b""}, "keys": {"JWT_SECRET": b"x" * 32}}, ""),
    ],
)  # fmt: skip
def test_what_the_user_has_to_add_is_told(found: dict[str, dict[str, bytes]], told: str) -> None:
    nats = {"url": "nats://peer:1", "credentialsSecret": "bus"}
    plan = build(cluster(nats=nats, tokens={"signingKeysSecret": "keys"}))
    values = {name: {key: known(value, b"own") for key, value in keys.items()} for name, keys in found.items()}
    assert lacking(plan, values) == told


def test_the_origins_of_the_manifest_stand_beside_the_clusters_own() -> None:
    plan = build(cluster(allowedOrigins=["https://chat.example.com"]), ORIGINS)
    for component in SERVICES:
        assert _env(plan, component)["ALLOWED_ORIGINS"] == f"{','.join(ORIGINS)},https://chat.example.com"


def test_a_plan_is_plain_data() -> None:
    assert asdict(build(cluster()))["workloads"][0]["component"] == "nats"
