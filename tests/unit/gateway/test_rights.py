"""What gateways keep of answers about rights: order, and what happens while nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from nats.errors import NoRespondersError

from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import TopicAsked, TopicRights
from push_workloads.common.tasks import Spawner
from push_workloads.gateway.rights import AWAY_SECONDS, KEEP_SECONDS, Kept, Rights


class World:
    """A clock, and answers that come when they are let go."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.answer: int | None = 1
        self.go = asyncio.Event()
        self.spawner = Spawner()
        self.kept: Kept[str, int] = Kept(self.spawner, lambda: self.now)
        self.heard: list[tuple[str, int | None]] = []

    async def ask(self) -> int:
        self.asked += 1
        answer = self.answer
        await self.go.wait()
        if answer is None:
            raise Unavailable("away")
        return answer

    def get(self, name: str, key: str = "k") -> None:
        self.kept.get(key, self.ask, lambda value: self.heard.append((name, value)))

    async def settle(self) -> None:
        self.go.set()
        for _ in range(10):
            await asyncio.sleep(0)


async def test_those_who_ask_together_share_a_question_and_are_answered_in_order() -> None:
    world = World()
    for name in "abc":
        world.get(name)
    assert world.heard == []
    await world.settle()
    world.get("d")
    assert (world.asked, world.heard) == (1, [(name, 1) for name in "abcd"])
    world.now += KEEP_SECONDS
    world.get("e")
    await world.settle()
    assert world.asked == 2


@pytest.mark.parametrize("drop", [lambda kept: kept.drop("k"), lambda kept: kept.drop_all()])
async def test_what_is_dropped_is_asked_again_also_when_its_answer_was_on_its_way(
    drop: Callable[[Kept[str, int]], None],
) -> None:
    world = World()
    world.get("a")
    await asyncio.sleep(0)
    drop(world.kept)
    await world.settle()
    assert world.heard == [("a", 1)]
    world.answer = 2
    world.get("b")
    await world.settle()
    assert world.heard[-1] == ("b", 2)
    drop(world.kept)
    world.get("c")
    await world.settle()
    assert world.asked == 3


async def test_while_nobody_answers_what_was_known_last_counts_and_few_ask() -> None:
    world = World()
    world.get("a")
    await world.settle()
    world.now += KEEP_SECONDS
    world.answer = None
    world.get("b")
    await world.settle()
    world.get("c")
    world.get("d", key="other")
    assert world.heard[1:] == [("b", 1), ("c", 1), ("d", None)]
    assert world.asked == 2
    world.now += AWAY_SECONDS
    world.answer = 3
    world.get("e")
    await world.settle()
    assert world.heard[-1] == ("e", 3)


class MessageService:
    """Answers about topics: everyone's, or listed users'."""

    def __init__(self, listed: set[str] | None) -> None:
        self.listed = listed
        self.asked: list[str] = []

    async def request(self, subject: str, payload: bytes, timeout: float) -> Any:
        question = msgspec.json.decode(payload, type=TopicAsked)
        self.asked.append(question.user_id)
        if question.topic == "away":
            raise NoRespondersError
        may = self.listed is None or question.user_id in self.listed
        answer = TopicRights(read=may, write=False, for_everyone=self.listed is None)
        return SimpleNamespace(data=msgspec.json.encode(answer))


async def rights_of(service: MessageService, *users: str, topic: str = "t") -> list[bool | None]:
    spawner = Spawner()
    rights = Rights(cast(Any, service), spawner)
    heard: list[bool | None] = []
    for user in users:
        rights.on_topic(user, topic, lambda found: heard.append(found.read if found is not None else None))
        for _ in range(10):
            await asyncio.sleep(0)
    return heard


async def test_a_policy_that_is_everyones_is_asked_once() -> None:
    service = MessageService(None)
    assert await rights_of(service, "ann", "bob", "cid") == [True, True, True]
    assert service.asked == ["ann"]


async def test_a_policy_with_names_is_asked_for_each() -> None:
    service = MessageService({"bob"})
    assert await rights_of(service, "ann", "bob", "ann", "bob") == [False, True, False, True]
    assert service.asked == ["ann", "ann", "bob"]


async def test_a_topic_of_which_nobody_tells_is_nobodys_for_now() -> None:
    assert await rights_of(MessageService(None), "ann", "bob", topic="away") == [None, None]
