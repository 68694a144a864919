"""What tests of several services begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.chat import Plane, data_plane
from tests.support.servers import Nats, Valkey


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    """A data plane with a message service, which makes the log."""
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        await made.message()
        yield made
