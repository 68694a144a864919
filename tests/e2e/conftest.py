"""One platform for all tests of this folder: they share it as strangers do, each with accounts of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running, running_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Running]:
    # Not pytest's own folder: its long names leave no room for a socket's path (108 bytes).
    with tempfile.TemporaryDirectory(prefix="push-") as folder, running_platform(Path(folder)) as running:
        yield running
