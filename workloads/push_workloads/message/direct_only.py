"""A platform without groups, topics and blocks: everybody may write to everybody, and nothing else is there."""

from __future__ import annotations

from collections.abc import Sequence

from push_workloads.message.access import Room


class DirectOnly:
    """An Access."""

    async def rooms(self, user_id: str) -> Sequence[Room]:
        return ()

    async def may_read(self, user_id: str, channel: str) -> bool:
        return False

    async def may_write(self, user_id: str, channel: str) -> bool:
        return False

    async def members(self, channel: str) -> int:
        return 0

    async def refuses(self, recipient_id: str, sender_id: str) -> bool:
        return False
