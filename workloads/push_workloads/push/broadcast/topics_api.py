"""Following topics over HTTP: whoever follows one gets the broadcasts to it."""

from __future__ import annotations

from msgspec import Struct

from push_workloads.common.errors import Conflict, Forbidden
from push_workloads.common.http import Call, Route
from push_workloads.common.tokens import SERVICE
from push_workloads.push.broadcast.audience import TopicReading
from push_workloads.push.broadcast.model import checked_topic
from push_workloads.push.broadcast.ports import MAX_FOLLOWED, Follower, FollowerStore


class Followed(Struct):
    """The names alone, without "topic:"."""

    topics: list[str]


def topic_routes(store: FollowerStore, topics: TopicReading) -> list[Route]:
    async def listed(call: Call) -> Followed:
        return Followed(await store.followed(call.user_id))

    async def follow(call: Call) -> None:
        if call.user_id == SERVICE:
            raise Forbidden("this takes a user's token")
        topic, granted = checked_topic(call.path["topic"]), call.bearer.grants.reads(call.path["topic"])
        if not granted and not await topics.may_read(call.user_id, topic):
            raise Forbidden("you may not read this topic")
        followed = await store.followed(call.user_id)
        if topic not in followed and len(followed) >= MAX_FOLLOWED:
            raise Conflict(f"a user follows at most {MAX_FOLLOWED} topics: leave one")
        await store.follow(topic, Follower(call.user_id, granted))

    async def leave(call: Call) -> None:
        await store.unfollow(checked_topic(call.path["topic"]), call.user_id)

    path = "/push/topics/{topic}"
    return [
        Route("GET", "/push/topics", listed, "The topics that the caller follows", Followed),
        Route("PUT", path, follow, "Follows a topic that the caller may read", None, errors=(400, 403, 409)),
        Route("DELETE", path, leave, "Follows it no more", None, errors=(400,)),
    ]


async def unfollow_all(store: FollowerStore, user_id: str) -> None:
    """Of somebody whose account has ended."""
    for topic in await store.followed(user_id):
        await store.unfollow(topic, user_id)
