"""Answers questions over the bus (`common/questions.py`): so many at a time, the others wait in line, in bounds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from push_workloads.common import questions
from push_workloads.common.errors import PushError
from push_workloads.common.measures import DONE, Questions
from push_workloads.common.questions import Failure
from push_workloads.common.tasks import Spawner

AT_ONCE: Final = 64  # of each question
WAITING: Final = 1024  # beyond them they are dropped: whoever asked has given up by then, and asks again
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Question(NamedTuple):
    """On which subject, what is asked, and who answers; an error of ours becomes a Failure."""

    subject: str
    kind: type[Any]
    answer: Callable[[Any], Awaitable[questions.Answer]]


@asynccontextmanager
async def answering(client: Client, *asked: Question, measures: Questions) -> AsyncIterator[None]:
    """While the context is open; what is under way at its end is cancelled, and asked again of another replica."""
    spawner = Spawner()
    subscriptions = [
        await client.subscribe(
            question.subject,
            queue=questions.QUEUE,
            cb=_answerer(question, spawner, measures),
            pending_msgs_limit=WAITING,
        )
        for question in asked
    ]
    try:
        yield
    finally:
        if client.is_connected:
            await asyncio.gather(*(one.unsubscribe() for one in subscriptions), return_exceptions=True)
        await spawner.close()


def _outcome(made: questions.Answer | None) -> str:
    """None: it could not be answered at all."""
    if made is None:
        return PushError.code
    return made.code if isinstance(made, Failure) else DONE


def _answerer(question: Question, spawner: Spawner, measures: Questions) -> Callable[[Msg], Awaitable[None]]:
    slots = asyncio.Semaphore(AT_ONCE)
    decoder = msgspec.json.Decoder(question.kind)

    async def answer(message: Msg, began: float) -> None:
        made: questions.Answer | None = None
        try:
            made = await question.answer(decoder.decode(message.data))
        except PushError as error:
            made = Failure(error.code, error.message, error.retry_after_ms)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            made = Failure("bad_request", str(error))
        finally:
            slots.release()
            measures.answered(question.subject, _outcome(made), time.monotonic() - began)
        try:
            await message.respond(_encode(made))
        except NatsError as error:
            _log.warning("a question could not be answered: %s", error, extra={"subject": question.subject})

    async def asked(message: Msg) -> None:
        began = time.monotonic()
        await slots.acquire()
        spawner.spawn(answer(message, began))

    return asked
