"""The twin in memory, for tests. Keeps for ever."""

from __future__ import annotations

from push_workloads.push.broadcast.model import Broadcast
from push_workloads.push.broadcast.ports import Follower, FollowerPage, bucket_of, page_of, parse_place


class MemoryBroadcasts:
    """A BroadcastStore and a FollowerStore."""

    def __init__(self) -> None:
        self._held: dict[str, Broadcast] = {}
        self._followers: dict[tuple[str, str], bool] = {}  # topic, user: granted

    async def add(self, broadcast: Broadcast) -> Broadcast | None:
        held = self._held.setdefault(broadcast.broadcast_id, broadcast)
        return None if held is broadcast else held

    async def one(self, broadcast_id: str) -> Broadcast | None:
        return self._held.get(broadcast_id)

    async def replace(self, broadcast: Broadcast) -> bool:
        held = self._held.get(broadcast.broadcast_id)
        if held is None or held.version != broadcast.version:
            return False
        self._held[broadcast.broadcast_id] = broadcast._replace(version=broadcast.version + 1)
        return True

    async def open_ids(self) -> list[str]:
        return [one.broadcast_id for one in self._held.values() if one.is_open]

    async def close(self, broadcast_id: str) -> None:
        return None  # it says it itself

    async def listed(self, limit: int) -> list[Broadcast]:
        newest = sorted(self._held.values(), key=lambda one: (one.created_at, one.broadcast_id), reverse=True)
        return newest[:limit]

    async def follow(self, topic: str, follower: Follower) -> None:
        self._followers[topic, follower.user_id] = follower.granted

    async def unfollow(self, topic: str, user_id: str) -> None:
        self._followers.pop((topic, user_id), None)

    async def followed(self, user_id: str) -> list[str]:
        return sorted(topic for topic, user in self._followers if user == user_id)

    async def followers(self, topic: str, after: str | None, limit: int) -> FollowerPage:
        bucket, begin = parse_place(after)
        own = ((user, granted) for (name, user), granted in self._followers.items() if name == topic)
        found = [Follower(*one) for one in sorted(own) if bucket_of(one[0]) == bucket and one[0] > begin]
        return page_of(bucket, found[:limit], limit)
