"""What a conversation shows. The table is the JavaScript client's as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_client.events import Message, message_of
from push_client.fold import fold

CASES = json.loads(Path(__file__).with_name("folds.json").read_text(encoding="utf-8"))
PLAIN = {"edited": False, "deleted": False, "reactions": {}}


def shown(messages: list[Message]) -> list[dict[str, Any]]:
    return [
        {
            "message_id": one.message.message_id,
            "content": one.content,
            "edited": one.edited,
            "deleted": one.deleted,
            "reactions": one.reactions,
        }
        for one in fold(messages)
    ]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_cases(case: dict[str, Any]) -> None:
    messages = [message_of({"conversation": "c"} | one) for one in case["messages"]]
    assert shown(messages) == [PLAIN | one for one in case["shown"]]


MESSAGES = st.builds(
    lambda number, sender, kind, ref, at: message_of(
        {
            "message_id": f"m{number}",
            "from": sender,
            "kind": kind,
            "ref": f"m{ref}",
            "sent_at": at,
            "content": {"emoji": "👍", "remove": number % 2 == 0},
            "conversation": "c",
        }
    ),
    st.integers(0, 20),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["text", "edit", "delete", "reaction"]),
    st.integers(0, 20),
    st.integers(0, 3),
)


@given(st.lists(MESSAGES, unique_by=lambda one: one.message_id), st.randoms())
def test_neither_order_nor_repeats_make_a_difference(messages: list[Message], random: Any) -> None:
    mixed = [*messages, *messages]
    random.shuffle(mixed)
    assert shown(mixed) == shown(messages)
