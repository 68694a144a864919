"""Settings: every fault is told, all at once, and no secret with it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from push_workloads.common.config import CassandraConfig, ConfigError, SqliteConfig
from push_workloads.gateway.config import GatewayConfig
from push_workloads.push.config import PushConfig

GOOD = {
    "JWT_SECRET": "s" * 32,
    "NATS_URL": "nats://nats:4222",
    "REDIS_URL": "redis://redis:6379/0",
    "SQLITE_PATH": "/data/file.db",
}
SERVICES = ("gateway", "auth", "message", "presence", "push")


def _faults(service: str, environ: dict[str, str]) -> list[str]:
    module: Any = importlib.import_module(f"push_workloads.{service}.service")
    try:
        module.parse(environ)
    except ConfigError as error:
        return error.faults
    return []


@pytest.mark.parametrize("service", SERVICES)
def test_the_least_that_is_needed(service: str) -> None:
    assert _faults(service, GOOD) == []


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_given_names_everything_that_is_needed(service: str) -> None:
    needed = {fault.split()[0] for fault in _faults(service, {})}
    assert needed <= GOOD.keys()
    assert needed >= {"JWT_SECRET"}
    assert all(fault.endswith(" is required") for fault in _faults(service, {}))


WRONG = {
    "ALLOWED_ORIGINS": ("https://chat.example.com,https://chat.example.com/app", "no path"),
    "JWT_SECRET": ("hunter2-hunter2", "at least 32"),
    "REDIS_URL": ("http://secret-user:secret-password@host", "redis://HOST:PORT"),
    "PORT": ("eighty", "1 to 65535"),
    "ADMIN_PORT": ("0", "1 to 65535"),
    "JWT_EXPIRY_HOURS": ("0", "1 to 8760"),
    "ACCESS_TOKEN_TTL_SECONDS": ("1e9", "60 to"),
    "STOP_SECONDS": ("-1", "1 to 3660"),
    "REGISTRATIONS_PER_HOUR": ("many", "0 to 1000000"),
    "FD": ("x", "0 to"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_and_never_repeated(name: str) -> None:
    value, hint = WRONG[name]
    (fault,) = _faults("auth", GOOD | {name: value})
    assert fault.startswith(name)
    assert hint in fault
    assert "hunter2" not in fault
    assert "secret-" not in fault


def test_all_faults_are_told_at_once() -> None:
    wrong = {name: value for name, (value, _) in WRONG.items()}
    assert {fault.split()[0] for fault in _faults("auth", wrong)} == {*wrong, "SQLITE_PATH"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 25),
        ({"STOP_SECONDS": "300"}, 295),
        ({"STOP_SECONDS": "5"}, 0),
        ({"STOP_SECONDS": "300", "DRAIN_SECONDS": "200"}, 200),
    ],
)
def test_clients_are_asked_to_leave_before_the_process_has_to(given: dict[str, str], seconds: int) -> None:
    assert GatewayConfig.parse(GOOD | given).drain_seconds == seconds


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"DRAIN_SECONDS": "30"}, "DRAIN_SECONDS"),
        ({"DRAIN_RATE": "0"}, "DRAIN_RATE"),
        ({"ADMIN_TOKEN": "too-short-a-token"}, "ADMIN_TOKEN"),
    ],
)
def test_a_drain_that_cannot_be(given: dict[str, str], name: str) -> None:
    (fault,) = _faults("gateway", GOOD | given)
    assert fault.startswith(name)
    assert "too-short" not in fault


def test_the_token_of_the_operator_is_not_shown() -> None:
    config = GatewayConfig.parse(GOOD | {"ADMIN_TOKEN": "t" * 32})
    assert config.admin_token == b"t" * 32
    assert "t" * 32 not in repr(config)


SHARED = {name: value for name, value in GOOD.items() if name != "SQLITE_PATH"} | {
    "CASSANDRA_CONTACT_POINTS": "one, two.example:9043,[::1]:9044,10.0.0.1",
    "CASSANDRA_KEYSPACE": "chat",
    "CASSANDRA_LOCAL_DATACENTER": "dc1",
}


@pytest.mark.parametrize("service", ["auth", "message", "push"])
def test_one_of_two_stores(service: str) -> None:
    assert _faults(service, SHARED) == []
    assert _faults(service, SHARED | GOOD) == [
        "SQLITE_PATH and CASSANDRA_CONTACT_POINTS exclude each other: set one of them"
    ]
    neither = {name: value for name, value in GOOD.items() if name != "SQLITE_PATH"}
    assert _faults(service, neither) == ["SQLITE_PATH or CASSANDRA_CONTACT_POINTS is required"]


def test_how_to_reach_cassandra() -> None:
    login = {"CASSANDRA_USER": "chat", "CASSANDRA_PASSWORD": "x", "CASSANDRA_REPLICATION": "5"}
    points = (("one", 9042), ("two.example", 9043), ("::1", 9044), ("10.0.0.1", 9042))
    assert PushConfig.parse(SHARED).store == CassandraConfig(points, "chat", "dc1", None, None, 3)
    assert PushConfig.parse(SHARED | login).store == CassandraConfig(points, "chat", "dc1", "chat", "x", 5)
    made_here = SHARED | login | {"CASSANDRA_ADMIN_PASSWORD": "y"}
    assert PushConfig.parse(made_here).store == CassandraConfig(points, "chat", "dc1", "chat", "x", 5, "y")
    assert PushConfig.parse(GOOD).store == SqliteConfig("/data/file.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASSANDRA_CONTACT_POINTS", "one,two:x"),
        ("CASSANDRA_CONTACT_POINTS", "user:password@one"),
        ("CASSANDRA_CONTACT_POINTS", "cql://one"),
        ("CASSANDRA_CONTACT_POINTS", ":9042"),
        ("CASSANDRA_CONTACT_POINTS", "[::1"),
        ("CASSANDRA_KEYSPACE", ""),
        ("CASSANDRA_KEYSPACE", "Chat"),
        ("CASSANDRA_KEYSPACE", "chat; DROP"),
        ("CASSANDRA_LOCAL_DATACENTER", ""),
        ("CASSANDRA_LOCAL_DATACENTER", "dc'"),
        ("CASSANDRA_REPLICATION", "0"),
        ("CASSANDRA_ADMIN_PASSWORD", "of nobody's login"),
    ],
)
def test_a_wrong_way_to_cassandra(name: str, value: str) -> None:
    (fault,) = _faults("push", SHARED | {name: value})
    assert fault.startswith(name)
    assert "password" not in fault


@pytest.mark.parametrize("value", ["nats://", "4222", "redis://h:1", "nats://[::1", "nats://h:99999", "nats://h:x"])
def test_a_bus_address_that_is_none(value: str) -> None:
    (fault,) = _faults("push", GOOD | {"NATS_URL": value})
    assert fault.startswith("NATS_URL must look like nats://HOST:PORT")


def test_the_variables_of_the_former_system() -> None:
    from push_workloads.auth.config import AuthConfig

    config = AuthConfig.parse(GOOD | {"JWT_EXPIRY_HOURS": "2"})
    assert config.tokens.ttl_seconds == 7200
    assert AuthConfig.parse(GOOD | {"JWT_EXPIRY_HOURS": "2", "ACCESS_TOKEN_TTL_SECONDS": "90"}).tokens.ttl_seconds == 90


@pytest.mark.parametrize(
    "origins", ["*", "https://a.example/", "a.example", "null", "https://*.example", "https://a b"]
)
def test_origins_that_no_browser_sends(origins: str) -> None:
    assert _faults("push", GOOD | {"ALLOWED_ORIGINS": origins}) != []


@pytest.mark.parametrize(
    "origins", ["", "https://a.example , http://localhost:8090", "capacitor://localhost", "http://[::1]:1"]
)
def test_origins_that_browsers_send(origins: str) -> None:
    assert _faults("push", GOOD | {"ALLOWED_ORIGINS": origins}) == []
