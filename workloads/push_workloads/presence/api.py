"""Presence over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from push_workloads.common.announcements import Status
from push_workloads.common.cache import reaching
from push_workloads.common.errors import BadRequest, NotFound
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.presence_changes import read_presence
from push_workloads.common.questions import MAX_WATCHED
from push_workloads.common.subjects import BadId, token
from push_workloads.common.tokens import SERVICE
from push_workloads.presence.sessions import OpenSession, SessionList

MAX_USERS: Final = MAX_WATCHED
MAX_SESSIONS: Final = 1000
MayWatch = Callable[[Sequence[tuple[str, str]]], Awaitable[list[bool]]]
"""Of each pair whether the first user may see the second's presence. Raises Unavailable."""


class UserPresence(Struct):
    """`last_seen`: the last disconnect, Unix milliseconds. Whom the caller may not see is offline and was never seen,
    as a user is of whom nothing is known."""

    user_id: str
    status: Status
    last_seen: int | None


class SessionView(Struct):
    """`since` is Unix milliseconds. `kind` and `device_id`: null while a gateway of an older version holds it."""

    session_id: str
    device_id: str | None
    since: int
    kind: str | None


class Sessions(Struct):
    """The newest first, at most 1,000."""

    sessions: list[SessionView]


class PresenceList(Struct):
    """In the order asked for, each user once."""

    presence: list[UserPresence]


def routes(cache: Any, sessions: SessionList, may_watch: MayWatch) -> list[Route]:
    async def presence(call: Call) -> PresenceList:
        wanted = user_ids(call.query.get("user_ids", ""))
        shown = wanted
        if call.user_id != SERVICE:
            allowed = await may_watch([(call.user_id, one) for one in wanted])
            shown = [one for one, may in zip(wanted, allowed, strict=True) if may]
        async with reaching("presence"):
            found = {one.user_id: one for one in await read_presence(cache, shown)}
        return PresenceList(
            [
                UserPresence(one, found[one].status, found[one].last_seen)
                if one in found
                else UserPresence(one, "offline", None)
                for one in wanted
            ]
        )

    async def list_sessions(call: Call) -> Sessions:
        async with reaching("the list of sessions"):
            found = await sessions.read(call.user_id)
        return Sessions([_view(one) for one in found[:MAX_SESSIONS]])

    async def end_session(call: Call) -> None:
        async with reaching("the list of sessions"):
            known = await sessions.end(call.user_id, call.path["session_id"])
        if not known:
            raise NotFound("you have no such session open")

    return [
        Route("GET", "/sessions", list_sessions, "Your open sessions", Sessions),
        Route("DELETE", "/sessions/{session_id}", end_session, "Ends a session of yours", None, errors=(404,)),
        Route(
            "GET",
            "/presence",
            presence,
            "The status of these users, as far as the caller may see it",
            PresenceList,
            query=(Query("user_ids", f"comma-separated, 1 to {MAX_USERS}", required=True),),
            errors=(400,),
            scope="presence",
        ),
    ]


def _view(one: OpenSession) -> SessionView:
    return SessionView(one.session_id, one.opened.device_id, one.opened.since_ms, one.opened.kind)


def user_ids(text: str) -> list[str]:
    """The ids in a query parameter, each once. Raises BadRequest."""
    ids = list(dict.fromkeys(text.split(",")))
    if not text or len(ids) > MAX_USERS:
        raise BadRequest(f"user_ids: 1 to {MAX_USERS} ids, separated by commas")
    try:
        for user_id in ids:
            token(user_id)
    except BadId as error:
        raise BadRequest(f"user_ids: {error}") from error
    return ids
