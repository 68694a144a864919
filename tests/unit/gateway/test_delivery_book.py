"""The checker's own check: it finds what it is there to find."""

from __future__ import annotations

import pytest
from tests.support.delivery.book import Book, Sent, Verdict
from tests.support.delivery.members import Change, Period, periods

ROOM = "group:r"
Seen = tuple[str, int, str]


def book(*seen: Seen) -> Book:
    """Ann sent one and two to Bob, who has a phone and a laptop; both were acknowledged."""
    made = Book()
    made.sent = {name: Sent("ann", ("user:ann", "user:bob")) for name in ("one", "two")}
    made.sent["other"] = Sent("ann", ("user:ann", "user:cid"))
    made.acked = {"one": 91, "two": 92}
    for device in ("phone", "laptop"):
        made.view(device, "bob", "user:bob")
    for device, seq, content in seen:
        made.view(device, "bob", "user:bob").saw(seq, content)
    return made


GOOD = (("phone", 1, "one"), ("phone", 2, "two"), ("laptop", 1, "one"), ("laptop", 2, "two"))


def test_all_there_in_order_and_repeats_are_no_fault() -> None:
    verdict = book(*GOOD, ("phone", 1, "one")).verdict()
    assert verdict.good
    assert (verdict.repeats, verdict.seen) == (1, 4)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (GOOD[:3], "lost"),
        ((GOOD[1], GOOD[0], *GOOD[2:]), "reordered"),
        ((*GOOD, ("phone", 3, "never sent")), "unsent"),
        ((*GOOD, ("phone", 3, "other")), "unsent"),
        ((*GOOD, ("phone", 3, "two")), "doubled"),
        ((*GOOD[:2], ("laptop", 1, "one"), ("laptop", 3, "two"), ("laptop", 2, "two")), "doubled"),
        ((*GOOD[:2], ("laptop", 1, "two"), ("laptop", 2, "one")), "unexplained"),
    ],
)
def test_a_fault_is_found(seen: tuple[Seen, ...], fault: str) -> None:
    verdict = book(*seen).verdict()
    assert not verdict.good
    assert getattr(verdict, fault)
    assert verdict.faults


ADDED, REMOVED = Change("added", ("bob",), "c3"), Change("removed", ("bob",), "c6")


def test_times_as_a_member() -> None:
    changes = {3: ADDED, 6: REMOVED, 8: Change("added", ("cid", "bob"), "c8"), 9: REMOVED}
    assert periods(changes, "bob", founder=False) == [Period(3, 6), Period(8, None)]
    assert periods(changes, "bob", founder=True) == [Period(0, 6), Period(8, None)]
    assert periods(changes, "ann", founder=True) == [Period(0, None)]


def room(*seen: tuple[int, str]) -> Verdict:
    """Bob is in the group from 3 to 6; before, meanwhile and afterwards Ann wrote."""
    made = Book()
    made.founders[ROOM] = made.members[ROOM] = {"ann"}
    made.changes[ROOM] = {3: ADDED, 6: REMOVED}
    for seq in (2, 4, 5, 7):
        made.sent[f"m{seq}"] = Sent("ann", (ROOM,))
        made.ack(f"m{seq}", seq)
    for seq, content in seen:
        made.view("phone", "bob", ROOM).saw(seq, content)
    made.close()
    return made.verdict()


IN, OUT = (3, "change added c3"), (6, "change removed c6")


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        ((IN, (4, "m4"), (5, "m5"), OUT), ""),
        ((IN, (4, "m4")), ""),  # it was away when its user was removed
        ((), ""),
        ((IN, (5, "m5")), "lost"),
        (((4, "m4"), (5, "m5"), OUT), "lost"),
        ((IN, (4, "m4"), OUT), "lost"),
        ((IN, (4, "m4"), (5, "m5"), OUT, (7, "m7")), "leaked"),
        (((2, "m2"), IN, (4, "m4"), (5, "m5"), OUT), "leaked"),
        ((IN, (4, "m4"), (5, "change removed c6"), OUT), "unsent"),
    ],
)
def test_members_see_what_was_written_while_they_were_in_and_nothing_else(
    seen: tuple[tuple[int, str], ...], fault: str
) -> None:
    verdict = room(*seen)
    assert verdict.good == (not fault), verdict
    assert not fault or getattr(verdict, fault)
    assert verdict.cut_short == (OUT not in seen and bool(seen))


def test_members_by_the_api_are_those_by_the_log() -> None:
    made = Book()
    made.founders[ROOM], made.members[ROOM] = {"ann"}, {"ann", "bob"}
    assert made.missing() == 1
    made.close()
    assert made.verdict().unexplained
    made.changed(ROOM, 3, ADDED)
    assert made.missing() == 0


def test_a_second_ack_equals_the_first() -> None:
    made = book(*GOOD)
    made.ack("one", 91)
    assert made.verdict().good
    made.ack("one", 93)
    assert not made.verdict().good
