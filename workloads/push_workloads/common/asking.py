"""Asks the message service over the bus (`questions.py`)."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from push_workloads.common import questions
from push_workloads.common.bus import REQUEST_SECONDS
from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import Failure

_A = TypeVar("_A", bound=Struct)
_encode = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(questions.Answer).decode


async def request(client: Client, subject: str, question: object) -> Any:
    """One question, and whatever the answer is. Raises Unavailable when nobody answers it."""
    try:
        return _decode((await client.request(subject, _encode(question), timeout=REQUEST_SECONDS)).data)
    except (NatsError, TimeoutError, msgspec.DecodeError) as error:
        raise Unavailable("the message service does not answer", retry_after_ms=1000) from error


async def ask(client: Client, subject: str, question: object, kind: type[_A]) -> _A:
    """The same for an answer of one kind. Raises Unavailable when there is another one, or none."""
    answer = await request(client, subject, question)
    if isinstance(answer, Failure):
        raise Unavailable(answer.message, retry_after_ms=answer.retry_after_ms)
    if not isinstance(answer, kind):
        raise Unavailable("the message service gives no answer", retry_after_ms=1000)
    return answer
