"""What `push` makes of a kubectl that is missing, slow or odd, and of which target is at hand. The real kubectl is
tried in tests/integration/kubernetes."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.platform import PUSH
from tests.support.waiting import within

from push_operator.cli import kubectl
from push_operator.cli.client import PlatformClient
from push_operator.cli.kubectl import Kubectl, Place
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart.yaml"
Script = Callable[[str], None]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="push-") as made:  # pytest's own is too long for a socket's path
        yield Path(made)


@pytest.fixture
def script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a kubectl on the PATH that does what the shell script says, and nothing else."""
    programs = folder / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def write(text: str) -> None:
        (programs / "kubectl").write_text(f"#!/bin/sh\n{text}\n")
        (programs / "kubectl").chmod(0o755)

    return write


def _push(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run((*PUSH, *arguments), cwd=folder, env=os.environ | environ, capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


COMMANDS = [("get",), ("scale", "gateway", "2"), ("apply", str(EXAMPLE)), ("logs", "auth")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_neither_a_platform_nor_a_kubernetes_is_one_line_with_both_ways(
    command: tuple[str, ...], folder: Path, script: Script
) -> None:
    code, told = _push(folder, *command, PATH=str(folder))
    assert (code, told.count("\n")) == (1, 1)
    assert told.startswith(f"push: no platform is running in {folder}/.push (start it with `push up FILE`), and no ")
    assert "(choose one with --context): there is no kubectl on the PATH" in told
    script("echo 'error: current-context is not set' >&2; exit 1")
    code, told = _push(folder, *command)
    assert (code, told.count("\n")) == (1, 1)
    assert told.endswith("(choose one with --context): kubectl: current-context is not set\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_missing_kubectl_is_one_line(command: tuple[str, ...], folder: Path) -> None:
    code, told = _push(folder, *command, "-n", "chat", PATH=str(folder))
    assert (code, told.count("\n")) == (1, 1)
    assert told.endswith("there is no kubectl on the PATH: install it to work with a Kubernetes\n")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("exit 3", "kubectl: it failed without a word (exit code 3)"),
        ("echo 'Please enter Username: '; echo 'error: EOF' >&2; exit 1",
         "kubectl: EOF; it wanted to ask something at the terminal: log in with kubectl itself first"),
        ("echo welcome", "kubectl answered what is no JSON: welcome"),
        ("echo '[1]'", "kubectl answered what is no object: [1]"),
        ("echo '{\"kind\": \"Status\"}'", "kubectl answered no list of objects but Status"),
        ("echo '{\"items\": [1]}'", "kubectl answered no list of objects but something else"),
    ],
    ids=["silent", "a login", "no JSON", "a list", "no list", "no objects"],
)  # fmt: skip
def test_odd_answers_are_one_line(does: str, told: str, folder: Path, script: Script) -> None:
    script(does)
    assert _push(folder, "get", "--target", "kube") == (1, f"push: {told}\n")


def test_a_slow_kubectl_is_ended_and_its_last_words_told(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubectl, "RUN_SECONDS", 0.5)
    script("echo 'To sign in, open https://login.example' >&2; exec sleep 60")
    with pytest.raises(ClusterError, match=r"it last said: To sign in, open https://login\.example"):
        Kubectl(Place()).run("get")
    script("exec sleep 60")
    with pytest.raises(ClusterError, match="is the API server reachable"):
        Kubectl(Place()).run("get")


def test_warnings_are_passed_on(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script("echo 'Warning: this goes away' >&2; echo 'other words' >&2; echo done")
    assert Kubectl(Place()).run("apply") == "done\n"
    assert capsys.readouterr().err == "push: Warning: this goes away\n"


def test_a_stream_ends_with_its_reader_and_keeps_the_last_line(script: Script, folder: Path) -> None:
    script("printf 'one\\ntwo'")
    with Kubectl(Place()).streaming("logs") as stream:
        assert list(stream.lines(10)) == ["one", "two"]
        assert stream.ended
    script(f"echo $$ > {folder}/pid; echo first; exec sleep 60")
    with Kubectl(Place()).streaming("logs") as stream:
        lines = stream.lines(10)
        assert next(lines) == "first"
        lines.close()
        assert (list(stream.lines(0.05)), stream.ended) == ([], False)
    pid = (folder / "pid").read_text().strip()
    within(5, lambda: not Path(f"/proc/{pid}").exists())


def test_a_platform_that_runs_here_is_the_target_and_looking_takes_nothing(folder: Path, script: Script) -> None:
    """With a kubectl at hand that would answer."""
    script("echo kube; exit 0")
    state = StateFolder(folder / ".push")
    with state.locked(), socket.socket(socket.AF_UNIX) as listener:
        assert not PlatformClient(state).listens()
        assert "no JSON: kube" in _push(folder, "get")[1]
        listener.bind(str(state.control_socket))
        listener.listen()
        assert PlatformClient(state).listens()
        listener.close()
        assert not PlatformClient(state).listens()  # a dead one is left there


def test_the_logs_of_a_platform_that_has_ended(folder: Path, script: Script) -> None:
    script("exit 1")
    logs = folder / ".push" / "logs"
    logs.mkdir(parents=True)
    (logs / "chat-auth-0a1b2c3d-0.log").write_text("the last words\n")
    assert _push(folder, "logs", "auth") == (0, "the last words\n")
    (folder / ".push" / "object.json").write_text('{"metadata": {"name": "chat"}}')
    assert _push(folder, "logs", "auth", "--name", "chat") == (0, "the last words\n")
    code, told = _push(folder, "logs", "auth", "--name", "talk")
    assert (code, told) == (1, f"push: the platform in {folder}/.push is chat, not talk\n")
