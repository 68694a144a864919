"""One platform for all tests of this folder: they share it as strangers do, each with accounts of its own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser import browser
from tests.e2e.running import Running, running_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Running]:
    # Not pytest's own folder: its long names leave no room for a socket's path (108 bytes).
    with tempfile.TemporaryDirectory(prefix="push-") as folder, running_platform(Path(folder)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def windows_closed(chromium: Browser) -> AsyncIterator[None]:
    yield
    for context in chromium.contexts:
        await context.close()
