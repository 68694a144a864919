"""Templates and requests in Cassandra: the store that replicas share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from push_workloads.common.cassandra import Cassandra, Statement
from push_workloads.push.books.ports import KEEP_DAYS
from push_workloads.push.requests import Request, Stage
from push_workloads.push.templates import Template

MIGRATIONS: Final = (
    # One partition: they are always read together.
    """
    CREATE TABLE IF NOT EXISTS {ks}.push_templates (one text, name text, template blob, PRIMARY KEY (one, name))
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.push_requests (
      push_id text PRIMARY KEY, digest blob, users int, created_at bigint, send_at bigint, stage text
    )
    """,
)
_ONE: Final = "push"
_TTL: Final = KEEP_DAYS * 86_400
STATEMENTS: Final = {
    "templates": "SELECT name, template FROM {ks}.push_templates WHERE one = ? LIMIT 5000",
    "put_template": "INSERT INTO {ks}.push_templates (one, name, template) VALUES (?, ?, ?)",
    "remove_template": "DELETE FROM {ks}.push_templates WHERE one = ? AND name = ?",
    "add_request": """
        INSERT INTO {ks}.push_requests (push_id, digest, users, created_at, send_at, stage)
        VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?""",
    "request": "SELECT push_id, digest, users, created_at, send_at, stage FROM {ks}.push_requests WHERE push_id = ?",
    "move_request": "UPDATE {ks}.push_requests USING TTL ? SET stage = ? WHERE push_id = ? IF stage = ?",
}


class CassandraBooks:
    """A TemplateStore and a RequestStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def templates(self) -> Mapping[str, Template]:
        rows = await self._cassandra.rows(self._statements["templates"], _ONE)
        return {row["name"]: msgspec.json.decode(row["template"], type=Template) for row in rows}

    async def put_template(self, name: str, template: Template) -> None:
        encoded = msgspec.json.encode(template)
        await self._cassandra.write(self._statements["put_template"], _ONE, name, encoded)

    async def remove_template(self, name: str) -> bool:
        there = name in await self.templates()
        await self._cassandra.write(self._statements["remove_template"], _ONE, name)
        return there

    async def add_request(self, request: Request) -> Request | None:
        stands = await self._cassandra.write_if(self._statements["add_request"], *request, _TTL)
        return None if stands is None else _request(stands)

    async def request(self, push_id: str) -> Request | None:
        row = await self._cassandra.row(self._statements["request"], push_id)
        # A row whose other columns have expired is one that was moved late in its life.
        return _request(row) if row and row["digest"] is not None else None

    async def move_request(self, push_id: str, before: Stage, after: Stage) -> bool:
        moved = (after, push_id, before)
        return await self._cassandra.write_if(self._statements["move_request"], _TTL, *moved) is None


def _request(row: Mapping[str, object]) -> Request:
    made = Request(**row)  # type: ignore[arg-type]  # its columns are the fields
    return made._replace(stage=Stage(made.stage))
