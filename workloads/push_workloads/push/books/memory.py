"""The twin in memory, for tests. Keeps for ever."""

from __future__ import annotations

from collections.abc import Mapping

from push_workloads.push.requests import Request, Stage
from push_workloads.push.templates import Template


class MemoryBooks:
    """A TemplateStore and a RequestStore."""

    def __init__(self) -> None:
        self._templates: dict[str, Template] = {}
        self._requests: dict[str, Request] = {}

    async def templates(self) -> Mapping[str, Template]:
        return dict(self._templates)

    async def put_template(self, name: str, template: Template) -> None:
        self._templates[name] = template

    async def remove_template(self, name: str) -> bool:
        return self._templates.pop(name, None) is not None

    async def add_request(self, request: Request) -> Request | None:
        held = self._requests.setdefault(request.push_id, request)
        return None if held is request else held

    async def request(self, push_id: str) -> Request | None:
        return self._requests.get(push_id)

    async def move_request(self, push_id: str, before: Stage, after: Stage) -> bool:
        held = self._requests.get(push_id)
        if held is None or held.stage is not before:
            return False
        self._requests[push_id] = held._replace(stage=after)
        return True
