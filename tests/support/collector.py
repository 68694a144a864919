"""A collector of traces: takes OTLP over HTTP, as a real one does, and keeps the spans."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Seen:
    """One span. `attributes` as text."""

    service: str
    instance: str
    name: str
    trace: str
    span: str
    parent: str
    start_ns: int
    end_ns: int
    failure: str
    attributes: dict[str, str]


class Collector:
    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Seen] = []
        self.refusals = 0  # so many requests are answered with 503

    def named(self, name: str) -> list[Seen]:
        return [one for one in self.spans if one.name == name]

    async def take(self, request: web.Request) -> web.Response:
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        assert request.content_type == "application/json"
        told = decoded(await request.read())
        for resource in told.resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for one in scope.spans:
                    self.spans.append(
                        Seen(
                            about["service.name"], about["service.instance.id"], one.name, one.trace_id.hex(),
                            one.span_id.hex(), one.parent_span_id.hex(), one.start_time_unix_nano,
                            one.end_time_unix_nano,
                            one.status.message if one.status.code == Status.STATUS_CODE_ERROR else "",
                            {each.key: each.value.string_value or str(each.value.int_value) for each in one.attributes},
                        )
                    )  # fmt: skip
        return web.json_response({})


def decoded(body: bytes) -> ExportTraceServiceRequest:
    """By OpenTelemetry's own definitions; what they do not know is refused. In OTLP's JSON ids are hex, where that of
    protobuf has base64 for bytes (OTLP specification 1, JSON Protobuf Encoding)."""
    return ParseDict(_with_base64(json.loads(body)), ExportTraceServiceRequest())


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key.endswith(("traceId", "spanId", "SpanId")) else
        _with_base64(one)
        for key, one in value.items()
    }  # fmt: skip


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Takes spans at `url` while open."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with TestServer(app) as server:
        collector.url = f"http://127.0.0.1:{server.port}"
        yield collector
