"""Templates over HTTP."""

from __future__ import annotations

from dataclasses import replace

from msgspec import Struct

from push_workloads.common.errors import Conflict, NotFound
from push_workloads.common.http import Call, Route, service_only
from push_workloads.push.books.ports import TemplateStore
from push_workloads.push.templates import BUILT_IN, MAX_TEMPLATES, Template, Text, check, checked_name


class TemplateView(Struct):
    """`stored`: by this API; else it is the one that is built in."""

    name: str
    default: Text
    locales: dict[str, Text]
    silent: bool
    stored: bool


class TemplateList(Struct):
    templates: list[TemplateView]


def template_routes(store: TemplateStore) -> list[Route]:
    async def listed(call: Call) -> TemplateList:
        service_only(call)
        stored = await store.templates()
        return TemplateList([_view(name, one, name in stored) for name, one in sorted({**BUILT_IN, **stored}.items())])

    async def one(call: Call) -> TemplateView:
        service_only(call)
        name, stored = call.path["name"], await store.templates()
        template = stored.get(name) or BUILT_IN.get(name)
        if template is None:
            raise NotFound("there is no such template")
        return _view(name, template, name in stored)

    async def put(call: Call) -> TemplateView:
        service_only(call)
        name, template = checked_name(call.path["name"]), call.body
        check(template)
        stored = await store.templates()
        if name not in stored and len(stored) >= MAX_TEMPLATES:
            raise Conflict(f"there are at most {MAX_TEMPLATES} templates: remove one")
        await store.put_template(name, template)
        return _view(name, template, stored=True)

    async def remove(call: Call) -> None:
        service_only(call)
        if not await store.remove_template(call.path["name"]):
            raise NotFound("there is no such template; what is built in stays")

    path = "/push/templates/{name}"
    routes = [
        Route("GET", "/push/templates", listed, "All templates", TemplateList, errors=(403,)),
        Route("GET", path, one, "A template", TemplateView, errors=(403, 404)),
        Route("PUT", path, put, "Makes or replaces a template", TemplateView, body=Template, errors=(403, 409)),
        Route("DELETE", path, remove, "Removes it; the built-in one, if any, is back", None, errors=(403, 404)),
    ]
    return [replace(route, scope="push") for route in routes]


def _view(name: str, template: Template, stored: bool) -> TemplateView:
    return TemplateView(name, template.default, template.locales, template.silent, stored)
