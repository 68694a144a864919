"""What a device keeps, and how long it waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from push_client.errors import Displaced, Ended, Misused
from push_client.events import Cursor, Saved
from push_client.reconnecting import Attempts, backoff_seconds, final
from push_client.state import FileState, device_of


def test_a_file_keeps_what_was_saved_last(tmp_path: Path) -> None:
    state = FileState(tmp_path / "state.json")
    assert state.load() is None
    for seq in (1, 2):
        state.save(Saved("device", "me", {"user:me": Cursor("e", seq)}))
    assert state.load() == Saved("device", "me", {"user:me": Cursor("e", 2)})
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"device_id": "d", "user_id": "", "cursors": {"a": 1}}'])
def test_a_file_that_is_something_else_is_said_to_be(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="move it away"):
        FileState(path).load()


def test_cursors_are_of_one_device() -> None:
    saved = Saved("old", "me", {"user:me": Cursor("e", 1)})
    assert device_of(saved, None, lambda: "new") is saved
    assert device_of(saved, "old", lambda: "new") is saved
    assert device_of(saved, "other", lambda: "new") == Saved("other")
    assert device_of(None, None, lambda: "new") == Saved("new")


def test_the_backoff_doubles_has_jitter_and_stays_between_half_a_second_and_half_a_minute() -> None:
    assert [backoff_seconds(attempt, 1.0) for attempt in (0, 1, 2, 20)] == [1.0, 2.0, 4.0, 30.0]
    assert backoff_seconds(20, 0.0) == 0.5


def test_a_connection_that_lasted_starts_the_backoff_anew() -> None:
    attempts = Attempts()
    assert [attempts.wait(lived, 1.0) for lived in (0, 1, 0, 6, 0)] == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_what_the_other_side_asked_for_is_kept_to() -> None:
    attempts = Attempts()
    assert attempts.wait(0.0, 0.0, 3.0) == 3.0
    assert 3.0 <= attempts.wait(0.0, 0.9, 3.0) <= 6.0


def test_tokens_are_asked_for_a_few_times_only() -> None:
    attempts = Attempts()
    assert [attempts.token_refused() for _ in range(4)] == [False, False, False, True]
    attempts.welcome()
    assert not attempts.token_refused()


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1012, 1013, 4401, 4408, 4410])
def test_after_most_closes_it_connects_again(code: int) -> None:
    assert final(code) is None


def test_three_closes_are_final() -> None:
    assert isinstance(final(4403), Ended)
    assert isinstance(final(4409), Displaced)
    assert isinstance(final(4400), Misused)
