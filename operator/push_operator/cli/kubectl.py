"""Kubernetes through the user's own `kubectl`: it knows every way to log in, and starts faster than a client would.

One run has an end, answers text or JSON, and fails with kubectl's own words in one line. Nothing is asked at the
terminal: where kubectl would ask, it fails.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from push_operator.cli.output import complain
from push_operator.cluster.local.logfile import one_line
from push_operator.errors import ClusterError

PROGRAM: Final = "kubectl"
REQUEST_SECONDS, RUN_SECONDS = 10, 30.0  # one request; a whole run, as kubectl tries an API server several times
STOP_SECONDS = 2.0
WORDS_CHARACTERS = 600
_READ_BYTES = 64 * 1024
_OWN_LOG = re.compile(r"[EWIF]\d{4} \d\d:\d\d:")  # klog: the same once more, five times over
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
_WARNING = "Warning: "
_DUMP = re.compile(r'"(?=(?:map\[|\{|(?:[^"\\]|\\.){80}))(?:[^"\\]|\\.)*"')  # a whole object, or nearly
_INSTALL: Final = "install crds/pushcluster.yaml and the operator there (docs/operator.md)"
_FIXES: Final = (
    (r'resource type "pushclusters"', _INSTALL),
    (r'no matches for kind "PushCluster"', _INSTALL),
    (r"server localhost:8080 was refused", "it goes there when it has no context: give --context or --kubeconfig"),
    (r"^EOF$", "it wanted to ask something at the terminal: log in with kubectl itself first"),
)


class Failed(ClusterError):
    """kubectl ended with an error; `printed` is what it said of the part that went well."""

    def __init__(self, text: str, printed: str) -> None:
        super().__init__(text)
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Place:
    """What kubectl is to be told of where to go; None: what it does by itself."""

    context: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None

    @property
    def given(self) -> bool:
        return bool(self.context or self.namespace or self.kubeconfig)

    def options(self) -> tuple[str, ...]:
        told = {"context": self.context, "namespace": self.namespace, "kubeconfig": self.kubeconfig}
        return tuple(f"--{name}={value}" for name, value in told.items() if value)


class Kubectl:
    """kubectl at one place. Every method raises ClusterError."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def context(self) -> str:
        """The name of the context that is used."""
        return self._place.context or self.run("config", "current-context").strip()

    def ask(self, *arguments: str) -> dict[str, Any]:
        """The object that it answers."""
        text = self.run(*arguments, "--output=json")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ClusterError(f"{PROGRAM} answered what is no JSON: {one_line(text)}") from error
        if not isinstance(answer, dict):
            raise ClusterError(f"{PROGRAM} answered what is no object: {one_line(text)}")
        return answer

    def run(self, *arguments: str, text: str = "") -> str:
        """What it prints; `text` is its standard input. Its warnings are passed on."""
        try:
            done = subprocess.run(  # noqa: S603 - no shell; the program is the user's own
                self._command(*arguments, f"--request-timeout={REQUEST_SECONDS}s"), input=text, capture_output=True,
                encoding="utf-8", errors="replace", timeout=RUN_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ClusterError(_too_slow(error.stderr)) from error
        except OSError as error:
            raise _cannot_start(error) from error
        if done.returncode != 0:
            raise Failed(_failure(done.returncode, done.stderr), done.stdout)
        for line in done.stderr.splitlines():
            if line.startswith(_WARNING):
                complain(line)
        return done.stdout

    @contextmanager
    def streaming(self, *arguments: str) -> Iterator[Stream]:
        """Its output as it comes, for as long as the context is open. No limit of time: a log may be silent."""
        try:
            process = subprocess.Popen(  # noqa: S603 - as above
                self._command(*arguments), bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise _cannot_start(error) from error
        with process:
            try:
                yield Stream(process.stdout.fileno() if process.stdout is not None else -1)
            finally:
                _end(process)

    @contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[int]:
        """The local port that leads to one of a pod, for as long as the context is open."""
        with self.streaming("port-forward", "--address=127.0.0.1", what, f":{port}") as stream:
            for line in stream.lines(RUN_SECONDS):
                if found := _FORWARDED.match(line):
                    yield int(found[1])
                    return
        raise ClusterError(f"{PROGRAM} does not forward a port to {what}: may you do that there (pods/portforward)?")

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (PROGRAM, *arguments, *self._place.options())


class Stream:
    """The lines of a running kubectl."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def lines(self, seconds: float) -> Generator[str, None, None]:
        """Whole lines as they come, for so long, or until it ends."""
        deadline = time.monotonic() + seconds
        while not self.ended and (left := deadline - time.monotonic()) > 0:
            if not select.select([self._descriptor], [], [], left)[0]:
                return
            chunk = os.read(self._descriptor, _READ_BYTES)
            self.ended = not chunk
            whole = (self._rest + chunk).split(b"\n")
            self._rest = b"" if self.ended else whole.pop()  # the last line of all may have no end
            for line in whole:
                yield line.decode("utf-8", "replace")


def items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of a list that kubectl answered. Raises ClusterError when it is none."""
    found = answer.get("items")
    if not isinstance(found, list) or not all(isinstance(one, dict) and "metadata" in one for one in found):
        raise ClusterError(f"{PROGRAM} answered no list of objects but {answer.get('kind') or 'something else'}")
    return found


def words_of(stderr: str) -> str:
    """What kubectl says went wrong, as one line.

    Not the objects that it repeats, be it as the patch that it was about to send: a Secret's have its values in them.
    """
    kept, in_patch = [], False
    for line in stderr.splitlines():
        in_patch = (in_patch or line.endswith("error when applying patch:")) and not line.startswith("for: ")
        if not in_patch and line.strip() and not _OWN_LOG.match(line) and not line.startswith(_WARNING):
            kept.append(_DUMP.sub('"…"', line.strip()).removeprefix("error: "))
    return one_line("; ".join(kept).replace(":; * ", ": ").replace("; * ", "; "), WORDS_CHARACTERS)


def _failure(code: int, stderr: str) -> str:
    words = words_of(stderr) or f"it failed without a word (exit code {code})"
    fix = next((f"; {fix}" for sign, fix in _FIXES if re.search(sign, words)), "")
    return f"{PROGRAM}: {words}{fix}"


def _too_slow(stderr: bytes | str | None) -> str:
    """Where a login waits for a person, its last words say how."""
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr or ""
    words = words_of(text)
    said = f"it last said: {words}" if words else "is the API server reachable from here?"
    return f"{PROGRAM} was not done after {RUN_SECONDS:.0f} s: {said}"


def _cannot_start(error: OSError) -> ClusterError:
    if isinstance(error, FileNotFoundError):
        return ClusterError(f"there is no {PROGRAM} on the PATH: install it to work with a Kubernetes")
    return ClusterError(f"{PROGRAM} cannot be started: {error.strerror}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
