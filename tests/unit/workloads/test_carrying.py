"""What providers have in common: when to come back, what fits, and where nothing is carried to."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from push_workloads.push.addresses import is_literal, is_public
from push_workloads.push.fitting import CUT, TooLarge, fitted
from push_workloads.push.notification import Notification, Show
from push_workloads.push.retry_after import LONGEST, retry_after

NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("99999999999999", LONGEST),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("²", None),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60),
        ("Mon, 21 Sep 2026 14:14:20 -0000", 60),
        ("Mon, 21 Sep 2026 14:13:19 GMT", 0),
        ("Mon, 21 Sep 2099 14:13:19 GMT", LONGEST),
        ("Mon, 99 Sep 2026 14:13:19 GMT", None),
    ],
)
def test_when_to_come_back(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_whatever_it_says_it_is_read(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or 0 <= found <= LONGEST


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "localhost", "", "127.1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["142.250.1.1", "2a00:1450:4001:80b::200a", "::ffff:142.250.1.1"])
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("host", "literal"), [("127.0.0.1", True), ("[::1]", True), ("::1", True), ("a.b", False)])
def test_an_address_is_no_name(host: str, literal: bool) -> None:
    assert is_literal(host) is literal


def _written(notification: Notification) -> bytes:
    return f"<{notification.title}|{notification.body}>".encode()


@given(st.text(max_size=300), st.integers(0, 400))
@example("a" * 50, 20)
def test_the_body_is_cut_and_nothing_else(body: str, limit: int) -> None:
    whole = Notification("m", Show.ALERT, 0, title="t", body=body)
    try:
        made = fitted(whole, _written, limit)
    except TooLarge:
        assert len(_written(whole)) > limit
        assert not body or len(b"<t|None>") > limit
        return
    assert len(made) <= limit
    if made != _written(whole):
        shown = made.decode().removeprefix("<t|").removesuffix(">")
        assert shown == "None" or (shown.endswith(CUT) and body.startswith(shown.removesuffix(CUT)))


def test_no_character_is_cut_in_two() -> None:
    """A thumb keeps its skin, a family stays together."""
    thumb, family = "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    whole = Notification("m", Show.ALERT, 0, title="t", body=f"so {thumb}{family}{thumb}")
    room = len(_written(whole))
    bodies = {fitted(whole, _written, limit).decode()[3:-1].removesuffix(CUT) for limit in range(room - 30, room)}
    assert bodies == {"so", f"so {thumb}", f"so {thumb}{family}"}
