"""`push broadcast`: what is asked for, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any, NoReturn, cast

import pytest

from push_operator.cli.arguments import PUSH, parser
from push_operator.cli.asking import NoAnswer
from push_operator.cli.broadcasts import audience, bar, broadcasts, line, listed, order_of, told
from push_operator.cli.target import AdminPort, Target
from push_operator.errors import OperatorError

VIEW: dict[str, Any] = {
    "broadcast_id": "0199-a", "stage": "running", "segment": {}, "topic": None, "title": "News", "template": None,
    "created_at": 1_893_456_000_000, "send_at": None, "started_at": 1_893_456_001_000, "per_second": 500, "seen": 900,
    "queued": 600, "waiting": 150, "sent": 400, "failed": 20, "cancelled": 30, "rate": 225.0, "eta_s": None,
    "duplicate": False,
}  # fmt: skip


def _order(*words: str) -> dict[str, Any]:
    return order_of(parser(PUSH).parse_args(["broadcast", "send", *words]), "made here")


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
    assert _order(*words) == {**order, "dedup_id": "made here"}


@pytest.mark.parametrize("given", ["release-4.3-news", ""])
def test_a_dedup_id_of_ones_own(given: str) -> None:
    """An empty one, of a variable that is not set, is for the service to refuse."""
    assert _order("--all", "--title", "News", "--dedup-id", given)["dedup_id"] == given


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


class Nowhere:
    """A Target whose ports nobody listens on."""

    @contextmanager
    def admin(self, component: str) -> Iterator[AdminPort]:
        yield AdminPort("127.0.0.1", 1, "token")


@pytest.mark.parametrize(
    ("ends_by", "raised"), [(OSError("reset"), NoAnswer), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_whoever_gets_no_answer_learns_how_to_send_it_once(
    ends_by: BaseException,
    raised: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def request(*_: object) -> NoReturn:
        raise ends_by

    monkeypatch.setattr(HTTPConnection, "request", request)
    options = parser(PUSH).parse_args(
        ["broadcast", "send", "--all", "--title", "News", "--dedup-id", "release-4.3-news"]
    )
    with pytest.raises(raised) as told:
        broadcasts(cast(Target, Nowhere()), options)
    assert "run it again with --dedup-id release-4.3-news," in f"{told.value} {capsys.readouterr().err}"


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
    assert told({**VIEW, "duplicate": True}).splitlines()[0] == "0199-a: running; it had been sent before"
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
