"""Who is connected, in Redis: the contract between the gateways, which write it, and the presence service. Pure.

A **gateway generation** `gid` is an instance name and random digits; it never holds a `|`. A gateway that loses its
lease takes a new one, so whatever is written under an old gid is dead and may be removed by anyone at any time.

| key | type | written by | meaning |
|---|---|---|---|
| `presence:lease:<gid>` | string, PX 15 s | the gateway, every 5 s | this generation lives |
| `presence:gateways` | set of gids | gateway adds, sweeper removes | where the sweeper looks |
| `presence:of:<gid>` | set of user ids | gateway; sweeper removes | who has a session there |
| `presence:user:<user>` | hash `<gid>\\|<session id>` → `Opened` | gateway; sweeper removes | open sessions |
| `presence:end:<gid>` | set of `<session id>\\|<user id>`, PX 60 s | presence service; gateway removes | to be closed |
| `presence:seen:<user>` | string, ms | gateway on disconnect, sweeper | the last disconnect |
| `presence:told:<user>` | `<rank>\\|<revision>` | whoever changes it | what others see; not there: offline |
| `presence:leaving` | sorted set of user tokens, due ms | gateway, sweeper | who has less than is told, until when |

A user has what the best of the fields says whose gid has a lease; `presence_changes.py` decides what is told of it, and
when. What keeps a crash, or a late write, from leaving a field that the sweeper never finds:
- a gateway sets its lease *before* it adds its gid to `presence:gateways`: the sweeper removes what has no lease;
- every batch of writes begins with adding the gid there again, for it may have been swept since;
- a user goes into `presence:of:<gid>` before, or together with, the session's field.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from push_workloads.common.subjects import token

LEASE_MS: Final = 15_000
END_MS: Final = 60_000  # a gateway looks every second; what is older than this was for one that has gone
GATEWAYS: Final = "presence:gateways"
LEAVING: Final = "presence:leaving"
AWAY: Final = "away"


def lease(gid: str) -> str:
    return f"presence:lease:{gid}"


def sessions_of(gid: str) -> str:
    return f"presence:of:{gid}"


def user(user_id: str) -> str:
    return f"presence:user:{token(user_id)}"


def last_seen(user_id: str) -> str:
    return f"presence:seen:{token(user_id)}"


def told(user_id: str) -> str:
    return f"presence:told:{token(user_id)}"


def field(gid: str, session_id: str) -> str:
    return f"{gid}|{session_id}"


def gid_of(hash_field: str) -> str:
    """The gateway generation in the field of a user's hash."""
    return hash_field.partition("|")[0]


def session_of(hash_field: str) -> str:
    """The session id in it."""
    return hash_field.partition("|")[2]


class Opened(NamedTuple):
    """What is kept of an open session: `<ms>|<kind>|<device id>`, and `|away` when its user is; older gateways wrote
    the milliseconds alone. `since_ms` is Unix milliseconds, `kind` `ws` or `sse`."""

    since_ms: int
    kind: str | None
    device_id: str | None
    away: bool = False


def format_opened(opened: Opened) -> str:
    text = f"{opened.since_ms}|{opened.kind or ''}|{opened.device_id or ''}"
    return f"{text}|{AWAY}" if opened.away else text


def parse_opened(text: str) -> Opened:
    since, kind, device_id, status = (*text.split("|"), "", "", "")[:4]
    return Opened(int(since), kind or None, device_id or None, status == AWAY)


def to_end(gid: str) -> str:
    return f"presence:end:{gid}"


def ending(user_id: str, session_id: str) -> str:
    """A member of `to_end`."""
    return f"{session_id}|{user_id}"


def parse_ending(member: str) -> tuple[str, str]:
    """User id, session id."""
    session_id, _, user_id = member.partition("|")
    return user_id, session_id
