"""The example stack, migrated and started: as docs/migration.md has it tried on one machine first."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from tests.support.platform import PUSH, Platform, free_offset

STACK = Path(__file__).parents[2] / "examples" / "docker-stack.yml"
OLD_KEY = "the key that the old services signed with"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path, free_offset())
    yield made
    if made.process is not None:
        made.end()


def _migrated(folder: Path) -> Path:
    """The manifest with the three changes for one machine, and the Secret that the report asks for."""
    manifest = folder / "chat.yaml"
    subprocess.run((*PUSH, "migrate", "swarm", str(STACK), "-o", str(manifest)), timeout=30, check=True,
                   env=os.environ | {"GATEWAY_REPLICAS": "2"}, capture_output=True)  # fmt: skip
    body = yaml.safe_load(manifest.read_text())
    body["spec"]["cassandra"] = {"embedded": {}}
    for single in ("auth", "message", "push"):
        body["spec"][single]["replicas"] = 1
    keys = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "chat-tokens"},
        "stringData": {"JWT_SECRET": OLD_KEY},
    }
    manifest.write_text(yaml.safe_dump_all([body, keys]))
    return manifest


def _groups(platform: Platform, **claims: Any) -> int:
    """The status with which the message service answers a user of the old services."""
    now = int(time.time())
    token = jwt.encode({"sub": "ann", "iat": now, "exp": now + 600, **claims}, OLD_KEY, algorithm="HS256")
    url = f"http://localhost:{8082 + platform.offset}/groups"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=10
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_migrated_example_runs_and_knows_the_old_key(platform: Platform, tmp_path: Path) -> None:
    platform.up(_migrated(tmp_path))
    platform.until_ready(90)
    components = {one["name"]: one["desired"] for one in platform.get()["status"]["components"]}
    assert components == {"gateway": 2, "auth": 1, "message": 1, "presence": 2, "push": 1, "nats": 1, "valkey": 1}
    assert _groups(platform, iss="pushcluster", aud="pushcluster") == 200
    assert _groups(platform) == 401
