"""FCM: what is sent, what answers mean, and how fast."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pyfcm import FCMNotification
from tests.support.fcm import QUOTA_FAILURE, failure, over_quota, request_schema

from push_workloads.common.config import ConfigError, Env
from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent
from push_workloads.push.fcm.answers import answer_of
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.fcm.limiter import BURST_SECONDS, MAX_WAIT, Limiter
from push_workloads.push.fcm.payload import MAX_BYTES, message, words
from push_workloads.push.fitting import TooLarge
from push_workloads.push.notification import Notification, Show

NOW = 1_790_000_000.0
TOKEN = "token-of-a-phone"
HELLO = Notification(
    "m1", Show.ALERT, int(NOW) + 60, title="Ann", body="Hello", data={"room": "r1", "count": 3, "from": "x"}, badge=2,
    collapse_id="user:ann", conversation="user:ann",
)  # fmt: skip


def _built(notification: Notification) -> dict[str, Any]:
    build = FCMNotification(credentials=object()).parse_payload  # credentials are for sending alone
    made: dict[str, Any] = json.loads(message(notification, TOKEN, NOW, lambda arguments: build(**arguments)))
    request_schema().validate(made)
    return dict(made["message"])


def test_an_alert() -> None:
    assert _built(HELLO) == {
        "token": TOKEN,
        "notification": {"title": "Ann", "body": "Hello"},
        "data": {
            "room": "r1", "count": "3", "_from": "x", "message_id": "m1", "show": "alert", "conversation": "user:ann",
            "badge": "2",
        },
        "android": {
            "priority": "HIGH", "ttl": "60s", "collapse_key": "user:ann",
            "notification": {"default_sound": True, "tag": "user:ann", "notification_count": 2},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("show", "urgent", "priority"),
    [
        (Show.ALERT, True, "HIGH"),
        (Show.ALERT, False, "NORMAL"),
        (Show.VOIP, True, "HIGH"),
        (Show.BACKGROUND, True, "NORMAL"),
        (Show.BADGE, True, "NORMAL"),
    ],
)
def test_how_it_comes_to_notice(show: Show, urgent: bool, priority: str) -> None:
    made = _built(replace(HELLO, show=show, urgent=urgent))
    assert made["android"]["priority"] == priority
    assert ("notification" in made) is (show is Show.ALERT)
    assert made["data"]["show"] == show.value


def test_data_alone_carries_what_the_app_is_to_show() -> None:
    assert _built(replace(HELLO, show=Show.VOIP))["data"].items() >= {("title", "Ann"), ("body", "Hello")}


def test_what_is_over_is_for_now_or_never() -> None:
    assert words(replace(HELLO, expires_at=0), NOW)["android_config"]["ttl"] == "0s"


_data = st.dictionaries(st.text(max_size=10), st.none() | st.integers() | st.text() | st.lists(st.integers()))


@given(st.text(max_size=6000), _data, st.sampled_from(Show), st.integers(-1, 1000) | st.none())
def test_whatever_is_in_it_google_takes_it(body: str, data: dict[str, Any], show: Show, badge: int | None) -> None:
    told = replace(HELLO, body=body, data=data, show=show, badge=badge)
    try:
        made = _built(told)
    except TooLarge:
        return
    assert len(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_BYTES + len(TOKEN)


def test_only_the_body_is_cut() -> None:
    made = _built(replace(HELLO, body="ü" * 5000))
    assert made["notification"]["body"].startswith("üüü") and made["notification"]["body"].endswith("…")
    assert made["data"] == _built(HELLO)["data"]
    with pytest.raises(TooLarge):
        _built(replace(HELLO, data={"key": "v" * MAX_BYTES}))


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ((200, {"name": "projects/p/messages/0:1"}, {}), Sent("projects/p/messages/0:1")),
        ((200, [], {}), Sent(None)),
        (failure(404, "NOT_FOUND", "UNREGISTERED"), Dead("UNREGISTERED")),
        (failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Dead("SENDER_ID_MISMATCH")),
        (failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Refused("INVALID_ARGUMENT")),
        (failure(400, "INVALID_ARGUMENT"), Refused("INVALID_ARGUMENT")),
        (failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Later("QUOTA_EXCEEDED", 60, ours=True)),
        (failure(429, "RESOURCE_EXHAUSTED", Retry_After="7"), Later("RESOURCE_EXHAUSTED", 7, ours=True)),
        (failure(503, "UNAVAILABLE", "UNAVAILABLE", Retry_After="Mon, 21 Sep 2026 14:13:30 GMT"),
         Later("UNAVAILABLE", 10)),
        (failure(500, "INTERNAL", "INTERNAL"), Later("INTERNAL")),
        (failure(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Later("THIRD_PARTY_AUTH_ERROR", ours=True)),
        (failure(401, "UNAUTHENTICATED"), Later("UNAUTHENTICATED", ours=True)),
        (failure(403, "PERMISSION_DENIED"), Later("PERMISSION_DENIED", ours=True)),
        (failure(404, "NOT_FOUND"), Later("NOT_FOUND", ours=True)),  # the project: no device's fault
        (failure(404, "made up"), Later("http_404", ours=True)),
        (failure(502, "x", "a token or whatever"), Later("http_502")),
        ((404, "not JSON", {}), Later("http_404", ours=True)),
        ((302, "", {}), Later("http_302", ours=True)),
    ],
)  # fmt: skip
def test_answers(told: tuple[int, Any, dict[str, str]], answer: Answer) -> None:
    status, body, headers = told
    assert answer_of(status, json.dumps(body).encode(), headers.get("Retry-After"), NOW) == answer


OF_A_DEVICE = {"subject": "device:1", "description": "Device message rate exceeded"}
OF_A_TOPIC = {"subject": "topic:news", "description": "Topic message rate exceeded"}


@pytest.mark.parametrize(
    ("violations", "is_the_devices"),
    [
        ([OF_A_DEVICE], True),
        ([{"description": "Device message rate exceeded"}], True),
        ([{"subject": "the DEVICE"}], True),
        ([OF_A_TOPIC], False),
        ([OF_A_DEVICE, OF_A_TOPIC], False),  # nobody may send to the topic, whatever else
        ([OF_A_DEVICE, "what?"], False),
        ([{"subject": "project:1", "description": "Messages to devices a minute"}], False),
        ([], False),
        ([{}], False),
    ],
)
def test_whose_quota_it_is(violations: list[Any], is_the_devices: bool) -> None:
    for headers, wait in (({}, None), ({"Retry_After": "7"}, 7.0)):
        status, body, told = over_quota(*violations, **headers)
        answer = answer_of(status, json.dumps(body).encode(), told.get("Retry-After"), NOW)
        projects = Later("QUOTA_EXCEEDED", 60.0 if wait is None else wait, ours=True)
        assert answer == (Later("device_quota", wait) if is_the_devices else projects)


def test_violations_that_are_no_list() -> None:
    detail = {"@type": QUOTA_FAILURE, "violations": "device"}
    body = json.dumps({"error": {"status": "RESOURCE_EXHAUSTED", "details": [detail]}}).encode()
    assert answer_of(429, body, None, NOW) == Later("RESOURCE_EXHAUSTED", 60, ours=True)


def test_while_our_project_is_doubted_no_token_is_dead_for_being_anothers() -> None:
    for code, answer in (("UNREGISTERED", Dead), ("SENDER_ID_MISMATCH", Later)):
        status, body, _ = failure(403, "x", code)
        assert isinstance(answer_of(status, json.dumps(body).encode(), None, NOW, doubted=True), answer)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_device_dies_of_an_answer_that_says_nothing(status: int, body: bytes) -> None:
    assert not isinstance(answer_of(status, body, None, NOW), Dead)


def test_a_burst_and_then_the_rate() -> None:
    limiter = Limiter(per_minute=600)
    waits = [limiter.turn(100.0) for _ in range(30)]
    assert waits[:10] == [0.0] * 10
    assert waits[11:] == pytest.approx([n / 10 for n in range(1, 20)], abs=0.11)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.integers(60, 6000))
def test_never_more_than_the_rate(gaps: list[float], per_minute: int) -> None:
    limiter = Limiter(per_minute)
    now, went = 0.0, []
    for gap in gaps:
        now += gap
        wait = limiter.turn(now)
        if wait <= MAX_WAIT:
            went.append(now + wait)
    rate = per_minute / 60
    for first in range(len(went)):
        for last in range(first, len(went)):
            assert last - first <= rate * (went[last] - went[first] + BURST_SECONDS) + 1e-6


def test_a_halt_is_kept_and_no_place_with_it() -> None:
    limiter = Limiter(per_minute=600)
    limiter.halt(0.0, 30.0, 0.5)
    assert limiter.turn(0.0) == pytest.approx(33.75)
    assert limiter.turn(34.0) == 0.0
    limiter.halt(34.0, 60.0, 0.0)
    limiter.halt(34.0, 1.0, 0.0)  # a shorter one ends no longer one
    assert limiter.turn(35.0) == pytest.approx(59.0)


def _account(**changed: Any) -> str:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    good = {"type": "service_account", "project_id": "my-project", "client_email": "a@b", "private_key": pem}
    return json.dumps({**good, "token_uri": "https://oauth2.googleapis.com/token", **changed})


def _faults_of(env: Env) -> list[str]:
    try:
        env.check()
    except ConfigError as error:
        return error.faults
    return []


def _read(**values: str) -> tuple[FcmConfig | None, list[str]]:
    env = Env(values)
    return FcmConfig.read(env), _faults_of(env)


def test_settings() -> None:
    assert _read() == (None, [])
    made, faults = _read(FCM_SERVICE_ACCOUNT=_account(), FCM_PER_MINUTE="1000")
    assert made is not None and not faults
    assert (made.project, made.per_minute) == ("my-project", 1000)
    assert "PRIVATE KEY" not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", "AAAAsecret:APA91b", _account(type="authorized_user"), _account(project_id="../x"),
        _account(private_key="secret"), _account(token_uri="http://evil.example/token"), _account(client_email=None),
    ],
)  # fmt: skip
def test_an_account_that_is_none(text: str) -> None:
    (fault,) = _read(FCM_SERVICE_ACCOUNT=text)[1]
    assert fault.startswith("FCM_SERVICE_ACCOUNT ")
    assert "secret" not in fault and "BEGIN" not in fault


def test_the_old_key_is_refused_with_what_takes_its_place() -> None:
    for values in ({}, {"FCM_SERVICE_ACCOUNT": _account()}):
        (fault,) = _read(FCM_API_KEY="AAAAsecret", **values)[1]
        assert "service account" in fault and "FCM_SERVICE_ACCOUNT" in fault and "HTTP v1" in fault
        assert "AAAAsecret" not in fault


def test_where_tokens_would_travel_in_the_open() -> None:
    (fault,) = _read(FCM_SERVICE_ACCOUNT=_account(), FCM_URL="http://fcm.example")[1]
    assert fault.startswith("FCM_URL ")
