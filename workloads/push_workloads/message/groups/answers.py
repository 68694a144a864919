"""Answers what gateways ask over the bus (`common/questions.py`): groups of a user, rights on a topic, blocks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from push_workloads.common import questions
from push_workloads.common.errors import PushError
from push_workloads.common.questions import Blocks, Failure, Membership, Memberships, TopicAsked, TopicRights, UserAsked
from push_workloads.message.groups import policies
from push_workloads.message.groups.permits import Permits
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER
from push_workloads.message.groups.store import GroupStore

MAX_BLOCKS: Final = 1000
AT_ONCE: Final = 256
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
Answerer = Callable[[Any], Awaitable[questions.Answer]]


async def answer(client: Client, subject: str, kind: type[Any], answerer: Answerer) -> None:
    """Answers questions on a subject, some at a time; whatever fails is answered by a Failure."""
    decoder = msgspec.json.Decoder(kind)
    slots = asyncio.Semaphore(AT_ONCE)
    running: set[asyncio.Task[None]] = set()

    async def one(message: Msg) -> None:
        async with slots:
            try:
                made = await answerer(decoder.decode(message.data))
            except PushError as error:
                made = Failure(error.code, error.message, error.retry_after_ms)
            except (msgspec.DecodeError, UnicodeError, ValueError) as error:
                made = Failure("bad_request", str(error))
            try:
                await message.respond(_encode(made))
            except NatsError as error:
                _log.warning("a question could not be answered: %s", error, extra={"subject": subject})

    async def asked(message: Msg) -> None:
        task = asyncio.create_task(one(message))
        running.add(task)
        task.add_done_callback(running.discard)

    await client.subscribe(subject, queue=questions.QUEUE, cb=asked)


async def answer_gateways(client: Client, store: GroupStore, permits: Permits) -> None:
    """From now on."""

    async def memberships(asked: UserAsked) -> Memberships:
        mine = await store.memberships(asked.user_id, MAX_GROUPS_OF_USER)
        return Memberships(
            [Membership(one.group_id, one.role, one.epoch, one.seq, group.members) for one, group in mine]
        )

    async def topic(asked: TopicAsked) -> TopicRights:
        policy = await permits.policy(asked.topic)
        return TopicRights(
            read=policies.may_read(policy, asked.user_id),
            write=policies.may_write(policy, asked.user_id),
            for_everyone=policies.for_everyone(policy),
        )

    async def blocks(asked: UserAsked) -> Blocks:
        return Blocks(await store.blocks(asked.user_id, MAX_BLOCKS))

    await answer(client, questions.MEMBERSHIPS, UserAsked, memberships)
    await answer(client, questions.TOPIC, TopicAsked, topic)
    await answer(client, questions.BLOCKS, UserAsked, blocks)
