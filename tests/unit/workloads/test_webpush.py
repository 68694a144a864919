"""Web Push: encrypted as RFC 8291 has it, signed as RFC 8292 has it, and answers understood."""

from __future__ import annotations

import base64
import re
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.config import ConfigError, Env
from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent
from push_workloads.push.fitting import TooLarge
from push_workloads.push.notification import Notification, Show
from push_workloads.push.webpush.answers import answer_of
from push_workloads.push.webpush.config import WebPushConfig
from push_workloads.push.webpush.encrypting import MAX_PLAIN, BadKeys, encrypted
from push_workloads.push.webpush.message import headers, text, topic
from push_workloads.push.webpush.vapid import LIFE_SECONDS, MAX_ORIGINS, BadVapidKey, Vapid, point, read_key, unpadded

NOW = 1_790_000_000.0
RAW = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
HELLO = Notification("m1", Show.ALERT, int(NOW) + 60, title="Ann", body="Hello", collapse_id="user:ann", badge=3)


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


THEIRS = _bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
AUTH = _bytes("BTBZMqHH6r4Tts7J_aSIgg")
SALT = _bytes("DGv6ra1nlYgDCS1FRnbzlw")


def test_the_example_of_the_rfc() -> None:
    """RFC 8291, appendix A."""
    made = encrypted(
        b"When I grow up, I want to be a watermelon", THEIRS, AUTH, key=read_key(RAW), salt=SALT, pad=False
    )
    assert unpadded(made) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.integers(1, MAX_PLAIN))
def test_lengths_tell_little_and_fit(length: int) -> None:
    made = encrypted(b"a" * length, THEIRS, AUTH, key=read_key(RAW), salt=SALT)
    assert len(made) <= 4096
    plain = len(made) - 86 - 17
    assert plain == MAX_PLAIN or plain % 512 == 0
    assert length <= plain < length + 512


@pytest.mark.parametrize("p256dh", [b"", b"\x04" + b"p" * 64, THEIRS[:-1]])
def test_keys_that_are_none(p256dh: bytes) -> None:
    with pytest.raises(BadKeys):
        encrypted(b"a", p256dh, AUTH, key=read_key(RAW), salt=SALT)


def test_who_sends() -> None:
    key = read_key(RAW)
    vapid = Vapid(key, "mailto:push@example.com")
    made = vapid.authorization("https://push.example.com:8443/send/secret", NOW)
    found = re.fullmatch(r"vapid t=([\w.-]+), k=([\w-]{87})", made)
    assert found and _bytes(found[2]) == point(key)
    options: Any = {"verify_exp": False}
    claims = jwt.decode(
        found[1], key.public_key(), ["ES256"], options=options, audience="https://push.example.com:8443"
    )
    assert claims["sub"] == "mailto:push@example.com"
    assert claims["exp"] == NOW + LIFE_SECONDS  # 24 hours are the most


def test_a_token_serves_for_its_origin_until_it_is_nearly_over() -> None:
    vapid = Vapid(read_key(RAW), "mailto:push@example.com")
    first = vapid.authorization("https://a.example/1", NOW)
    assert vapid.authorization("https://a.example/2", NOW + 10 * 3600) == first
    assert vapid.authorization("https://b.example/1", NOW) != first
    assert vapid.authorization("https://a.example/1", NOW + 11 * 3600) != first


def test_origins_are_kept_within_bounds() -> None:
    vapid = Vapid(read_key(RAW), "mailto:push@example.com")
    first = vapid.authorization("https://first.example/", NOW)
    for number in range(MAX_ORIGINS):
        vapid.authorization(f"https://{number}.example/", NOW)
    assert vapid.authorization("https://first.example/", NOW) != first


def _pem(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_key_in_pem() -> None:
    assert len(point(read_key(_pem(ec.SECP256R1())))) == 65


@pytest.mark.parametrize("text", ["", "c2hvcnQ", "A" * 43, "_" * 42 + "8", "!" * 43, "-----BEGIN PRIVATE KEY-----\nx",
                                  _pem(ec.SECP384R1())])  # fmt: skip
def test_a_key_that_is_none(text: str) -> None:
    with pytest.raises(BadVapidKey) as told:
        read_key(text)
    assert text == "" or text not in str(told.value)


def test_how_it_is_to_be_handled() -> None:
    assert headers(HELLO, NOW) == {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": "60",
        "Urgency": "high",
        "Topic": topic("user:ann"),
    }
    later = msgspec.structs.replace(HELLO, expires_at=0, urgent=False, collapse_id=None)
    assert headers(later, NOW).items() >= {("TTL", "0"), ("Urgency", "normal")}
    assert "Topic" not in headers(later, NOW)
    assert headers(msgspec.structs.replace(HELLO, show=Show.BADGE), NOW)["Urgency"] == "low"


@given(st.text(max_size=64))
def test_a_topic_is_what_a_topic_may_be(collapse_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", topic(collapse_id))


def test_what_the_worker_is_told() -> None:
    assert msgspec.json.decode(text(HELLO)) == {
        "message_id": "m1", "show": "alert", "title": "Ann", "body": "Hello", "tag": "user:ann", "badge": 3,
    }  # fmt: skip
    long = msgspec.structs.replace(HELLO, body="ü" * 5000)
    assert MAX_PLAIN - 4 <= len(text(long)) <= MAX_PLAIN
    with pytest.raises(TooLarge):
        text(msgspec.structs.replace(HELLO, data={"key": "v" * MAX_PLAIN}))


@pytest.mark.parametrize(
    ("status", "header", "answer"),
    [
        (201, None, Sent()),
        (200, None, Sent()),
        (202, None, Sent()),
        (404, None, Dead("http_404")),
        (410, None, Dead("http_410")),
        (400, None, Refused("http_400")),
        (413, None, Refused("http_413")),
        (302, None, Refused("http_302")),
        (429, "30", Later("http_429", 30, ours=True)),
        (500, None, Later("http_500")),
        (503, "Mon, 21 Sep 2026 14:13:30 GMT", Later("http_503", 10)),
        (401, None, Later("http_401", ours=True)),
        (403, None, Later("http_403", ours=True)),
    ],
)
def test_answers(status: int, header: str | None, answer: Answer) -> None:
    assert answer_of(status, header, NOW) == answer


GOOD = {"VAPID_PRIVATE_KEY": RAW, "VAPID_SUBJECT": "mailto:push@example.com"}


def _faults_of(env: Env) -> list[str]:
    try:
        env.check()
    except ConfigError as error:
        return error.faults
    return []


def _read(values: dict[str, str]) -> tuple[WebPushConfig | None, list[str]]:
    env = Env(values)
    made = WebPushConfig.read(env)
    return made, _faults_of(env)


def test_settings() -> None:
    assert _read({}) == (None, [])
    made, faults = _read({**GOOD, "WEBPUSH_PRIVATE_HOSTS": "push.internal, 10.0.0.7"})
    assert made is not None and not faults
    assert made.private_hosts == {"push.internal", "10.0.0.7"}
    assert RAW not in repr(made)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"VAPID_PRIVATE_KEY": "A" * 43}, "VAPID_PRIVATE_KEY"),
        ({"VAPID_SUBJECT": ""}, "VAPID_SUBJECT"),
        ({"VAPID_SUBJECT": "push@example.com"}, "VAPID_SUBJECT"),
        ({"WEBPUSH_PRIVATE_HOSTS": "http://x/"}, "WEBPUSH_PRIVATE_HOSTS"),
    ],
)
def test_settings_that_are_wrong(changed: dict[str, str], name: str) -> None:
    (fault,) = _read(GOOD | changed)[1]
    assert fault.startswith(name)
    assert "A" * 43 not in fault
