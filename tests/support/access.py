"""Who may read and write what, in memory: a twin of the message service's port."""

from __future__ import annotations

from collections.abc import Sequence

from push_workloads.message.access import Room


class MemoryAccess:
    """Groups by their members; topics that everyone reads and one user writes; who blocks whom."""

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {}
        self.topics: dict[str, str] = {}  # topic → its writer
        self.blocks: set[tuple[str, str]] = set()  # who blocks, whom

    async def rooms(self, user_id: str) -> Sequence[Room]:
        return [
            Room(group_id, f"The {group_id}", "member", len(members))
            for group_id, members in self.groups.items()
            if user_id in members
        ]

    async def may_read(self, user_id: str, channel: str) -> bool:
        kind, _, name = channel.partition(":")
        return user_id in self.groups.get(name, ()) if kind == "group" else name in self.topics

    async def may_write(self, user_id: str, channel: str) -> bool:
        kind, _, name = channel.partition(":")
        return await self.may_read(user_id, channel) if kind == "group" else self.topics.get(name) == user_id

    async def members(self, channel: str) -> int:
        return len(self.groups.get(channel.removeprefix("group:"), ()))

    async def refuses(self, recipient_id: str, sender_id: str) -> bool:
        return (recipient_id, sender_id) in self.blocks
