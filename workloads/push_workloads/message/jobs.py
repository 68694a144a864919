"""Which entries of the log become push jobs, and what is in them. Pure.

| entry | job |
|---|---|
| a `text` to a user | one for the recipient, of the recipient's copy; none for a note to oneself |
| a `text` in a group | one for the group, whatever its size: the push service asks for the members, page after page |
| somebody was added to a group by another | one for the one who was added, of the copy in that inbox |
| an edit, a deletion, a reaction | none: they change what was told already |
| any other change of a group, a message of a topic | none: it is read, not told; who would be told nobody lists |

A message that is written to history again makes the same job again: what is older than its ttl the push service drops.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from push_workloads.common.changes import Change
from push_workloads.common.push_jobs import GroupJob, Hint, PushJob, encode, group_subject, subject
from push_workloads.common.subjects import channel_name, group, identifier, inbox
from push_workloads.message.model import SYSTEM, TEXT, Payload

CONTENT_BYTES: Final = 2048  # a notification shows a line or two; larger content is left out of the job
_INBOX, _GROUP = "u", "g"


class LogPlace(NamedTuple):
    """Of an entry: the subject of its channel, and where in that channel's log."""

    channel: str
    epoch: str
    seq: int


class Queued(NamedTuple):
    """An entry of the queue; within the queue's window another one with this id is dropped."""

    subject: str
    job_id: str
    payload: bytes


def job_for(place: LogPlace, entry: Payload | Change, hint: str | None) -> PushJob | GroupJob | None:
    """`hint`: how the sender wants it to look, as it is in the log. None: nobody is to be told."""
    kind, _, name = place.channel.partition(".")
    if isinstance(entry, Change):
        return _added(place, entry, identifier(name)) if kind == _INBOX else None
    if entry.kind != TEXT:
        return None
    if kind == _GROUP:
        conversation = channel_name(place.channel)
        return GroupJob(identifier(name), _job(place, entry, "", conversation, hint))
    is_own = entry.recipient_id is None or entry.sender == entry.recipient_id or entry.conversation != entry.sender
    if kind != _INBOX or is_own:
        return None
    return _job(place, entry, identifier(name), inbox(entry.sender), hint)


def queued(job: PushJob | GroupJob) -> Queued:
    if isinstance(job, GroupJob):
        return Queued(group_subject(job.group_id), job.job.job_id, encode(job))
    return Queued(subject(job.user_id), job.job_id, encode(job))


def _job(place: LogPlace, entry: Payload, user_id: str, conversation: str, hint: str | None) -> PushJob:
    return PushJob(
        job_id=entry.message_id,
        user_id=user_id,
        message_id=entry.message_id,
        channel=channel_name(place.channel),
        seq=place.seq,
        sender=entry.sender,
        sent_at=entry.sent_at,
        content=_content(bytes(entry.content)),
        hint=_hint(hint) if hint else None,
        epoch=place.epoch,
        conversation=conversation,
        kind=entry.kind,
    )


def _added(place: LogPlace, change: Change, user_id: str) -> PushJob | None:
    if change.change != "added" or change.by == user_id:
        return None
    content = {"change": change.change, "name": change.name, "role": change.role}
    return PushJob(
        job_id=f"{change.message_id}:{place.channel}",  # one change may add many: a job for each
        user_id=user_id,
        message_id=change.message_id,
        channel=inbox(user_id),
        seq=place.seq,
        sender=change.by,
        sent_at=change.sent_at,
        content={name: value for name, value in content.items() if value is not None},
        epoch=place.epoch,
        conversation=group(change.group_id),
        kind=SYSTEM,
    )


def _content(raw: bytes) -> object:
    if len(raw) > CONTENT_BYTES:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None  # lone surrogates: fit for a browser, not for a notification


def _hint(raw: str) -> Hint | None:
    try:
        return msgspec.json.decode(raw, type=Hint)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
