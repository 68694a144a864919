"""Push services that anybody may name have few places, and those of one user fewer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.push.webpush.strangers import MOST, MOST_OF_A_USER, Strangers, is_known


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("fcm.googleapis.com", True),
        ("FCM.googleapis.com", True),
        ("updates.push.services.mozilla.com", True),
        ("wns2-par02p.notify.windows.com", True),
        ("web.push.apple.com", True),
        ("evil-fcm.googleapis.com", False),
        ("fcm.googleapis.com.evil.example", False),
        ("storage.googleapis.com", False),
        ("push.example.com", False),
        ("", False),
    ],
)
def test_who_is_known(host: str, known: bool) -> None:
    assert is_known(host) is known


@given(st.lists(st.tuples(st.sampled_from([f"user-{number}" for number in range(20)]), st.booleans()), max_size=200))
def test_never_too_many_and_every_place_comes_back(steps: list[tuple[str, bool]]) -> None:
    strangers, inside = Strangers(), list[str]()
    for user, comes in steps:
        if comes:
            room = len(inside) < MOST and inside.count(user) < MOST_OF_A_USER
            assert strangers.enter(user) is room
            inside += [user] * room
        elif user in inside:
            strangers.leave(user)
            inside.remove(user)
    for user in inside:
        strangers.leave(user)
    assert all(strangers.enter(f"another-{number // MOST_OF_A_USER}") for number in range(MOST))
