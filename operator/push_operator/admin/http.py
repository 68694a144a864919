"""Gateways over HTTP: all are asked at once, and those that hang cost the others nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from push_operator.admin.fetch import Answer, Unanswered, ask, keeping
from push_operator.admin.port import Order
from push_operator.admin.stats import Nonsense, parse_object, parse_stats
from push_operator.admin.told import Told
from push_operator.errors import ClusterError, Conflict
from push_operator.fleet.values import Sample

MAX_WORDS: Final = 200  # characters of a gateway's own words in an error
MAX_SILENT: Final = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """`answer_seconds` of one gateway, `all_seconds` of a whole round, which asks `at_once` at a time."""

    at_once: int = 200
    answer_seconds: float = 2.0
    all_seconds: float = 3.0
    body_bytes: int = 64 * 1024


@asynccontextmanager
async def http_gateways(clock: Callable[[], float], limits: Limits | None = None) -> AsyncIterator[HttpGateways]:
    """Gateways whose connections are kept while the context is open. `clock` gives the samples' times."""
    async with keeping() as session:
        yield HttpGateways(session, clock, limits or Limits())


class HttpGateways:
    """The port `Gateways`."""

    def __init__(self, session: aiohttp.ClientSession, clock: Callable[[], float], limits: Limits) -> None:
        self._session = session
        self._clock = clock
        self._limits = limits
        self._room = asyncio.Semaphore(limits.at_once)
        self._silent: set[str] = set()
        self._told = Told()

    async def stats(self, addresses: Mapping[str, str]) -> Mapping[str, Sample]:
        samples = await self._round(self._in_turn(addresses))
        self._remember(addresses.keys(), samples.keys())
        return samples

    async def drain(self, address: str, rate: float, order: Order) -> None:
        await self._order(address, "drain", {"rate": rate}, order)

    async def stay(self, address: str, order: Order) -> None:
        await self._order(address, "undrain", {}, order)

    async def shed(self, address: str, connections: int, rate: float, order: Order) -> None:
        await self._order(address, "shed", {"connections": connections, "rate": rate}, order)

    def _in_turn(self, addresses: Mapping[str, str]) -> list[tuple[str, str]]:
        """Who was silent is asked last: where there are more than can be asked at once, those that hang would use up
        the time of those that answer."""
        return sorted(addresses.items(), key=lambda item: item[0] in self._silent)

    def _remember(self, asked: Iterable[str], answered: Iterable[str]) -> None:
        if len(self._silent) > MAX_SILENT:  # names of gateways that are long gone; only an order is lost with them
            self._silent.clear()
        self._silent |= set(asked)
        self._silent -= set(answered)

    async def _round(self, asked: list[tuple[str, str]]) -> dict[str, Sample]:
        """The samples that are there after `all_seconds` at the latest; no question outlives the round."""
        if not asked:
            return {}
        tasks = {name: asyncio.ensure_future(self._sample(name, address)) for name, address in asked}
        try:
            await asyncio.wait(tasks.values(), timeout=self._limits.all_seconds)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        made = {name: None if task.cancelled() else task.result() for name, task in tasks.items()}
        return {name: sample for name, sample in made.items() if sample is not None}

    async def _sample(self, name: str, address: str) -> Sample | None:
        async with self._room:
            at = self._clock()
            try:
                answer = await self._ask(f"{address}/stats")
                if answer.status != 200:
                    raise Unanswered(f"answers {answer.status}")
                return Sample(at, parse_stats(answer.body))
            except Unanswered as why:
                self._tell(logging.INFO, name, str(why))  # one that starts or ends does so too
            except Nonsense as why:
                self._tell(logging.WARNING, name, f"says what cannot be: {why}")
        return None

    def _tell(self, level: int, name: str, why: str) -> None:
        if self._told.anew(name, why, self._clock()):
            _log.log(level, "no numbers of gateway %s: it %s", name, why)

    async def _order(self, address: str, verb: str, body: Mapping[str, Any], order: Order) -> None:
        """Raises Conflict or ClusterError; the token is in neither, whatever the gateway says."""
        try:
            answer = await self._ask(
                f"{address}/{verb}",
                json={**body, "epoch": order.epoch},
                headers={"Authorization": f"Bearer {order.token}"},
            )
        except Unanswered as why:
            raise ClusterError(f"the gateway at {address} does not take the order to {verb}: it {why}") from None
        if not 200 <= answer.status < 300:
            raise _refusal(address, verb, answer, order.token)

    async def _ask(self, url: str, **question: Any) -> Answer:
        limits = self._limits
        return await ask(self._session, url, seconds=limits.answer_seconds, max_bytes=limits.body_bytes, **question)


def _refusal(address: str, verb: str, answer: Answer, token: str) -> ClusterError:
    words = _words(answer.body, token)
    said = f"the gateway at {address} refuses to {verb}: it answers {answer.status}{words and f', {words}'}"
    if answer.status in (401, 403):
        return ClusterError(f"{said}; it started with another token: restart it")
    return Conflict(said) if answer.status == 409 else ClusterError(said)


def _words(body: bytes, token: str) -> str:
    """What the gateway says, on one line, short, and without the token if it repeats that."""
    try:
        said = str(parse_object(body).get("error", ""))
    except Nonsense:
        said = body.decode("utf-8", "replace")
    if token:
        said = said.replace(token, "…")
    return " ".join("".join(one if one.isprintable() else " " for one in said).split())[:MAX_WORDS]
