"""Answers questions over the bus (`common/questions.py`), some at a time."""

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
from push_workloads.common.questions import Failure

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
