"""Sending over HTTP: `POST /messages` takes what a `send_message` frame takes, and many recipients."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct
from msgspec.structs import asdict

from push_workloads.common.errors import BadRequest, PushError, Unavailable
from push_workloads.common.http import Call, Route
from push_workloads.common.outgoing import Channel, Options, Outgoing, UserId
from push_workloads.common.sending import Send
from push_workloads.message.sender import Sender

MAX_RECIPIENTS: Final = 100


class NewMessage(Options, kw_only=True):
    """The fields of a `send_message` frame. `recipients` instead of `recipient_id`: the same to each of them, each
    once."""

    recipient_id: UserId | None = None
    recipients: Annotated[list[UserId], Meta(min_length=1, max_length=MAX_RECIPIENTS)] | None = None
    channel: Channel | None = None
    content: Raw


class Refusal(Struct, omit_defaults=True):
    """As in an error answer."""

    code: str
    message: str
    retry_after_ms: int | None = None


class Outcome(Struct, omit_defaults=True):
    """To which user, or which channel. `message_id` and `sent_at` when the message is stored, with `duplicate` when it
    was already; else `error`."""

    recipient_id: str | None = None
    channel: str | None = None
    message_id: str | None = None
    sent_at: int | None = None
    duplicate: bool = False
    error: Refusal | None = None


class Outcomes(Struct, omit_defaults=True):
    """One for each recipient, in the order asked for. `id` and `dedup_id` as they came."""

    results: list[Outcome]
    id: str | None = None
    dedup_id: str | None = None


def send_route(sender: Sender, max_bytes: int) -> Route:
    async def send(call: Call) -> Outcomes:
        asked: NewMessage = call.body
        messages = outgoings(asked)
        sent = await sender.send(call.bearer, messages)
        refused = [one for one in sent if isinstance(one, PushError)]
        if refused and (asked.recipients is None or _nothing_answers(refused, len(sent))):
            raise refused[0]
        results = [_outcome(message, one) for message, one in zip(messages, sent, strict=True)]
        return Outcomes(results, asked.id, asked.dedup_id)

    return Route(
        "POST",
        "/messages",
        send,
        "Sends a message; it is stored when the answer comes",
        Outcomes,
        body=NewMessage,
        max_bytes=max_bytes,
        errors=(403, 404, 409, 429),
        scope="publish",
    )


def outgoings(asked: NewMessage) -> list[Outgoing]:
    """One message for each recipient, or the one for the channel. Raises BadRequest."""
    targets = (asked.recipient_id, asked.recipients, asked.channel)
    if sum(target is not None for target in targets) != 1:
        raise BadRequest("one of the fields `recipient_id`, `recipients` and `channel` is required")
    options = {name: value for name, value in asdict(asked).items() if name in Options.__struct_fields__}
    if asked.channel is not None:
        return [Outgoing(channel=asked.channel, content=asked.content, **options)]
    recipients = asked.recipients or [asked.recipient_id or ""]
    if len(set(recipients)) < len(recipients):
        raise BadRequest("recipients: each only once")
    return [Outgoing(recipient_id=one, content=asked.content, **options) for one in recipients]


def _nothing_answers(refused: list[PushError], asked: int) -> bool:
    """The log took nothing at all: that is no answer about recipients."""
    return len(refused) == asked and all(isinstance(error, Unavailable) for error in refused)


def _outcome(message: Outgoing, one: Send | PushError) -> Outcome:
    outcome = Outcome(message.recipient_id, message.channel)
    if isinstance(one, PushError):
        outcome.error = Refusal(one.code, one.message, one.retry_after_ms)
    else:
        outcome.message_id, outcome.sent_at, outcome.duplicate = one.message_id, one.sent_at, one.duplicate
    return outcome
