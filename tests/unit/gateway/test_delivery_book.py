"""The checker's own check: it finds what it is there to find."""

from __future__ import annotations

import pytest
from tests.support.delivery.book import Book


def book(*seen: tuple[str, int, str]) -> Book:
    """Ann sent one and two to Bob, who has a phone and a laptop; both were acknowledged."""
    made = Book()
    made.sent = {"one": ("ann", "bob"), "two": ("ann", "bob"), "other": ("ann", "cid")}
    made.acked = {"one", "two"}
    for device in ("phone", "laptop"):
        made.view(device, "bob")
    for device, seq, content in seen:
        made.view(device, "bob").saw(seq, content)
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
def test_a_fault_is_found(seen: tuple[tuple[str, int, str], ...], fault: str) -> None:
    verdict = book(*seen).verdict()
    assert not verdict.good
    assert getattr(verdict, fault)
    assert verdict.faults
