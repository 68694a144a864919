"""Spans on their way to a collector: kept for a second, sent together, and dropped when nobody takes them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from push_workloads.common.otlp import CONTENT_TYPE, PATH, Ended, request
from push_workloads.common.tasks import beside
from push_workloads.common.tracing import Kind, TracingConfig, parent_of

EVERY_SECONDS: Final = 1.0
SEND_SECONDS: Final = 2.0  # for one request; what is not taken by then is lost, and said
MAX_WAITING: Final = 4096  # spans; those beyond are lost, and said
_log = logging.getLogger(__name__)


class SentSpan:
    """One that is kept for the collector when it ends."""

    __slots__ = ("_attributes", "_keep", "_kind", "_name", "_parent", "_span", "_start_ns", "_trace")

    def __init__(
        self, keep: SpanKeeper, name: str, kind: Kind, parent: str | None, start_ns: int | None,
        attributes: Mapping[str, str | int],
    ) -> None:  # fmt: skip
        above = parent_of(parent)
        self._keep, self._name, self._kind, self._attributes = keep, name, kind, attributes
        self._trace = above.trace if above is not None else os.urandom(16).hex()
        self._parent = above.span if above is not None else ""
        self._span = os.urandom(8).hex()
        self._start_ns = time.time_ns() if start_ns is None else start_ns

    @property
    def traceparent(self) -> str:
        return f"00-{self._trace}-{self._span}-01"

    def end(self, failure: str | None = None) -> None:
        self._keep.ended(
            Ended(
                self._trace, self._span, self._parent, self._name, self._kind,
                self._start_ns, max(self._start_ns, time.time_ns()), self._attributes, failure or "",
            )
        )  # fmt: skip


class SpanKeeper:
    """Begins spans, keeps those that have ended, and sends them."""

    def __init__(self, session: ClientSession, endpoint: str, service: str, instance: str) -> None:
        self._session, self._url = session, endpoint + PATH
        self._service, self._instance = service, instance
        self._waiting: list[Ended] = []
        self._lost = 0
        self._told = False  # that the collector is away

    def begin(
        self, name: str, kind: Kind, parent: str | None, *, start_ns: int | None = None,
        attributes: Mapping[str, str | int] | None = None,
    ) -> SentSpan:  # fmt: skip
        return SentSpan(self, name, kind, parent, start_ns, attributes or {})

    def ended(self, span: Ended) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(span)
        else:
            self._lost += 1

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Sends what waits; what is not taken is not kept."""
        spans, self._waiting = self._waiting, []
        if not spans:
            return
        body = request(self._service, self._instance, spans)
        try:
            async with self._session.post(self._url, data=body, headers={"Content-Type": CONTENT_TYPE}) as answer:
                answer.raise_for_status()
        except (ClientError, TimeoutError, OSError) as error:
            self._failed(len(spans), str(error) or type(error).__name__)
        else:
            self._back()

    def _failed(self, spans: int, reason: str) -> None:
        self._lost += spans
        if not self._told:
            _log.warning("the collector of traces takes nothing: %s", reason, extra={"url": self._url})
        self._told = True

    def _back(self) -> None:
        if self._lost:
            _log.warning("spans were lost", extra={"spans": self._lost})
        self._lost, self._told = 0, False


@asynccontextmanager
async def tracing(config: TracingConfig, service: str, instance: str) -> AsyncIterator[SpanKeeper | None]:
    """What begins spans, None when it is off. On the way out, what has ended is still sent."""
    if config.endpoint is None:
        yield None
        return
    async with ClientSession(timeout=ClientTimeout(total=SEND_SECONDS)) as session:
        keeper = SpanKeeper(session, config.endpoint, service, instance)
        try:
            async with beside(keeper.run()):
                yield keeper
        finally:
            await keeper.flush()
