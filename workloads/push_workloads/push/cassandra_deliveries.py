"""Deliveries in Cassandra: plain writes, and the time under which each is written decides which one stays.

A delivery is one cell, so that of two none is mixed from both. What is no end is written under its milliseconds as if
they were microseconds, which is 1970, and an end under its microseconds: so an end is over all that is none, and within
each kind the later counts. (The other way round, ends in the future, ScyllaDB would refuse.) How long a row is kept
counts from when it is written, whatever the time that it is written under.

A message to very many devices is no partition that grows without bounds: it has SLICES of them, by user.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from push_workloads.common.cassandra import Cassandra, Row, Statement
from push_workloads.common.tasks import together
from push_workloads.push.deliveries import KEEP_DAYS, Delivery, State
from push_workloads.push.devices import Platform

SLICES: Final = 16
KEEP_SECONDS: Final = KEEP_DAYS * 86_400
MIGRATIONS: Final = (
    f"""
    CREATE TABLE IF NOT EXISTS {{ks}}.deliveries (
      message_id text, slice int, user_id text, device_id text, delivery blob,
      PRIMARY KEY ((message_id, slice), user_id, device_id)
    ) WITH default_time_to_live = {KEEP_SECONDS}
    """,
)
_ROWS: Final = "SELECT message_id, user_id, device_id, delivery FROM {ks}.deliveries WHERE message_id = ? AND slice = ?"
STATEMENTS: Final = {
    "record": "INSERT INTO {ks}.deliveries (message_id, slice, user_id, device_id, delivery) VALUES (?, ?, ?, ?, ?) "
    "USING TIMESTAMP ?",
    "page": f"{_ROWS} AND (user_id, device_id) > (?, ?) LIMIT ?",
    "first_page": f"{_ROWS} LIMIT ?",
    "of_user": f"{_ROWS} AND user_id = ?",
}
_decoder = msgspec.json.Decoder(tuple[Platform, State, str | None, int, int, str | None])


class CassandraDeliveries:
    """A DeliveryLog."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        await together(self._cassandra.write(self._statements["record"], *_written(one)) for one in deliveries)

    async def of_message(self, message_id: str, after: tuple[str, str] | None, limit: int) -> list[Delivery]:
        """The first of each slice, of which the first of all are the page."""
        parts = await together(self._slice(message_id, number, after, limit) for number in range(SLICES))
        found = sorted((row for part in parts for row in part), key=lambda row: (row["user_id"], row["device_id"]))
        return [_delivery(row) for row in found[:limit]]

    async def of_user(self, message_id: str, user_id: str) -> list[Delivery]:
        place = (message_id, _slice_of(user_id))
        return [_delivery(row) for row in await self._cassandra.rows(self._statements["of_user"], *place, user_id)]

    async def _slice(self, message_id: str, number: int, after: tuple[str, str] | None, limit: int) -> list[Row]:
        if after is None:
            return await self._cassandra.rows(self._statements["first_page"], message_id, number, limit)
        return await self._cassandra.rows(self._statements["page"], message_id, number, *after, limit)


def _slice_of(user_id: str) -> int:
    return zlib.crc32(user_id.encode()) % SLICES


def _written(one: Delivery) -> tuple[Any, ...]:
    """The values of a write, the time under which it is written last."""
    message_id, user_id, device_id, *rest = one
    at = one.at * 1000 if one.is_end else one.at
    return message_id, _slice_of(user_id), user_id, device_id, msgspec.json.encode(rest), at


def _delivery(row: Row) -> Delivery:
    return Delivery(row["message_id"], row["user_id"], row["device_id"], *_decoder.decode(row["delivery"]))
