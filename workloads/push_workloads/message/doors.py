"""What a caller may do with a channel, or with another user, said as the error that an answer becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from push_workloads.common.errors import BadRequest, Forbidden, NotFound
from push_workloads.common.outgoing import Outgoing
from push_workloads.common.subjects import BadId, channel_subject, inbox_subject
from push_workloads.common.tokens import Identity
from push_workloads.message.access import Access

USER: Final = "user:"
GROUP: Final = "group:"
TOPIC: Final = "topic:"
REFUSED: Final = "this user takes no messages from you"
NO_GROUP: Final = "there is no such group, or you are not in it"
NOT_YOURS: Final = "you may not read this topic"
NOT_WRITABLE: Final = "you may not write to this channel"


async def reading(access: Access, caller: Identity, channel: str) -> str:
    """The subject of a group or topic that the caller may read. Raises BadRequest, NotFound, Forbidden, Unavailable."""
    subject = _subject(channel)
    if not (_granted(caller.grants.reads, channel) or await access.may_read(caller.user_id, channel)):
        raise NotFound(NO_GROUP) if channel.startswith(GROUP) else Forbidden(NOT_YOURS)
    return subject


async def writing(access: Access, caller: Identity, message: Outgoing) -> None:
    """Nothing when the caller may send this. Raises BadRequest, NotFound, Forbidden, Unavailable.

    Of a group that one is not in, nothing is told: not even that it is there.
    """
    if message.channel is None:
        await _to_user(access, caller.user_id, message.recipient_id or "")
        return
    _subject(message.channel)
    if _granted(caller.grants.writes, message.channel) or await access.may_write(caller.user_id, message.channel):
        return
    if message.channel.startswith(GROUP) and not await access.may_read(caller.user_id, message.channel):
        raise NotFound(NO_GROUP)
    raise Forbidden(NOT_WRITABLE)


def _granted(has: Callable[[str], bool], channel: str) -> bool:
    """By the caller's token itself, whatever the policies say."""
    return channel.startswith(TOPIC) and has(channel.removeprefix(TOPIC))


async def _to_user(access: Access, user_id: str, recipient_id: str) -> None:
    try:
        inbox_subject(recipient_id)
    except BadId as error:
        raise BadRequest(f"recipient_id: {error}") from error
    if recipient_id != user_id and await access.refuses(recipient_id, user_id):
        raise Forbidden(REFUSED)


def _subject(channel: str) -> str:
    if channel.startswith(USER):
        raise BadRequest("channel: a group or a topic")
    try:
        return channel_subject(channel)
    except BadId as error:
        raise BadRequest(f"channel: {error}") from error
