"""What a session is for, and what it tells the shell to do. Pure.

An action is a frame to send (bytes), or one of the structs here, of `common/sending` or of `common/questions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from push_workloads.common.issuers import NO_GRANTS, Grants
from push_workloads.common.questions import Report
from push_workloads.common.sending import Find, Publish
from push_workloads.common.tokens import NEVER
from push_workloads.gateway.frames import Place
from push_workloads.gateway.reading import Reading
from push_workloads.gateway.recovery import Behind


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do. A frame costs one token of a bucket of `burst`, and one more for each 4 KiB of it; the
    bucket is refilled at `frames_per_second`."""

    heartbeat_s: int = 25
    max_frame_bytes: int = 65_536
    frames_per_second: int = 50
    burst: int = 100


class Who(Struct, gc=False):
    """Whose session it is. `ends_at` is on the monotonic clock: when the token expires. `resumes`: it goes on from the
    device's cursors without asking; `places_itself`: the client says where, in a `resume` of its own. `login_id`: which
    login the token descends from, if one is known; `issued_at` in Unix seconds. `grants`: topics that the token itself
    gives rights to. `away`: its user is, as the client says."""

    user_id: str
    device_id: str
    session_id: str
    ends_at: float
    resumes: bool = False
    places_itself: bool = False
    login_id: str | None = None
    issued_at: int = NEVER
    grants: Grants = NO_GRANTS
    away: bool = False


class ShowToken(Struct, gc=False):
    """The client shows a newer token. Answered by `Session.refreshed`, or `Session.not_refreshed`."""

    token: str
    id: str | None


class Close(Struct, gc=False):
    code: int
    reason: str


class Ping(Struct, gc=False):
    """A WebSocket ping (RFC 6455 §5.5.2): any answer shows that the client lives."""


class Cursor(Struct, gc=False):
    """This device holds everything on the channel up to `seq`."""

    channel: str
    epoch: str
    seq: int


class Recover(Struct):
    """Read a channel: find out what the cursor `place` is worth (`positioned`), then read the log from it on
    (`replayed`). `place` None: only where the channel ends now; with a `reason`: and why that is all."""

    reading: Reading
    behind: Behind
    place: Place | None
    reason: str | None = None


class Leave(Struct, gc=False):
    """This channel is not read any more."""

    channel: str


class AskGroups:
    """Which groups is the user in, and where did this device stop in them? Answered by `Session.groups`."""

    __slots__ = ()


class AskTopic(Struct, gc=False):
    """What may the user do on a topic? Answered by `Session.topic`."""

    channel: str


class AskBlocks(Struct, gc=False):
    """Does the recipient take messages from this user? Answered by `Session.allowed` or `Session.blocked`."""

    message_id: str
    recipient_id: str


class AskKnown(Struct, gc=False):
    """Is this message stored already, perhaps for long? `subject`: of the channel of its first copy. Answered by
    `Session.known`, or by `Session.failed`."""

    message_id: str
    subject: str


class Tell(Struct, gc=False):
    """Tell the readers of a channel what is not stored. `recipient_id`: whose inbox that is, None for a group."""

    subject: str
    frame: bytes
    recipient_id: str | None


class WatchUsers(Struct, gc=False):
    """Tell this client of these users. Those for whom there is no room come back in `Session.not_watched`."""

    user_ids: list[str]
    id: str | None


class UnwatchUsers(Struct, gc=False):
    user_ids: list[str]


class SetStatus:
    """What `Who.away` says is new."""

    __slots__ = ()


SET_STATUS: Final = SetStatus()
ASK_GROUPS: Final = AskGroups()
Action = (
    bytes | Publish | Find | Recover | Leave | Cursor | Report | Tell | Ping | Close | ShowToken
    | AskGroups | AskTopic | AskBlocks | AskKnown | WatchUsers | UnwatchUsers | SetStatus
)  # fmt: skip
Start = Place | str | None
"""Where a device begins: at a cursor; at the head, for a reason that it is told; at the head as a new device."""
