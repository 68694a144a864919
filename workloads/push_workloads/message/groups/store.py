"""Groups, blocks, settings of users and policies as a port, with its in-memory twin.

A change of a group is decided on its row alone, by compare-and-set of `version`, with the change itself as `pending`:
so one step decides, whoever races, and whoever finds it pending can finish it. What a change means for members is
written after, and may be written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from push_workloads.message.groups.rules import Group, Member


class GroupStore(Protocol):
    """Each method raises Unavailable when the store cannot be reached; then a write may or may not have been done."""

    async def group(self, group_id: str) -> Group | None:
        """Also one that is deleted."""

    async def create(self, group: Group) -> bool:
        """False when there is one with this id."""

    async def replace(self, group: Group) -> bool:
        """Writes the row with the next version, if it still has the version of `group`."""

    async def unsettled(self, limit: int) -> list[str]:
        """Groups that have, or lately had, a pending change."""

    async def settled(self, group_id: str) -> None:
        """It has none any more, and is left out of `unsettled`."""

    async def put_members(self, members: Sequence[Member], version: int) -> None:
        """For a change that was decided at that version of the group's row. A store that replicas share keeps what was
        written for a later version, whoever comes last; others have one writer, which takes care of that."""

    async def remove_members(self, group_id: str, user_ids: Sequence[str], version: int) -> None:
        """The same."""

    async def member(self, group_id: str, user_id: str) -> Member | None: ...

    async def members(self, group_id: str, after: str, limit: int) -> list[Member]:
        """By user id, those after one; "" for the first."""

    async def memberships(self, user_id: str, limit: int) -> list[tuple[Member, Group]]:
        """The groups of a user that are not deleted."""

    async def blocks(self, user_id: str, limit: int) -> list[str]:
        """Whom the user blocks, by user id."""

    async def blocks_one(self, user_id: str, other: str) -> bool: ...

    async def blockers(self, user_ids: Sequence[str], other: str) -> set[str]:
        """Those of the users who block the other one."""

    async def block(self, user_id: str, other: str) -> None: ...

    async def unblock(self, user_id: str, other: str) -> None: ...

    async def sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        """Those of the others who are in a group with this user, of the first MAX_GROUPS_OF_USER of each."""

    async def visibilities(self, user_ids: Sequence[str]) -> dict[str, str]:
        """To whom these users show their presence; nothing for those who have not said it."""

    async def put_visibility(self, user_id: str, visible_to: str) -> None: ...

    async def forget(self, user_id: str) -> None:
        """Removes what is kept of a user alone: settings, and whom the user blocks."""

    async def policies(self) -> dict[str, bytes]:
        """By prefix of topics: the encoded policies."""

    async def put_policy(self, prefix: str, policy: bytes) -> None: ...

    async def remove_policy(self, prefix: str) -> None: ...


class MemoryGroups:
    """For unit tests."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._members: dict[tuple[str, str], Member] = {}
        self._versions: dict[tuple[str, str], int] = {}  # of the change that wrote it last
        self._blocks: set[tuple[str, str]] = set()
        self._visibilities: dict[str, str] = {}
        self._policies: dict[str, bytes] = {}

    async def group(self, group_id: str) -> Group | None:
        return self._groups.get(group_id)

    async def create(self, group: Group) -> bool:
        return self._groups.setdefault(group.group_id, group) is group

    async def replace(self, group: Group) -> bool:
        held = self._groups.get(group.group_id)
        if held is None or held.version != group.version:
            return False
        self._groups[group.group_id] = group._replace(version=group.version + 1)
        return True

    async def unsettled(self, limit: int) -> list[str]:
        return [group.group_id for group in self._groups.values() if group.pending is not None][:limit]

    async def settled(self, group_id: str) -> None:
        return None  # its row says it

    async def put_members(self, members: Sequence[Member], version: int) -> None:
        for one in members:
            if self._is_newest((one.group_id, one.user_id), version):
                self._members[one.group_id, one.user_id] = one

    async def remove_members(self, group_id: str, user_ids: Sequence[str], version: int) -> None:
        for user_id in user_ids:
            if self._is_newest((group_id, user_id), version):
                self._members.pop((group_id, user_id), None)

    def _is_newest(self, key: tuple[str, str], version: int) -> bool:
        """As in a store that replicas share."""
        newest = self._versions[key] = max(version, self._versions.get(key, version))
        return newest == version

    async def member(self, group_id: str, user_id: str) -> Member | None:
        return self._members.get((group_id, user_id))

    async def members(self, group_id: str, after: str, limit: int) -> list[Member]:
        found = sorted(one for one in self._members.values() if one.group_id == group_id and one.user_id > after)
        return found[:limit]

    async def memberships(self, user_id: str, limit: int) -> list[tuple[Member, Group]]:
        mine = sorted(one for one in self._members.values() if one.user_id == user_id)
        found = [(one, self._groups[one.group_id]) for one in mine]
        return [(one, group) for one, group in found if not group.deleted][:limit]

    async def blocks(self, user_id: str, limit: int) -> list[str]:
        return sorted(other for user, other in self._blocks if user == user_id)[:limit]

    async def blocks_one(self, user_id: str, other: str) -> bool:
        return (user_id, other) in self._blocks

    async def blockers(self, user_ids: Sequence[str], other: str) -> set[str]:
        return {user for user in user_ids if (user, other) in self._blocks}

    async def block(self, user_id: str, other: str) -> None:
        self._blocks.add((user_id, other))

    async def unblock(self, user_id: str, other: str) -> None:
        self._blocks.discard((user_id, other))

    async def sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        mine = {one.group_id for one in self._members.values() if one.user_id == user_id}
        return {one.user_id for one in self._members.values() if one.group_id in mine}.intersection(others)

    async def visibilities(self, user_ids: Sequence[str]) -> dict[str, str]:
        return {one: self._visibilities[one] for one in user_ids if one in self._visibilities}

    async def put_visibility(self, user_id: str, visible_to: str) -> None:
        self._visibilities[user_id] = visible_to

    async def forget(self, user_id: str) -> None:
        self._visibilities.pop(user_id, None)
        self._blocks = {(user, other) for user, other in self._blocks if user != user_id}

    async def policies(self) -> dict[str, bytes]:
        return dict(self._policies)

    async def put_policy(self, prefix: str, policy: bytes) -> None:
        self._policies[prefix] = policy

    async def remove_policy(self, prefix: str) -> None:
        self._policies.pop(prefix, None)
