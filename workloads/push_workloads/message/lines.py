"""The conversation list of a user: direct conversations and groups in one order. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from push_workloads.common.subjects import channel_subject, group
from push_workloads.message.access import Room
from push_workloads.message.model import Latest, Message, Position, conversation_key, position


class Line(NamedTuple):
    """`other` or `room`. `message` None: a group of which history has nothing, or nothing any more."""

    place: Position
    conversation: str
    message: Message | None
    other: str | None = None
    room: Room | None = None


def merged(
    user_id: str,
    direct: Iterable[Latest],
    rooms: Iterable[Room],
    last: Mapping[str, Message],
    after: Position | None,
    limit: int,
) -> list[Line]:
    """Up to `limit` lines that come after a place, the newest last message first. `last`: by conversation, of groups;
    `direct` holds the first `limit` after that place."""
    lines = [Line(line.place, conversation_key(user_id, line.other), line.message, line.other) for line in direct]
    lines += [_of_room(room, last) for room in rooms]
    due = [line for line in lines if after is None or line.place < after]
    return sorted(due, key=lambda line: line.place, reverse=True)[:limit]


def subject_of(room: Room) -> str:
    return channel_subject(group(room.group_id))


def _of_room(room: Room, last: Mapping[str, Message]) -> Line:
    subject = subject_of(room)
    message = last.get(subject)
    return Line(position(message) if message is not None else _at_the_end(subject), subject, message, None, room)


def _at_the_end(subject: str) -> Position:
    """The place of a group without messages: below all that have one, and a cursor as any other."""
    return Position(0, hashlib.blake2b(subject.encode(), digest_size=16).hexdigest())
