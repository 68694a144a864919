"""Which messages wait for their second copy, and what that is."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from push_workloads.common.outgoing import Outgoing
from push_workloads.common.sending import TO_SENDER, Send, begin, headers
from push_workloads.common.subjects import inbox_subject
from push_workloads.message.model import Payload, decode_payload
from push_workloads.message.twins import FORGET_SECONDS, WAIT_SECONDS, Half, Twins, side_of, twin_of


def payload(raw: bytes) -> Payload:
    made = decode_payload(raw)
    assert isinstance(made, Payload)
    return made


def sending(recipient_id: str, **options: str) -> Send:
    raw = msgspec.json.encode({"recipient_id": recipient_id, "content": Raw(b'{"n": 1}'), **options})
    frame = msgspec.json.decode(raw, type=Outgoing)
    return begin("ann", inbox_subject("ann"), frame, 0.0, 7, bytes(10))


@pytest.mark.parametrize("options", [{}, {"kind": "edit", "ref": "m0"}, {"dedup_id": "a-random-key-of-20-c"}])
def test_the_second_copy_is_what_its_sender_would_have_written(options: dict[str, str]) -> None:
    send = sending("Jürgen", **options)
    made = twin_of(payload(send.publication().payload))
    send.stage = TO_SENDER
    expected = send.publication()
    wanted = json.loads(expected.payload)
    wanted.pop("dedup_id", None)  # the recipient does not get it
    assert json.loads(made.payload) == wanted
    assert (made.subject, headers(made)) == (expected.subject, headers(expected))
    assert b'"content":{"n": 1}' in made.payload


def test_whose_copy_it_is() -> None:
    send = sending("bob")
    assert side_of(payload(send.publication().payload)) == "recipient"
    send.stage = TO_SENDER
    assert side_of(payload(send.publication().payload)) == "sender"
    assert side_of(payload(sending("ann").publication().payload)) is None
    assert side_of(Payload("m", "ann", "group:x", Raw(b"1"), 7)) is None


def half(message_id: str, seen_at: float) -> Half:
    return Half(message_id, "u.bob", 1, seen_at)


def test_one_that_nothing_follows_is_due_once() -> None:
    twins = Twins()
    twins.recipients(half("m1", 0.0))
    twins.recipients(half("m1", 1.0))
    twins.recipients(half("m2", 2.0))
    assert twins.due(WAIT_SECONDS - 0.1) == []
    assert twins.senders("m2", WAIT_SECONDS)
    assert twins.due(WAIT_SECONDS) == [half("m1", 0.0)]
    assert twins.due(2 * WAIT_SECONDS) == []


def test_what_was_told_long_ago_is_forgotten() -> None:
    twins = Twins()
    assert not twins.senders("m1", 0.0)
    twins.due(FORGET_SECONDS)
    twins.recipients(half("m1", FORGET_SECONDS))
    assert len(twins) == 1


def test_of_too_many_the_oldest_are_forgotten() -> None:
    twins = Twins(remembered=2)
    for number in range(4):
        twins.recipients(half(f"m{number}", 0.0))
        twins.senders(f"x{number}", 0.0)
    assert [one.message_id for one in twins.due(WAIT_SECONDS)] == ["m2", "m3"]
    assert twins.forgotten == 2


@given(st.permutations([(n, side) for n in range(5) for side in ("recipient", "sender")]), st.sets(st.integers(0, 4)))
def test_whatever_the_order_only_halves_are_due(order: list[tuple[int, str]], missing: set[int]) -> None:
    twins = Twins()
    for number, side in order:
        if side == "recipient":
            twins.recipients(half(f"m{number}", 0.0))
        elif number not in missing:
            twins.senders(f"m{number}", 0.0)
    assert {one.message_id for one in twins.due(WAIT_SECONDS)} == {f"m{number}" for number in missing}
