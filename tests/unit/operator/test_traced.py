"""What `push trace` puts together and prints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.cli.traced import joined, plain, told

SENT = 1_790_000_000_123
MESSAGE: dict[str, Any] = {
    "message": {
        "message_id": "m1", "from": "ann", "to": "user:bob", "kind": "text", "ref": None, "sent_at": SENT, "bytes": 9,
        "change": None,
    },
    "via": {"gateway": "chat-gateway-0", "device_id": "phone"},
    "log": [
        {"channel": "user:bob", "whose": "recipient", "epoch": "e1", "seq": 12, "stored_at": SENT + 3},
        {"channel": "user:ann", "whose": "sender", "epoch": "e1", "seq": None, "stored_at": None},
    ],
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "members": None,
    "recipients": [{"user_id": "bob", "delivered": True, "read": False}],
    "next": None,
}  # fmt: skip


def pushed(user_id: str, device_id: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "user_id": user_id, "device_id": device_id, "platform": "fcm", "state": state, "reason": None,
        "at": SENT + 3012, "attempts": 0, "provider_id": None, **more,
    }  # fmt: skip


def test_the_whole_way() -> None:
    pushes = [
        pushed("bob", "phone", "sent", attempts=1, provider_id="projects/x/messages/1"),
        pushed("bob", "tablet", "cancelled", reason="received"),
    ]
    text = told("m1", joined(MESSAGE, pushes, ["a note"]))
    assert (
        text
        == """\
message      m1
kind         text, 9 bytes
from         ann, by device phone at gateway chat-gateway-0
sent         2026-09-21 14:13:20.123 UTC
to           user:bob
in the log   user:bob: seq 12 of epoch e1, +0.003 s; the recipient's copy
in the log   user:ann: the sender's copy is not there (any more)
in history   yes
trace        0af7651916cd43dd8448eb211c80319c

RECIPIENT   DELIVERED   READ   DEVICE   PLATFORM   PUSH        REASON     AT         TRIES   CALLED
bob         yes         no     phone    fcm        sent        -          +3.012 s   1       projects/x/messages/1
                               tablet   fcm        cancelled   received   +3.012 s   0       -

a note"""
    )


def test_of_a_group_who_left_comes_after_its_members() -> None:
    group = {**MESSAGE["message"], "to": "group:team", "kind": "system", "change": "added", "ref": "m0"}
    members = [{"user_id": user, "delivered": None, "read": user == "eve"} for user in ("bob", "eve")]
    unknown = dict.fromkeys(("log", "trace_id", "via"))
    way = joined({**MESSAGE, "message": group, "recipients": members, "members": 3, **unknown},
                 [pushed("dan", "x", "sent"), pushed("eve", "y", "held", reason="quiet hours")], [])  # fmt: skip
    assert [(one["user_id"], one["read"], len(one["devices"])) for one in way["recipients"]] == [
        ("bob", False, 0), ("eve", True, 1), ("dan", None, 1)
    ]  # fmt: skip
    lines = told("m1", way).splitlines()
    assert "kind         system (added), about m0, 9 bytes" in lines
    assert "to           group:team, of 3 members now" in lines
    assert "in the log   the log does not answer now" in lines
    assert [line.split()[:4] for line in lines[-3:]] == [
        ["bob", "-", "no", "-"], ["eve", "-", "yes", "y"], ["dan", "-", "-", "x"]
    ]  # fmt: skip


def test_of_a_message_that_history_does_not_know_the_pushes_are_shown() -> None:
    text = told("b1", joined(None, [pushed("bob", "phone", "failed", reason="ambiguous: cut")], ["history has none"]))
    assert text.splitlines()[0] == "message   b1"
    assert "2026-09-21 14:13:23.135 UTC" in text
    assert text.endswith("\n\nhistory has none")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("zoë *", "zoë *"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb\tc", "a\\nb\\tc"), ("\u202eabc", "\\u202eabc"), ("", "")],
)
def test_what_would_move_the_cursor_is_spelt_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(min_size=1), st.text(min_size=1), st.none() | st.text())
def test_no_id_reaches_the_terminal_as_it_is(user: str, device: str, reason: str | None) -> None:
    group = {**MESSAGE["message"], "to": f"group:{user}", "from": user}
    pushes = [pushed(user, device, "failed", reason=reason, provider_id=device)]
    text = told("m1", joined({**MESSAGE, "message": group}, pushes, [f"note of {user}"]))
    assert text.replace("\n", "").isprintable()
    assert text.count("\n") == 14
