"""A real Prometheus for tests, and promtool; both are of the distribution's package `prometheus`."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.servers import free_port
from tests.support.waiting import within

START_SECONDS: Final = 30.0
Json = dict[str, Any]


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine: install the package prometheus")
    return found


def promtool(*arguments: str) -> str:
    """What it says; AssertionError with that when it finds a fault."""
    done = subprocess.run((program("promtool"), *arguments), capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class Prometheus:
    """One that answers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """`data` of an answer; AssertionError with the fault when there is none."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Json]:
        """The series that an expression has now."""
        found: list[Json] = self.ask("query", query=expression)["result"]
        return found

    def names(self) -> set[str]:
        """Every metric that was ever read."""
        return set(self.ask("label/__name__/values"))


@contextmanager
def prometheus(folder: Path, jobs: Sequence[Json], groups: Sequence[Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Reads the jobs' targets every second and computes the rules, on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": list(groups)}), encoding="utf-8")
    often = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": often, "rule_files": ["rules.yaml"], "scrape_configs": list(jobs)}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            (program("prometheus"), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"),
            stdout=log, stderr=log,
        )  # fmt: skip
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        within(START_SECONDS, lambda: _is_ready(made.url) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield made
    finally:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
