"""Push jobs: the contract between the message service, which publishes them, and the push service. Pure.

One job is one message for one user, on the work queue `PUSH`. The publisher sets `Nats-Msg-Id` to the job's id, so
that publishing it again within the stream's window changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from push_workloads.common.subjects import token

STREAM: Final = "PUSH"
SUBJECTS: Final = "push.jobs.>"
CONSUMER: Final = "push"


class Hint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sender asked the notification to look like (the `push` field of `send_message`)."""

    title: str | None = None
    body: str | None = None
    data: dict[str, Any] | None = None
    collapse_key: str | None = None
    ttl_s: int | None = None
    silent: bool = False


class PushJob(msgspec.Struct, frozen=True, omit_defaults=True, rename={"sender": "from"}):
    """`sender` is `from` on the wire. `content` is left out when it is too large to be of use in a notification."""

    job_id: str
    user_id: str
    message_id: str
    channel: str
    seq: int
    sender: str
    sent_at: int
    content: Any = None
    hint: Hint | None = None


def subject(user_id: str) -> str:
    """Where jobs for this user are published."""
    return "push.jobs." + token(user_id)


_decoder = msgspec.json.Decoder(PushJob)


def decode(raw: bytes) -> PushJob:
    """Raises msgspec.DecodeError (or its ValidationError) when this is no job."""
    return _decoder.decode(raw)


encode = msgspec.json.encode
