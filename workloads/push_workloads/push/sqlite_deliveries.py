"""Deliveries in SQLite. What is kept no longer is removed a few rows at a time, so that no write waits long for it."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from push_workloads.common.errors import Unavailable
from push_workloads.push.deliveries import KEEP_DAYS, Delivery, State
from push_workloads.push.rows import Rows

MIGRATIONS: Final = (
    """
    CREATE TABLE deliveries (
      message_id TEXT NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, platform TEXT NOT NULL,
      state TEXT NOT NULL, reason TEXT, at INTEGER NOT NULL, attempts INTEGER NOT NULL, provider_id TEXT,
      ended INTEGER NOT NULL, PRIMARY KEY (message_id, user_id, device_id)
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_by_time ON deliveries (at);
    """,
)
SWEEP_SECONDS: Final = 3600.0
PAUSE_SECONDS: Final = 0.01
ROWS: Final = 500
KEEP_MS: Final = KEEP_DAYS * 86_400_000
_COLUMNS: Final = ", ".join(Delivery._fields)
_FIELDS: Final = ", ".join(f"value ->> {place}" for place in range(len(Delivery._fields) + 1))
# All of them in one statement, which is one transaction; `true` tells SQLite where the SELECT ends.
_RECORD: Final = f"""
INSERT INTO deliveries ({_COLUMNS}, ended) SELECT {_FIELDS} FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET
  state = excluded.state, reason = excluded.reason, at = excluded.at, attempts = excluded.attempts,
  provider_id = excluded.provider_id, ended = excluded.ended
WHERE (excluded.ended, excluded.at) >= (deliveries.ended, deliveries.at)
"""  # noqa: S608 - constants
_OF_MESSAGE: Final = f"SELECT {_COLUMNS} FROM deliveries WHERE message_id = ?"  # noqa: S608 - constants
_PAGE: Final = f"{_OF_MESSAGE} AND (user_id, device_id) > (?, ?) ORDER BY user_id, device_id LIMIT ?"
_OF_USER: Final = f"{_OF_MESSAGE} AND user_id = ? ORDER BY device_id"
_SWEEP: Final = """
DELETE FROM deliveries WHERE (message_id, user_id, device_id) IN (
  SELECT message_id, user_id, device_id FROM deliveries WHERE at < ? ORDER BY at LIMIT ?)
"""
_log = logging.getLogger(__name__)


class SqliteDeliveries:
    """A DeliveryLog."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        await self._rows.write(_RECORD, json.dumps([(*one, one.is_end) for one in deliveries]))

    async def of_message(self, message_id: str, after: tuple[str, str] | None, limit: int) -> list[Delivery]:
        return [_delivery(row) for row in await self._rows.read(_PAGE, message_id, *(after or ("", "")), limit)]

    async def of_user(self, message_id: str, user_id: str) -> list[Delivery]:
        return [_delivery(row) for row in await self._rows.read(_OF_USER, message_id, user_id)]

    async def sweep(self, now_ms: int) -> int:
        """Removes all that is older than KEEP_DAYS; how many there were."""
        removed = 0
        while count := await self._rows.write(_SWEEP, now_ms - KEEP_MS, ROWS):
            removed += count
            await asyncio.sleep(PAUSE_SECONDS)
        return removed


async def keep_swept(deliveries: SqliteDeliveries, now_ms: Callable[[], int]) -> None:
    """Until cancelled."""
    while True:
        try:
            _log.info("deliveries were swept", extra={"removed": await deliveries.sweep(now_ms())})
        except Unavailable as error:
            _log.warning("deliveries could not be swept: %s", error.message)
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads them


def _delivery(row: Sequence[object]) -> Delivery:
    found = Delivery(*row)  # type: ignore[arg-type]
    return found._replace(state=State(found.state))
