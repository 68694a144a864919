"""The ports. Each method may raise Unavailable; a write that returned survives a crash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from push_workloads.push.requests import Request, Stage
from push_workloads.push.templates import Template

KEEP_DAYS: Final = (
    62  # of a request, from when it was made: 30 days ahead, and as long as its deliveries are kept after
)


class TemplateStore(Protocol):
    async def templates(self) -> Mapping[str, Template]:
        """All of them by name: there are at most MAX_TEMPLATES, but for a few that were made at the same moment."""

    async def put_template(self, name: str, template: Template) -> None:
        """Adds or replaces it."""

    async def remove_template(self, name: str) -> bool:
        """Whether there was one."""


class RequestStore(Protocol):
    """Kept for KEEP_DAYS."""

    async def add_request(self, request: Request) -> Request | None:
        """None when it was added, else the one of this id that is there already."""

    async def request(self, push_id: str) -> Request | None: ...

    async def move_request(self, push_id: str, before: Stage, after: Stage) -> bool:
        """Whether it was at `before`, and so is at `after` now."""


class Books(TemplateStore, RequestStore, Protocol):
    """What one adapter keeps."""
