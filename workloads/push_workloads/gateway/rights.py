"""What the message service says of rights, asked over the bus and kept for a while.

Messages flow without the message service: who blocks whom is then what was known last, or nobody. Groups wait for it;
topics are refused for the moment. While it does not answer it is asked about once a second, not by everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from push_workloads.common import questions
from push_workloads.common.asking import ask
from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import (
    Blocks,
    Known,
    KnownAsked,
    KnownMessage,
    Membership,
    Memberships,
    TopicAsked,
    TopicRights,
    UserAsked,
    Watchable,
    WatchAsked,
)
from push_workloads.common.subjects import identifier
from push_workloads.common.tasks import Spawner

KEEP_SECONDS: Final = 60.0
AWAY_SECONDS: Final = 1.0  # when nobody answered: so long nobody asks
MAX_KEPT: Final = 100_000
ASKS_AT_ONCE: Final = 128
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_A = TypeVar("_A", bound=Struct)


class Kept(Generic[_Key, _Value]):
    """Answers by key. Those who ask for the same at the same time share a question, and are answered in the order in
    which they asked, before anybody who asks later."""

    def __init__(self, spawner: Spawner, clock: Callable[[], float]) -> None:
        self._spawner = spawner
        self._clock = clock
        self._away_until = 0.0
        self._values: dict[_Key, tuple[float, _Value]] = {}
        self._waiting: dict[_Key, list[Callable[[_Value | None], None]]] = {}
        self._void: set[_Key] = set()

    def get(self, key: _Key, ask: Callable[[], Awaitable[_Value]], answer: Callable[[_Value | None], None]) -> None:
        """Calls `answer` at once when it is known, else later; with what was known last, or None, when nobody tells."""
        held = self._values.get(key)
        if key in self._waiting:
            self._waiting[key].append(answer)
        elif held is not None and max(held[0], self._away_until) > self._clock():
            answer(held[1])
        elif self._away_until > self._clock():
            answer(None)
        else:
            self._waiting[key] = [answer]
            self._spawner.spawn(self._ask(key, ask))

    def drop(self, key: _Key) -> None:
        """What is kept is void, and so is an answer that is on its way."""
        self._values.pop(key, None)
        if key in self._waiting:
            self._void.add(key)

    def drop_all(self) -> None:
        self._values.clear()
        self._void |= self._waiting.keys()

    async def _ask(self, key: _Key, ask: Callable[[], Awaitable[_Value]]) -> None:
        held = self._values.get(key)
        value = held[1] if held is not None else None
        try:
            value = await ask()
            if key not in self._void:
                self._keep(key, value)
        except Unavailable:
            self._away_until = self._clock() + AWAY_SECONDS
        finally:
            self._void.discard(key)
            for answer in self._waiting.pop(key):
                answer(value)

    def _keep(self, key: _Key, value: _Value) -> None:
        self._values.pop(key, None)  # so that the oldest stand first
        self._values[key] = (self._clock() + KEEP_SECONDS, value)
        if len(self._values) > MAX_KEPT:
            del self._values[next(iter(self._values))]


class Rights:
    """Of all sessions of this process."""

    def __init__(self, client: Client, spawner: Spawner, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._asks = asyncio.Semaphore(ASKS_AT_ONCE)
        self._blocks: Kept[str, frozenset[str]] = Kept(spawner, clock)
        self._topics: Kept[str, TopicRights] = Kept(spawner, clock)  # as far as they are everyone's
        self._topics_of: Kept[tuple[str, str], TopicRights] = Kept(spawner, clock)

    async def listen(self, on_topics: Callable[[], None], on_user: Callable[[str], None]) -> None:
        """From now on what is kept is dropped when the message service says so; `on_topics`: policies have changed;
        `on_user`: who may watch this user, or whom this user may watch."""

        async def blocks_changed(message: Msg) -> None:
            user_id = identifier(message.subject.removeprefix(questions.BLOCKS_CHANGED))
            self._blocks.drop(user_id)
            on_user(user_id)

        async def privacy_changed(message: Msg) -> None:
            on_user(identifier(message.subject.removeprefix(questions.PRIVACY_CHANGED)))

        async def topics_changed(message: Msg) -> None:
            self._drop_topics()
            on_topics()

        await self._client.subscribe(questions.BLOCKS_CHANGED + "*", cb=blocks_changed)
        await self._client.subscribe(questions.PRIVACY_CHANGED + "*", cb=privacy_changed)
        await self._client.subscribe(questions.TOPICS_CHANGED, cb=topics_changed)

    def lost(self) -> None:
        """The bus is away: changes may be missed."""
        self._blocks.drop_all()
        self._drop_topics()

    def _drop_topics(self) -> None:
        self._topics.drop_all()
        self._topics_of.drop_all()

    async def memberships(self, user_id: str) -> list[Membership]:
        """The groups of a user. Raises Unavailable."""
        return (await self._ask(questions.MEMBERSHIPS, UserAsked(user_id), Memberships)).groups

    def takes_from(self, recipient_id: str, sender_id: str, answer: Callable[[bool], None]) -> None:
        """Whether the recipient takes direct messages from the sender."""

        async def ask() -> frozenset[str]:
            return frozenset((await self._ask(questions.BLOCKS, UserAsked(recipient_id), Blocks)).user_ids)

        self._blocks.get(recipient_id, ask, lambda blocked: answer(blocked is None or sender_id not in blocked))

    def on_topic(self, user_id: str, topic: str, answer: Callable[[TopicRights | None], None]) -> None:
        """What a user may do on a topic; None when nobody tells."""

        async def ask() -> TopicRights:
            return await self._ask(questions.TOPIC, TopicAsked(user_id, topic), TopicRights)

        def told(rights: TopicRights | None) -> None:
            if rights is None or rights.for_everyone:
                answer(rights)
            else:
                self._topics_of.get((user_id, topic), ask, answer)

        self._topics.get(topic, ask, told)

    async def may_watch(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Of each pair whether the first user may see the second's presence. Raises Unavailable."""
        allowed = (await self._ask(questions.WATCH, WatchAsked(list(pairs)), Watchable)).allowed
        if len(allowed) != len(pairs):
            raise Unavailable("the message service gives no answer", retry_after_ms=1000)
        return allowed

    async def known(self, subject: str, message_id: str) -> KnownMessage | None:
        """A message of a channel that is stored already, None when it is not. Raises Unavailable."""
        found = (await self._ask(questions.KNOWN, KnownAsked(subject, [message_id]), Known)).messages
        return found[0] if found else None

    async def _ask(self, subject: str, question: object, kind: type[_A]) -> _A:
        async with self._asks:
            return await ask(self._client, subject, question, kind)
