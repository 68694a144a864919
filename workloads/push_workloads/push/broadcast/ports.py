"""Where broadcasts and the followers of topics are kept: the ports. Each method may raise Unavailable; a write that
returned survives a crash."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple, Protocol

from push_workloads.push.broadcast.model import Broadcast

KEEP_DAYS: Final = 62
MAX_OPEN: Final = 100
MAX_FOLLOWED: Final = 200
FOLLOWER_BUCKETS: Final = 64  # partitions of a topic's followers


class BroadcastStore(Protocol):
    """Kept for KEEP_DAYS from when it was made."""

    async def add(self, broadcast: Broadcast) -> Broadcast | None:
        """None when it was added, else the one of this id that is there already."""

    async def one(self, broadcast_id: str) -> Broadcast | None: ...

    async def replace(self, broadcast: Broadcast) -> bool:
        """Whether its version was still this one: then this is kept, under the next version. After Unavailable nobody
        knows: read it again."""

    async def open_ids(self) -> list[str]:
        """Of those that are open, and perhaps of some that have just been closed: MAX_OPEN, but for a few."""

    async def close(self, broadcast_id: str) -> None:
        """It is not open any more, whatever `open_ids` says."""

    async def listed(self, limit: int) -> list[Broadcast]:
        """The newest first."""


class Follower(NamedTuple):
    """`granted`: by the user's own token, whatever the topic's policy says."""

    user_id: str
    granted: bool


class FollowerPage(NamedTuple):
    """`after`: where the next page begins; None when this is the last."""

    followers: list[Follower]
    after: str | None


class FollowerStore(Protocol):
    async def follow(self, topic: str, follower: Follower) -> None: ...

    async def unfollow(self, topic: str, user_id: str) -> None: ...

    async def followed(self, user_id: str) -> list[str]:
        """The topics that a user follows, in their order: MAX_FOLLOWED, but for a few."""

    async def followers(self, topic: str, after: str | None, limit: int) -> FollowerPage:
        """Of a topic, those behind a place: that of an earlier page, or None. The order stays. A page may hold fewer
        than `limit`, even none, and not be the last. Raises ValueError when `after` is no place."""


class Broadcasts(BroadcastStore, FollowerStore, Protocol):
    """What one adapter keeps."""


def bucket_of(user_id: str) -> int:
    return zlib.crc32(user_id.encode()) % FOLLOWER_BUCKETS


def format_place(bucket: int, user_id: str) -> str:
    """`user_id` "": before the first of the bucket."""
    return f"{bucket}:{user_id}"


def parse_place(text: str | None) -> tuple[int, str]:
    """Raises ValueError."""
    if text is None:
        return 0, ""
    bucket, _, user_id = text.partition(":")
    return int(bucket), user_id


def page_of(bucket: int, found: list[Follower], limit: int) -> FollowerPage:
    """What was found of a bucket as a page."""
    if len(found) == limit:
        return FollowerPage(found, format_place(bucket, found[-1].user_id))
    return FollowerPage(found, format_place(bucket + 1, "") if bucket + 1 < FOLLOWER_BUCKETS else None)
