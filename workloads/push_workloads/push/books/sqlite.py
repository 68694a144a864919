"""Templates and requests in one SQLite file: the embedded store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from push_workloads.push.books.ports import KEEP_DAYS
from push_workloads.push.requests import Request, Stage
from push_workloads.push.rows import Rows
from push_workloads.push.templates import Template

MIGRATIONS: Final = (
    """
    CREATE TABLE templates (name TEXT PRIMARY KEY, template BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE requests (
      push_id TEXT PRIMARY KEY, digest BLOB NOT NULL, users INTEGER NOT NULL, created_at INTEGER NOT NULL,
      send_at INTEGER, stage TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX requests_by_age ON requests (created_at);
    """,
)
_REQUEST: Final = "SELECT push_id, digest, users, created_at, send_at, stage FROM requests WHERE push_id = ?"
_DAY_MS: Final = 86_400_000
_decode: Final = msgspec.json.Decoder(Template).decode


class SqliteBooks:
    """A TemplateStore and a RequestStore."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def templates(self) -> Mapping[str, Template]:
        return {name: _decode(text) for name, text in await self._rows.read("SELECT name, template FROM templates")}

    async def put_template(self, name: str, template: Template) -> None:
        await self._rows.write("INSERT OR REPLACE INTO templates VALUES (?, ?)", name, msgspec.json.encode(template))

    async def remove_template(self, name: str) -> bool:
        return bool(await self._rows.write("DELETE FROM templates WHERE name = ?", name))

    async def add_request(self, request: Request) -> Request | None:
        """Each takes some that are too old with it, so that the file does not grow for ever."""
        old = request.created_at - KEEP_DAYS * _DAY_MS
        await self._rows.write("DELETE FROM requests WHERE created_at < ?", old)
        if await self._rows.write("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, ?)", *request):
            return None
        return await self.request(request.push_id) or request  # those of 62 days ago may just have gone

    async def request(self, push_id: str) -> Request | None:
        rows = await self._rows.read(_REQUEST, push_id)
        if not rows:
            return None
        made = Request(*rows[0])
        return made._replace(stage=Stage(made.stage))

    async def move_request(self, push_id: str, before: Stage, after: Stage) -> bool:
        moved = "UPDATE requests SET stage = ? WHERE push_id = ? AND stage = ?"
        return bool(await self._rows.write(moved, after, push_id, before))
