"""Push jobs: the contract between the message service, which publishes them, and the push service. Pure.

All of it is one work queue, the stream `PUSH`:

| subject | one entry is | who puts it there |
|---|---|---|
| `push.jobs.<user>` | a PushJob: one message for one user, to be decided on | message service; a timer that ends |
| `push.groups.<group>` | a GroupJob: one message for a group's members, page by page | message service |
| `push.send.<platform>.<user>` | a send to one device (`push/sends.py`) | push service; a timer that ends |
| `push.timer.<id>` | an entry that waits, and goes where it says at its time (a NATS schedule) | push service |

The publisher sets `Nats-Msg-Id` to the job's id, so that publishing it again within the stream's window changes
nothing. What can never be handled is moved to the stream `PUSH_DEAD`, with its reason.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from push_workloads.common.subjects import token

STREAM: Final = "PUSH"
SUBJECTS: Final = ("push.jobs.>", "push.groups.>", "push.send.>", "push.timer.>")
JOBS: Final = "push.jobs.>"
GROUPS: Final = "push.groups.>"
CONSUMER: Final = "push"
GROUP_CONSUMER: Final = "push-groups"
DEAD_STREAM: Final = "PUSH_DEAD"
DEAD_SUBJECTS: Final = ("push.dead.>",)


class Hint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sender asked the notification to look like (the `push` field of `send_message`). `call`: it rings."""

    title: str | None = None
    body: str | None = None
    data: dict[str, Any] | None = None
    collapse_key: str | None = None
    ttl_s: int | None = None
    silent: bool = False
    call: bool = False


class PushJob(msgspec.Struct, frozen=True, omit_defaults=True, rename={"sender": "from"}):
    """`sender` is `from` on the wire. `content` is left out when it is too large to be of use in a notification.

    `channel`, `epoch` and `seq` are the place of the user's copy: a device whose cursor has passed it
    holds the message.
    `channel` "" for a notification that stands for no message (`POST /push`): nobody holds or reads that elsewhere.
    `conversation`: what a mute, a collapse and an unread count go by: `user:<other user>` or `group:<id>`. `kind`: the
    message's, which chooses the template. `held`: the hold-off, or a wait until the quiet hours end, is over.
    """

    job_id: str
    user_id: str
    message_id: str
    channel: str
    seq: int
    sender: str
    sent_at: int
    content: Any = None
    hint: Hint | None = None
    epoch: str = ""
    conversation: str = ""
    kind: str = "text"
    held: bool = False


class GroupJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message for all members of a group but its sender; `after`: the last member that has a job already, None for
    none. `job.user_id` is "" until the members are known."""

    group_id: str
    job: PushJob
    after: str | None = None


def subject(user_id: str) -> str:
    """Where jobs for this user are published."""
    return "push.jobs." + token(user_id)


def group_subject(group_id: str) -> str:
    return "push.groups." + token(group_id)


_decoder = msgspec.json.Decoder(PushJob)


def decode(raw: bytes) -> PushJob:
    """Raises msgspec.DecodeError (or its ValidationError) when this is no job."""
    return _decoder.decode(raw)


_group_decoder = msgspec.json.Decoder(GroupJob)


def decode_group(raw: bytes) -> GroupJob:
    """Raises msgspec.DecodeError (or its ValidationError) when this is no job."""
    return _group_decoder.decode(raw)


encode = msgspec.json.encode
