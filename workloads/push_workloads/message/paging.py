"""The `limit` of pages over HTTP."""

from __future__ import annotations

from typing import Final

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query
from push_workloads.message.model import DEFAULT_PAGE, MAX_PAGE

LIMIT: Final = Query(
    "limit",
    f"how many, 1 to {MAX_PAGE}; {DEFAULT_PAGE} when left out",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
)


def limit_of(call: Call) -> int:
    text = call.query.get("limit")
    if text is None:
        return DEFAULT_PAGE
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) else 0
    if not 1 <= number <= MAX_PAGE:
        raise BadRequest(f"limit: a whole number from 1 to {MAX_PAGE}")
    return number
