"""Settings: every fault is told, all at once, and no secret with it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from push_workloads.common.config import ConfigError

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
    "JWT_SECRET": ("hunter2-hunter2", "at least 32"),
    "REDIS_URL": ("http://secret-user:secret-password@host", "redis://HOST:PORT"),
    "PORT": ("eighty", "1 to 65535"),
    "ADMIN_PORT": ("0", "1 to 65535"),
    "JWT_EXPIRY_HOURS": ("0", "1 to 8760"),
    "ACCESS_TOKEN_TTL_SECONDS": ("1e9", "60 to"),
    "STOP_SECONDS": ("-1", "1 to 3600"),
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


@pytest.mark.parametrize("value", ["nats://", "4222", "redis://h:1", "nats://[::1", "nats://h:99999", "nats://h:x"])
def test_a_bus_address_that_is_none(value: str) -> None:
    (fault,) = _faults("push", GOOD | {"NATS_URL": value})
    assert fault.startswith("NATS_URL must look like nats://HOST:PORT")


def test_the_variables_of_the_former_system() -> None:
    from push_workloads.auth.config import AuthConfig

    config = AuthConfig.parse(GOOD | {"JWT_EXPIRY_HOURS": "2"})
    assert config.tokens.ttl_seconds == 7200
    assert AuthConfig.parse(GOOD | {"JWT_EXPIRY_HOURS": "2", "ACCESS_TOKEN_TTL_SECONDS": "90"}).tokens.ttl_seconds == 90
