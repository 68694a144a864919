"""A message service with rights that a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.access import MemoryAccess
from tests.support.chat import data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> MemoryAccess:
    made = MemoryAccess()
    monkeypatch.setattr("push_workloads.message.service.Permits", lambda *_: made)
    return made


@pytest.fixture
async def message(
    access: MemoryAccess, operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> AsyncIterator[InProcess]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        yield await plane.message()
