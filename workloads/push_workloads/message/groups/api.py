"""Groups over HTTP. Blocks and topics are in `rights_api.py`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from push_workloads.common.changes import MAX_USERS, Role
from push_workloads.common.errors import Forbidden, NotFound, RateLimited
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.outgoing import DedupId, UserId
from push_workloads.common.subjects import group as channel_of
from push_workloads.common.tokens import SERVICE
from push_workloads.message.callers import Callers
from push_workloads.message.groups.office import Office
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER, MAX_NAME_CHARS, NO_GROUP, Group, Member
from push_workloads.message.groups.store import GroupStore
from push_workloads.message.paging import LIMIT, limit_of

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]


class NewGroup(Struct):
    """`members`: who is in it beside the caller. `dedup_id`: asked for again under the same, it is the same group.
    `owner`: only with the service credential, and then required."""

    name: Name
    members: Annotated[list[UserId], Meta(max_length=MAX_USERS)] = []
    dedup_id: DedupId | None = None
    owner: UserId | None = None


class NewName(Struct):
    name: Name


class NewMembers(Struct):
    user_ids: Annotated[list[UserId], Meta(min_length=1, max_length=MAX_USERS)]


class NewRole(Struct):
    role: Role = "member"


class GroupView(Struct):
    """`role`: the caller's own; null with the service credential."""

    group_id: str
    channel: str
    name: str
    role: Role | None
    owner: str
    members: int
    created_at: int


class GroupList(Struct):
    groups: list[GroupView]


class MemberView(Struct):
    user_id: str
    role: Role


class MemberPage(Struct):
    """By user id. `next` goes into `after` for the page that follows; null when there is none."""

    members: list[MemberView]
    next: str | None


class GroupApi:
    """The handlers. `callers` limit how often one user changes groups."""

    def __init__(self, store: GroupStore, office: Office, callers: Callers) -> None:
        self._store = store
        self._office = office
        self._callers = callers

    async def create(self, call: Call) -> GroupView:
        asked: NewGroup = call.body
        self._admit(call, len(asked.members))
        if (asked.owner is not None) != (call.user_id == SERVICE):
            raise Forbidden("owner: to be given with the service credential, and only with it")
        owner = asked.owner if asked.owner is not None else call.user_id
        made = await self._office.create(call.user_id, owner, asked.name, asked.members, asked.dedup_id)
        return _shown(made, None if call.user_id == SERVICE else "owner")

    async def mine(self, call: Call) -> GroupList:
        found = await self._store.memberships(call.user_id, MAX_GROUPS_OF_USER)
        return GroupList([_shown(group, member.role) for member, group in found])

    async def one(self, call: Call) -> GroupView:
        group, member = await self._readable(call)
        return _shown(group, member.role if member is not None else None)

    async def rename(self, call: Call) -> GroupView:
        self._admit(call)
        await self._office.rename(call.path["group_id"], call.user_id, call.body.name)
        return await self.one(call)

    async def delete(self, call: Call) -> None:
        self._admit(call)
        await self._office.delete(call.path["group_id"], call.user_id)

    async def members(self, call: Call) -> MemberPage:
        group, _ = await self._readable(call)
        limit = limit_of(call)
        rows = await self._store.members(group.group_id, call.query.get("after", ""), limit + 1)
        shown = [MemberView(row.user_id, row.role) for row in rows[:limit]]
        return MemberPage(shown, rows[limit - 1].user_id if len(rows) > limit else None)

    async def add(self, call: Call) -> GroupView:
        asked: NewMembers = call.body
        self._admit(call, len(asked.user_ids))
        await self._office.add(call.path["group_id"], call.user_id, asked.user_ids)
        return await self.one(call)

    async def put_member(self, call: Call) -> MemberView:
        self._admit(call)
        group_id, user_id, role = call.path["group_id"], call.path["user_id"], call.body.role
        if await self._store.member(group_id, user_id) is None:
            await self._office.add(group_id, call.user_id, [user_id], role)
        else:
            await self._office.give_role(group_id, call.user_id, user_id, role)
        return MemberView(user_id, role)

    async def remove(self, call: Call) -> None:
        self._admit(call)
        await self._office.remove(call.path["group_id"], call.user_id, call.path["user_id"])

    async def _readable(self, call: Call) -> tuple[Group, Member | None]:
        """Whoever is no member is told that there is no such group."""
        group_id = call.path["group_id"]
        group = await self._store.group(group_id)
        member = await self._store.member(group_id, call.user_id)
        if group is None or group.deleted or (member is None and call.user_id != SERVICE):
            raise NotFound(NO_GROUP)
        return group, member

    def _admit(self, call: Call, users: int = 0) -> None:
        if call.user_id == SERVICE:
            return
        now = asyncio.get_running_loop().time()
        wait = self._callers.wait_ms(call.user_id, now, 0, 1 + users // 10)
        if wait:
            raise RateLimited("too many changes", retry_after_ms=wait)


def group_routes(store: GroupStore, office: Office, callers: Callers) -> list[Route]:
    api = GroupApi(store, office, callers)
    group, members = "/groups/{group_id}", "/groups/{group_id}/members"
    member = f"{members}/{{user_id}}"
    page = (Query("after", "a `next` of an earlier answer: those who follow"), LIMIT)
    changing = (403, 404, 409, 429)
    routes = [
        Route("POST", "/groups", api.create, "Makes a group", GroupView, NewGroup, 201, errors=(403, 409, 429)),
        Route("GET", "/groups", api.mine, "The caller's groups", GroupList),
        Route("GET", group, api.one, "One of the caller's groups", GroupView, errors=(404,)),
        Route("PATCH", group, api.rename, "Gives a group another name", GroupView, NewName, errors=changing),
        Route("DELETE", group, api.delete, "Deletes a group, for its owner", None, errors=changing),
        Route("GET", members, api.members, "Who is in a group", MemberPage, query=page, errors=(400, 404)),
        Route("POST", members, api.add, "Adds members", GroupView, NewMembers, errors=changing),
        Route("PUT", member, api.put_member, "Adds a member, or gives a role", MemberView, NewRole, errors=changing),
        Route("DELETE", member, api.remove, "Removes a member; oneself: leaves", None, errors=(400, *changing)),
    ]
    return [replace(one, scope="groups") for one in routes]


def _shown(group: Group, role: Role | None) -> GroupView:
    return GroupView(
        group_id=group.group_id,
        channel=channel_of(group.group_id),
        name=group.name,
        role=role,
        owner=group.owner,
        members=group.members,
        created_at=group.created_at,
    )
