"""Changes of groups as messages of the log: the contract between the message service, which writes them, and the
gateways, which act on them. Pure.

Every change stands in the group's own log, so all members see it at one place among the messages, and delivery to a
removed user stops exactly there. Whoever is added or removed has it in the inbox as well: that is how their devices
come to read the group, or hear that they no longer do. `added` there says in `since` from where on to read the group.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

PREFIX: Final = b'{"change":'  # of the payload of a change, and of no message's
MAX_USERS: Final = 100  # of one change

What = Literal["added", "removed", "role", "renamed", "deleted"]
Role = Literal["owner", "admin", "member"]


class Since(Struct, frozen=True, gc=False):
    """A cursor on the group's log: what follows it is the new member's to read, the change itself first."""

    epoch: str
    seq: int


class Change(Struct, omit_defaults=True, kw_only=True):
    """`by`: who made it. `user_ids`: whom it is about, nobody when the group itself changed. `name`: of the group, with
    `added` and `renamed`; `role`: with `added` and `role`. `sent_at` is in Unix milliseconds."""

    change: What
    message_id: str
    group_id: str
    by: str
    sent_at: int
    user_ids: list[str] = []
    role: Role | None = None
    name: str | None = None
    since: Since | None = None


encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Change).decode


def decode(payload: bytes) -> Change | None:
    """The change in a payload of the log, None when it is a message. Raises msgspec.DecodeError when it is neither."""
    return _decode(payload) if payload.startswith(PREFIX) else None
