"""Presence over HTTP."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from push_workloads.common.cache import reaching
from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.subjects import BadId, token
from push_workloads.presence.reader import PresenceReader

MAX_USERS: Final = 500


class UserPresence(Struct):
    user_id: str
    status: Literal["online", "offline"]
    last_seen: int | None


class PresenceList(Struct):
    """In the order asked for, each user once."""

    presence: list[UserPresence]


def routes(reader: PresenceReader) -> list[Route]:
    async def presence(call: Call) -> PresenceList:
        wanted = user_ids(call.query.get("user_ids", ""))
        async with reaching("presence"):
            found = await reader.read(wanted)
        return PresenceList(
            [UserPresence(one.user_id, "online" if one.online else "offline", one.last_seen) for one in found]
        )

    return [
        Route(
            "GET",
            "/presence",
            presence,
            "Who of these users is online",
            PresenceList,
            query=(Query("user_ids", f"comma-separated, 1 to {MAX_USERS}", required=True),),
            errors=(400,),
        )
    ]


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
