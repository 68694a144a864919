"""Who may read and write which channel, as the rest of this service asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from push_workloads.common.changes import Role


class Room(NamedTuple):
    """A group as a line of its member's list."""

    group_id: str
    name: str
    role: Role
    members: int


class Access(Protocol):
    """Each method raises Unavailable when the store cannot be reached, and BadId when an id is not well-formed."""

    async def rooms(self, user_id: str) -> Sequence[Room]:
        """The groups that a user is in; their number is limited."""

    async def may_read(self, user_id: str, channel: str) -> bool:
        """`group:<id>` or `topic:<name>`."""

    async def may_write(self, user_id: str, channel: str) -> bool: ...

    async def members(self, channel: str) -> int:
        """How many may read it; 0 for a topic."""

    async def refuses(self, recipient_id: str, sender_id: str) -> bool:
        """Whether the recipient takes no direct messages from the sender."""
