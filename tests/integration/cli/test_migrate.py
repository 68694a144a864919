"""`push migrate swarm` as a program: its streams and files, and the shell commands of its report, which run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.platform import PUSH

from push_operator.model import parse

EXAMPLE = Path(__file__).parents[3] / "examples" / "docker-stack.yml"
MINIMAL = "services: {gateway: {image: 'r/gateway:${TAG}'}}"
# What Docker answers for the old services: the variables of one, the containers, and a file in one of them.
DOCKER = """\
case "$1 $2" in
  "service inspect") printf '%s\\n' "NATS_URL=nats://al%20ice:p=w|d@bus.example:4222" REDIS_PASSWORD=sesame "JWT=no" ;;
  "ps --quiet") printf 'c1\\nc2\\n' ;;
  exec*) printf '%s of %s\\n' "$4" "$2" ;;
esac
printf '%s\\n' "$*" >> "$LOG"
"""
# As the real one reads them, one after the other.
KUBECTL = """\
for argument; do
  case "$argument" in
    --from-file=*) pair="${argument#--from-file=}"; printf '%s=[%s]\\n' "${pair%%=*}" "$(cat "${pair#*=}"; printf .)" ;;
    *) printf '%s ' "$argument" ;;
  esac
done
"""


def _push(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*PUSH, "migrate", "swarm", *arguments), cwd=folder, env=os.environ | environ,
                          capture_output=True, text=True, timeout=30, check=False)  # fmt: skip


def _written(folder: Path, stack: Any, name: str = "stack.yml") -> str:
    (folder / name).write_text(stack if isinstance(stack, str) else yaml.safe_dump(stack))
    return name


def test_the_manifest_is_on_standard_output_and_the_report_beside_it(tmp_path: Path) -> None:
    done = _push(tmp_path, str(EXAMPLE), "--name", "talk", "-n", "chat", GATEWAY_REPLICAS="9")
    assert done.returncode == 0
    made = parse(yaml.safe_load(done.stdout))
    assert (made.name, made.namespace, made.services["gateway"].replicas) == ("talk", "chat", 9)
    assert done.stdout.startswith("# Made of a Docker Swarm stack by `push migrate swarm`.")
    assert done.stderr.startswith("taken over:\n  services.gateway.deploy.replicas: spec.gateway.replicas is 9\n")
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    stack = _written(tmp_path, MINIMAL)
    done = _push(tmp_path, stack, "-o", "chat.yaml")
    assert (done.returncode, done.stdout) == (0, "")
    assert "to do:" in done.stderr
    parse(yaml.safe_load((tmp_path / "chat.yaml").read_text()))
    (tmp_path / "chat.yaml").write_text("mine")
    told = "push: chat.yaml: is there already, and stays: give another name, or remove it first\n"
    done = _push(tmp_path, stack, "-o", "chat.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert (tmp_path / "chat.yaml").read_text() == "mine"
    assert (
        "nowhere/chat.yaml: cannot be written: No such file" in _push(tmp_path, stack, "-o", "nowhere/chat.yaml").stderr
    )


def test_several_files_are_laid_over_each_other(tmp_path: Path) -> None:
    base = _written(tmp_path, MINIMAL)
    more = _written(tmp_path, {"services": {"gateway": {"deploy": {"replicas": 4}}}}, "prod.yml")
    assert parse(yaml.safe_load(_push(tmp_path, base, more).stdout)).services["gateway"].replicas == 4
    wrong = _written(tmp_path, {"services": {"gateway": {"deploy": {"replicas": "x"}}}}, "wrong.yml")
    assert _push(tmp_path, base, wrong).stderr == (
        "push: stack.yml + wrong.yml: services.gateway.deploy.replicas: must be a whole number from 0 to 1000\n"
    )


def test_a_service_of_another_name(tmp_path: Path) -> None:
    stack = _written(tmp_path, {"services": {"edge": {"deploy": {"replicas": 3}}}})
    done = _push(tmp_path, stack)
    assert done.returncode == 1
    assert (
        done.stderr == "push: stack.yml: services: none of edge is a gateway: say which with --service gateway=NAME\n"
    )
    done = _push(tmp_path, stack, "--service", "gateway=edge")
    assert parse(yaml.safe_load(done.stdout)).services["gateway"].replicas == 3
    done = _push(tmp_path, stack, "--service", "gateway=edge", "--service", "gateway=edge")
    assert done.stderr == "push: stack.yml: --service: gives one kind twice\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "push: stack.yml: cannot be read: No such file or directory\n"),
        ("a: [", "push: stack.yml:1: "),
        ("a: 1\n---\nb: 2", "push: stack.yml: must hold one stack, not 2 documents\n"),
        ("", "push: stack.yml: must hold one stack, not 0 documents\n"),
        ("- 5", "push: stack.yml: services: required"),
        ("services: &a\n  gateway: *a", "push: stack.yml: services.gateway"),
    ],
)
def test_what_is_no_stack_is_one_line(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        _written(tmp_path, text)
    done = _push(tmp_path, "stack.yml")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(told)


@pytest.mark.parametrize("words", [(), ("x.yml", "--service", "gateway"), ("x.yml", "--service", "web=a")])
def test_wrong_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    assert _push(tmp_path, *words).returncode == 2


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    stack = _written(tmp_path, {"services": {"gateway": {}, "a\x1b[2J\n": {}}})
    assert "services.a [2J : is no part of the platform" in _push(tmp_path, stack).stderr


def test_help_teaches(tmp_path: Path) -> None:
    done = _push(tmp_path, "--help")
    assert done.returncode == 0
    for words in ("push migrate swarm docker-stack.yml > chat.yaml", "${TAG:-latest}", "--service gateway=edge"):
        assert words in done.stdout


def test_the_commands_of_the_report_carry_each_secret_over(tmp_path: Path) -> None:
    """With a docker and a kubectl that say what they are asked; every value arrives byte for byte."""
    environment = {"NATS_URL": "nats://al%20ice:p=w|d@bus.example:4222", "REDIS_HOST": "cache.example",
                   "REDIS_PASSWORD": "sesame"}  # fmt: skip
    gateway = {"environment": environment, "secrets": ["jwt_secret"]}
    _written(tmp_path, "of a file\n", "the fcm's key")
    auth = {"secrets": [{"source": "key", "target": "CASSANDRA_PASSWORD"}],
            "environment": {"CASSANDRA_HOSTS": "c.example", "CASSANDRA_USER_FILE": "/user"}}  # fmt: skip
    stack = _written(tmp_path, {"services": {"gateway": gateway, "auth": auth},
                                "secrets": {"key": {"file": "./the fcm's key"}}})  # fmt: skip
    report = _push(tmp_path, stack, "-n", "chat").stderr
    made = _run(tmp_path, report.partition("commands, for bash:\n")[2])
    assert made == [
        "-n chat create secret generic chat-nats username=[al%20ice.]",
        "password=[p=w|d.]",
        "-n chat create secret generic chat-redis password=[sesame.]",
        "-n chat create secret generic chat-cassandra username=[/user of c1.]",
        "password=[of a file.]",
        "-n chat create secret generic chat-tokens JWT_SECRET=[/run/secrets/jwt_secret of c1.]",
    ]
    asked = (tmp_path / "docker.log").read_text()
    assert "service inspect push_gateway --format " in asked
    assert "ps --quiet --filter name=push_auth." in asked


def _run(folder: Path, commands: str) -> list[str]:
    for name, text in (("docker", DOCKER), ("kubectl", KUBECTL)):
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "LOG": str(folder / "docker.log")}
    done = subprocess.run(("bash", "-euo", "pipefail", "-c", commands), cwd=folder, env=environ, capture_output=True,
                          text=True, timeout=30, check=True)  # fmt: skip
    return done.stdout.splitlines()
