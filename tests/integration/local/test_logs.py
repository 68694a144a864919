"""Logs of units: found by component, merged by time, followed, kept short."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.platform import eventually_now

from push_operator.cli.logs import follow, last_lines
from push_operator.cli.ownlog import logging_to
from push_operator.cluster.local import logfile
from push_operator.cluster.local.logfile import LogFile, component_of, forget_old_logs


def _line(second: int, text: str) -> str:
    return json.dumps({"ts": f"2030-01-01T00:00:{second:02}.000+00:00", "msg": text}, separators=(",", ":"))


def test_units_of_a_component_are_merged_by_time(tmp_path: Path) -> None:
    first = [_line(1, "a"), _line(4, "d"), "  a traceback of d"]
    second = [_line(2, "b"), _line(3, "c"), _line(5, "e")]
    (tmp_path / "chat-auth-0a1b2c3d-0.log").write_text("\n".join(first) + "\n")
    (tmp_path / "chat-auth-0a1b2c3d-1.log").write_text("\n".join(second) + "\n")
    (tmp_path / "auth-push-0a1b2c3d-0.log").write_text(_line(1, "of another component") + "\n")
    assert last_lines(tmp_path, "auth", 4) == [second[1], first[1], first[2], second[2]]
    assert last_lines(tmp_path, "auth", 0) == []
    assert component_of(tmp_path / "auth-push-0a1b2c3d-0.log") == "push"


def test_following_sees_what_is_written_and_who_starts(tmp_path: Path) -> None:
    (tmp_path / "chat-auth-0a1b2c3d-0.log").write_text("old\n")
    seen: list[str] = []

    def read() -> None:
        with closing(follow(tmp_path, "auth")) as lines:
            while not {"new", "other"} <= set(seen):
                seen.append(next(lines))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def both_seen() -> bool:
        for name, text in (("chat-auth-0a1b2c3d-0.log", "new\n"), ("chat-auth-ffffffff-0.log", "other\n")):
            with (tmp_path / name).open("a") as file:
                file.write(text)
        return not reader.is_alive()

    eventually_now(both_seen)
    assert "old" not in seen


def test_a_long_log_is_moved_and_its_last_words_still_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 100)
    log = LogFile(tmp_path / "chat-auth-0a1b2c3d-0.log")
    with os.fdopen(log.open(), "ab", 0) as writer:
        writer.write(b"x" * 101 + b"\n")
        log.cap()
        assert log.path.stat().st_size == 0
        assert (tmp_path / "chat-auth-0a1b2c3d-0.log.1").stat().st_size == 102
        writer.write(_line(1, "the end").encode() + b"\n")
    assert log.last_words() == "the end"


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/x.py", line 1, in main
  |     raise error
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/x.py", line 2, in check
    |     value: int = Wrong("it: so")
    | push.Refused: the bus refused the login
    +------------------------------------
"""


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (json.dumps({"msg": "crashed", "error": GROUP}), "crashed: push.Refused: the bus refused the login"),
        (json.dumps({"msg": "the bus refused the login", "error": GROUP}), "the bus refused the login"),
        (json.dumps({"msg": "crashed", "error": "Traceback\nKeyError: 'a'\n"}), "crashed: KeyError: 'a'"),
        (json.dumps({"msg": "crashed", "error": "Traceback\nKeyError\n"}), "crashed"),
        (json.dumps({"msg": "no\nroom\x1b[2J"}), "no room [2J"),
        (json.dumps({"msg": "long", "error": "x" * 40_000 + "\nValueError: why"}), "long: ValueError: why"),
        (GROUP, "push.Refused: the bus refused the login"),
        ("first\n  a plain line \n\n", "a plain line"),
        ("y" * 500, "y" * (logfile.NOTE_CHARACTERS - 1) + "…"),
        ("", ""),
    ],
    ids=range(10),
)
def test_last_words_are_the_units_own(tmp_path: Path, written: str, told: str) -> None:
    log = LogFile(tmp_path / "chat-auth-0a1b2c3d-0.log")
    with os.fdopen(log.open(), "ab", 0) as writer:
        writer.write(written.encode())
    assert log.last_words() == told


def test_the_operators_own_log_is_its_owners_alone(tmp_path: Path) -> None:
    said: list[str] = []

    def gone(_: str) -> None:
        raise BrokenPipeError

    path = tmp_path / "operator.log"
    with logging_to(path, said.append), logging_to(tmp_path / "other.log", gone):
        logging.getLogger("push_operator").warning("look: %d", 1)
    assert said == ["push: look: 1"]
    assert "WARNING push_operator look: 1" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_so_many_logs_are_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"chat-auth-{number:08x}-0.log" for number in range(logfile.KEPT_LOGS + 5)]
    for path in paths:
        path.touch()
    forget_old_logs(tmp_path, "auth", in_use={paths[0]})
    left = set(tmp_path.iterdir())
    assert paths[0] in left
    assert len(left) <= logfile.KEPT_LOGS + 1
