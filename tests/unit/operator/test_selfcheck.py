"""What `helm test` makes of the operators' answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from push_operator.selfcheck import EXIT_USAGE, EXIT_WRONG, check, main, wrong

VERDICTS = {
    "one leads": ({"a": "leading", "b": "standing by"}, 2, None),
    "one more, as during an upgrade": ({"a": "leading", "b": "standing by", "c": "standing by"}, 2, None),
    "nobody": ({}, 1, "0 of 1 operators are ready"),
    "one too few": ({"a": "leading"}, 2, "1 of 2 operators are ready"),
    "no leader": ({"a": "standing by", "b": "standing by"}, 2, "no operator leads"),
    "two leaders": ({"a": "leading", "b": "leading"}, 2, "more than one operator leads: a, b"),
    "one that is not ready": (
        {"a": "leading", "b": "waiting for the watches to begin"}, 1,
        "not every operator is ready: b: waiting for the watches to begin",
    ),
    "one that does not answer": (
        {"a": "leading", "b": "timed out"}, 2, "not every operator is ready: b: timed out",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "count", "said"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts(answers: dict[str, str], count: int, said: str | None) -> None:
    assert wrong(answers, count) == said


@contextmanager
def _operator(*answers: str) -> Iterator[int]:
    """The port of one that gives these answers, and the last of them for ever."""
    left = list(answers)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{left.pop(0) if len(left) > 1 else left[0]}\n".encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def test_it_waits_for_a_leader() -> None:
    with _operator("standing by", "leading") as port:
        assert check(lambda: ["127.0.0.1"], port, 1, seconds=10) == (None, "127.0.0.1: leading")


def test_it_says_what_is_wrong_and_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    with _operator("leading") as port:
        assert main(["127.0.0.1", str(port), "1", "0"]) == 0
        assert main(["127.0.0.1", str(port), "2", "0"]) == EXIT_WRONG
    assert capsys.readouterr().err.splitlines()[-2:] == ["127.0.0.1: leading", "1 of 2 operators are ready"]
    assert main(["127.0.0.1", str(port), "1", "0"]) == EXIT_WRONG
    assert "not every operator is ready: 127.0.0.1: " in capsys.readouterr().err
    assert main(["no.such.host.invalid", "1", "1", "0"]) == EXIT_WRONG
    assert capsys.readouterr().err == "no.such.host.invalid has no address\n0 of 1 operators are ready\n"


@pytest.mark.parametrize(
    "arguments", [[], ["a", "1"], ["a", "b", "1"], ["a", "1", "1", "soon"], ["a", "1", "1", "1", "1"]]
)
def test_it_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("usage: ")
