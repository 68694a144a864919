"""Spans as a collector takes them: OTLP 1, JSON over HTTP. Pure.

Written here and not by OpenTelemetry's library: that is 3 MiB in every process as soon as it is installed, as others
import it too, and a thread; this is one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from push_workloads.common.tracing import Kind

PATH: Final = "/v1/traces"
CONTENT_TYPE: Final = "application/json"
SCOPE: Final = "push_workloads"
_FAILED: Final = 2  # STATUS_CODE_ERROR
_encode: Final = msgspec.json.Encoder().encode


class Ended(NamedTuple):
    """A span that is over. `parent` "" for the first of a trace; `failure` "" when all went well."""

    trace: str
    span: str
    parent: str
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int]
    failure: str


def request(service: str, instance: str, spans: Iterable[Ended]) -> bytes:
    """The body of one export."""
    resource = _attributes({"service.name": f"push-{service}", "service.instance.id": instance})
    scoped = {"scope": {"name": SCOPE}, "spans": [_span(one) for one in spans]}
    return _encode({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scoped]}]})


def _span(one: Ended) -> dict[str, Any]:
    return {
        "traceId": one.trace,
        "spanId": one.span,
        **({"parentSpanId": one.parent} if one.parent else {}),
        "name": one.name,
        "kind": int(one.kind),
        "startTimeUnixNano": str(one.start_ns),  # as text: JSON's numbers end at 2^53
        "endTimeUnixNano": str(one.end_ns),
        "attributes": _attributes(one.attributes),
        **({"status": {"code": _FAILED, "message": one.failure}} if one.failure else {}),
    }


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | int) -> dict[str, str]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
