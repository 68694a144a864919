"""Removes from SQLite what is kept no longer: a few rows at a time, so that the writer waits for none of it long."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import aiosqlite

from push_workloads.common.errors import Unavailable
from push_workloads.message.retention import Retention

SWEEP_SECONDS: Final = 3600.0
PAUSE_SECONDS: Final = 0.01
ROWS: Final = 500
# The rows of a conversation are together, the oldest first: one look at each tells whether there is anything to do.
_NEXT: Final = """
SELECT conversation, sent_at FROM messages WHERE conversation > ? ORDER BY conversation, sent_at LIMIT 1
"""
_REMOVE: Final = """
DELETE FROM messages WHERE conversation = ?1 AND (sent_at, message_id) IN (
  SELECT sent_at, message_id FROM messages WHERE conversation = ?1 AND sent_at <= ?2
  ORDER BY sent_at, message_id LIMIT ?3)
"""
_UNLIST: Final = """
DELETE FROM conversations WHERE conversation = ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)
"""
_log = logging.getLogger(__name__)


class File(Protocol):
    """The store's file, as it is swept; both raise Unavailable."""

    def transaction(self) -> AbstractAsyncContextManager[aiosqlite.Connection]: ...

    async def read(self, query: str, values: tuple[object, ...]) -> list[tuple[str, int]]: ...


async def keep_swept(file: File, retention: Retention, clock: Callable[[], int]) -> None:
    """Until cancelled. `clock` gives Unix milliseconds."""
    while any(retention):
        try:
            removed = await sweep(file, retention, clock)
            _log.info("history was swept", extra={"removed": removed})
        except Unavailable as error:
            _log.warning("history could not be swept: %s", error.message)
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads them


async def sweep(file: File, retention: Retention, clock: Callable[[], int]) -> int:
    """Once through all conversations; how many rows were removed."""
    removed = 0
    async for conversation, oldest in _conversations(file):
        limit = retention.oldest(conversation, clock())
        while oldest <= limit:
            count = await _remove(file, conversation, limit)
            removed += count
            await asyncio.sleep(PAUSE_SECONDS)
            if count < ROWS:
                break
    return removed


async def _conversations(file: File) -> AsyncIterator[tuple[str, int]]:
    """Each, with the time of its oldest message."""
    conversation = ""
    while rows := await file.read(_NEXT, (conversation,)):
        conversation, oldest = rows[0]
        yield conversation, oldest


async def _remove(file: File, conversation: str, limit: int) -> int:
    async with file.transaction() as writer:
        cursor = await writer.execute(_REMOVE, (conversation, limit, ROWS))
        await writer.execute(_UNLIST, (conversation,))
        return cursor.rowcount
