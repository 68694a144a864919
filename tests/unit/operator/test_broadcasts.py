"""`push broadcast`: what is asked for, and what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from push_operator.cli.arguments import PUSH, parser
from push_operator.cli.broadcasts import audience, bar, line, listed, order_of, told
from push_operator.errors import OperatorError

VIEW: dict[str, Any] = {
    "broadcast_id": "0199-a", "stage": "running", "segment": {}, "topic": None, "title": "News", "template": None,
    "created_at": 1_893_456_000_000, "send_at": None, "started_at": 1_893_456_001_000, "per_second": 500, "seen": 900,
    "queued": 600, "waiting": 150, "sent": 400, "failed": 20, "cancelled": 30, "rate": 225.0, "eta_s": None,
}  # fmt: skip


def _order(*words: str) -> dict[str, Any]:
    return order_of(parser(PUSH).parse_args(["broadcast", "send", *words]))


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["--all", "--title", "News"], {"title": "News", "segment": {}}),
        (["--topic", "news/a", "--template", "t", "--data", '{"no": 7}'],
         {"topic": "news/a", "template": "t", "data": {"no": 7}}),
        (["--platform", "fcm", "--platform", "apns", "--app", "com.x", "--app-version", ">=4,<5", "--locale", "de",
          "--body", "b", "--rate", "50", "--ttl", "60", "--collapse-key", "k"],
         {"segment": {"platforms": ["fcm", "apns"], "app": "com.x", "app_version": ">=4,<5", "locales": ["de"]},
          "body": "b", "per_second": 50, "ttl_s": 60, "collapse_key": "k"}),
        (["--all", "--silent", "--data", "{}", "--at", "2030-01-01T01:00+01:00"],
         {"segment": {}, "silent": True, "data": {}, "send_at": 1_893_456_000_000}),
    ],
)  # fmt: skip
def test_what_is_asked_for(words: list[str], order: dict[str, Any]) -> None:
    assert _order(*words) == order


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--title", "a"], "say to whom"),
        (["--all", "--platform", "fcm", "--title", "a"], "say to whom"),
        (["--all", "--topic", "t", "--title", "a"], "say to whom"),
        (["--all", "--data", "{"], "--data is no JSON"),
        (["--all", "--data", "[]"], "--data must be an object"),
        (["--all", "--at", "soon"], "--at must be a time"),
        (["--all", "--at", "2030-01-01T01:00"], "--at must say its time zone"),
    ],
)
def test_faults_are_told(words: list[str], told: str) -> None:
    with pytest.raises(OperatorError, match=told):
        _order(*words)


@pytest.mark.parametrize(("queued", "sent", "full"), [(0, 0, 0), (600, 150, 10), (600, 550, 30), (10, 900, 30)])
def test_the_bar(queued: int, sent: int, full: int) -> None:
    assert bar({**VIEW, "queued": queued, "sent": sent}).count("█") == full


def test_one_in_words() -> None:
    shown = told(VIEW)
    assert shown.splitlines()[:2] == ["0199-a: running", ""]
    assert "450 of 600, 900 devices looked at so far" in shown
    assert "225 a second, of 500" in shown
    assert "left" not in shown
    assert "left        2 s" in told({**VIEW, "stage": "sending", "eta_s": 1.5})
    assert "scheduled at 2030-01-01T00:00:00Z" in told({**VIEW, "stage": "scheduled", "send_at": VIEW["created_at"]})
    assert line(VIEW) == "running: 900 seen, 600 queued, 400 sent, 20 failed, 30 cancelled, 150 waiting"


def test_the_list() -> None:
    head, row = listed([{**VIEW, "topic": "news"}], datetime(2030, 1, 1, 0, 5, tzinfo=UTC)).splitlines()
    assert head.split() == ["ID", "STAGE", "TO", "QUEUED", "SENT", "FAILED", "CANCELLED", "AGE"]
    assert row.split() == ["0199-a", "running", "topic", "news", "600", "400", "20", "30", "5m"]
    assert "push broadcast send" in listed([], datetime(2030, 1, 1, tzinfo=UTC))


def test_to_whom() -> None:
    assert audience(VIEW) == "all"
    segment = {"platforms": ["fcm", "apns"], "app_version": ">=4", "locales": ["de"]}
    assert audience({**VIEW, "segment": segment}) == "fcm,apns >=4 de"
