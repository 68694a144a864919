"""Blocks between users, and the policies of topics, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from msgspec import Struct

from push_workloads.common import questions
from push_workloads.common.errors import BadRequest, Conflict
from push_workloads.common.http import Call, Route, service_only
from push_workloads.common.subjects import BadId, token
from push_workloads.message.groups import policies
from push_workloads.message.groups.answers import MAX_BLOCKS
from push_workloads.message.groups.permits import Permits
from push_workloads.message.groups.policies import MAX_POLICIES, Policy
from push_workloads.message.groups.store import GroupStore

Tell = Callable[[str], Awaitable[None]]
"""Tells all gateways that what they know under a subject is void; lost when the bus is away: then they ask anew."""


class BlockList(Struct):
    user_ids: list[str]


class PolicyView(Struct):
    """`prefix`: of the names of topics. `stored`: by this API; else it came with the manifest."""

    prefix: str
    read: policies.Whom
    write: policies.Whom
    readers: list[str]
    writers: list[str]
    stored: bool


class PolicyList(Struct):
    topics: list[PolicyView]


def block_routes(store: GroupStore, tell: Tell) -> list[Route]:
    async def mine(call: Call) -> BlockList:
        return BlockList(await store.blocks(call.user_id, MAX_BLOCKS))

    async def block(call: Call) -> None:
        other = _user(call)
        if other == call.user_id:
            raise BadRequest("user_id: that is you")
        if len(await store.blocks(call.user_id, MAX_BLOCKS)) >= MAX_BLOCKS:
            raise Conflict(f"a user blocks at most {MAX_BLOCKS} others")
        await store.block(call.user_id, other)
        await tell(questions.BLOCKS_CHANGED + token(call.user_id))

    async def unblock(call: Call) -> None:
        await store.unblock(call.user_id, _user(call))
        await tell(questions.BLOCKS_CHANGED + token(call.user_id))

    path = "/blocks/{user_id}"
    return [
        Route("GET", "/blocks", mine, "Whom the caller blocks", BlockList),
        Route("PUT", path, block, "Takes no more direct messages from a user", None, errors=(400, 409)),
        Route("DELETE", path, unblock, "Takes direct messages from a user again", None, errors=(400,)),
    ]


def topic_routes(store: GroupStore, permits: Permits, tell: Tell) -> list[Route]:
    async def listed(call: Call) -> PolicyList:
        service_only(call)
        stored = await store.policies()
        found = sorted((await permits.policies()).items())
        return PolicyList([_shown(prefix, policy, prefix in stored) for prefix, policy in found])

    async def put(call: Call) -> None:
        service_only(call)
        prefix = _prefix(call)
        stored = await store.policies()
        if prefix not in stored and len(stored) >= MAX_POLICIES:
            raise Conflict(f"there are at most {MAX_POLICIES} policies: remove one")
        await store.put_policy(prefix, policies.encode(call.body))
        await tell(questions.TOPICS_CHANGED)

    async def remove(call: Call) -> None:
        service_only(call)
        await store.remove_policy(_prefix(call))
        await tell(questions.TOPICS_CHANGED)

    path = "/topics/{prefix}"
    routes = [
        Route("GET", "/topics", listed, "The policies of topics", PolicyList, errors=(403,)),
        Route("PUT", path, put, "Sets the policy of topics with a prefix", None, Policy, errors=(403, 409)),
        Route("DELETE", path, remove, "Removes it; the manifest's, if any, is back", None, errors=(400, 403)),
    ]
    return [replace(one, scope="topics") for one in routes]


def _user(call: Call) -> str:
    try:
        token(call.path["user_id"])
    except BadId as error:
        raise BadRequest(f"user_id: {error}") from error
    return call.path["user_id"]


def _prefix(call: Call) -> str:
    prefix = call.path["prefix"]
    try:
        token(prefix)
    except BadId as error:
        raise BadRequest(f"prefix: {error}") from error
    return prefix


def _shown(prefix: str, policy: Policy, stored: bool) -> PolicyView:
    return PolicyView(prefix, policy.read, policy.write, list(policy.readers), list(policy.writers), stored)
