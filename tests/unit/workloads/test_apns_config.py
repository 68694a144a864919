"""How Apple's push service is reached, and with which key."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push_workloads.common.config import ConfigError, Env
from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.apns.provider_token import ProviderToken

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


GOOD = {"APNS_KEY": pem(KEY), "APNS_KEY_ID": "ABC123DEFG", "APNS_TEAM_ID": "DEF123GHIJ", "APNS_TOPIC": "com.example.a"}


def read(environ: dict[str, str]) -> ApnsConfig | None:
    env = Env(environ)
    config = ApnsConfig.read(env)
    env.check()
    return config


def test_without_a_key_there_is_none() -> None:
    assert read({}) is None
    assert read({"APNS_SANDBOX": "1", "APNS_KEY": ""}) is None


@pytest.mark.parametrize(
    ("more", "host", "port"),
    [
        ({}, "api.push.apple.com", 443),
        ({"APNS_SANDBOX": "1"}, "api.sandbox.push.apple.com", 443),
        ({"APNS_SANDBOX": "0", "APNS_PORT": "2197"}, "api.push.apple.com", 2197),
        ({"APNS_SANDBOX": "1", "APNS_HOST": "proxy.example", "APNS_PORT": "8443"}, "proxy.example", 8443),
    ],
)
def test_where_it_is(more: dict[str, str], host: str, port: int) -> None:
    config = read(GOOD | more)
    assert config is not None
    assert (config.host, config.port, config.topic, config.connections) == (host, port, "com.example.a", 2)


@pytest.mark.parametrize("missing", GOOD)
def test_all_or_none(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"^{missing} is required$"):
        read({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APNS_KEY", "no key"),
        ("APNS_KEY", pem(ec.generate_private_key(ec.SECP384R1()))),
        ("APNS_KEY", pem(ed25519.Ed25519PrivateKey.generate())),
        ("APNS_KEY", pem(KEY)[:120]),
        ("APNS_KEY_ID", "abc"),
        ("APNS_TEAM_ID", "ABC123DEFG0"),
        ("APNS_TOPIC", "com.example/a"),
        ("APNS_HOST", "https://api.push.apple.com"),
        ("APNS_PORT", "0"),
        ("APNS_CONNECTIONS", "0"),
        ("APNS_SANDBOX", "maybe"),
    ],
)
def test_a_fault_names_its_variable_and_not_the_key(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be ") as caught:
        read(GOOD | {name: value})
    assert value[:30] not in str(caught.value) or len(value) < 12


def test_the_key_is_in_no_text_of_it() -> None:
    config = read(GOOD)
    assert "PRIVATE" not in repr(config) and GOOD["APNS_KEY"] not in str(config)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def token() -> tuple[ProviderToken, Clock]:
    config, clock = read(GOOD), Clock()
    assert config is not None
    return ProviderToken(config, clock), clock


def test_the_provider_token_is_signed_by_our_key() -> None:
    text = token()[0].get_header().removeprefix("bearer ")
    assert jwt.get_unverified_header(text)["kid"] == "ABC123DEFG"
    claims = jwt.decode(text, KEY.public_key(), ["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "DEF123GHIJ", "iat": 1_000_000}


def test_it_is_renewed_every_50_minutes_and_when_the_clock_goes_back() -> None:
    provider, clock = token()
    first = provider.get_header()
    clock.now += 50 * 60 - 1
    assert provider.get_header() == first
    clock.now += 1
    second = provider.get_header()
    assert second != first
    clock.now -= 1
    assert provider.get_header() not in (first, second)


def test_one_that_apple_refuses_is_renewed_once_for_all_and_not_again_for_20_minutes() -> None:
    provider, clock = token()
    first = provider.get_header()
    assert provider.renew(first)
    second = provider.get_header()
    assert second != first
    assert provider.renew(first), "another request was refused with the same one: there is a new one already"
    assert provider.get_header() == second
    clock.now += 20 * 60 - 1
    assert not provider.renew(second)
    clock.now += 1
    assert provider.renew(second)
