"""`Access` over the stores: what the rest of the service, and the gateways, ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from push_workloads.common.subjects import BadId, token
from push_workloads.common.tokens import SERVICE
from push_workloads.message.access import Room
from push_workloads.message.groups import policies
from push_workloads.message.groups.policies import Policy
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER
from push_workloads.message.groups.store import GroupStore


class Permits:
    """An Access. `manifest`: the policies that came with the settings."""

    def __init__(self, store: GroupStore, manifest: Mapping[str, Policy]) -> None:
        self._store = store
        self._manifest = manifest

    async def rooms(self, user_id: str) -> Sequence[Room]:
        mine = await self._store.memberships(user_id, MAX_GROUPS_OF_USER)
        return [Room(one.group_id, group.name, one.role, group.members) for one, group in mine]

    async def may_read(self, user_id: str, channel: str) -> bool:
        return await self._may(user_id, channel, write=False)

    async def may_write(self, user_id: str, channel: str) -> bool:
        return await self._may(user_id, channel, write=True)

    async def members(self, channel: str) -> int:
        kind, identifier = _parts(channel)
        group = await self._store.group(identifier) if kind == "group" else None
        return group.members if group is not None else 0

    async def refuses(self, recipient_id: str, sender_id: str) -> bool:
        return sender_id != SERVICE and await self._store.blocks_one(recipient_id, sender_id)

    async def policy(self, topic: str) -> Policy | None:
        return policies.policy_for(topic, await self.policies())

    async def policies(self) -> dict[str, Policy]:
        """All of them, by prefix."""
        return policies.merged(self._manifest, (await self._store.policies()).items())

    async def _may(self, user_id: str, channel: str, *, write: bool) -> bool:
        kind, identifier = _parts(channel)
        if kind == "group":
            group = await self._store.group(identifier)
            if group is None or group.deleted:
                return False
            return user_id == SERVICE or await self._store.member(identifier, user_id) is not None
        if user_id == SERVICE:
            return True
        policy = await self.policy(identifier)
        return policies.may_write(policy, user_id) if write else policies.may_read(policy, user_id)


def _parts(channel: str) -> tuple[str, str]:
    """Raises BadId."""
    kind, _, identifier = channel.partition(":")
    if kind not in ("group", "topic"):
        raise BadId("a channel is group:ID or topic:NAME")
    token(identifier)
    return kind, identifier
