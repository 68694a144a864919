"""Answers what is asked over the bus (`common/questions.py`): by gateways groups of a user, rights on a topic, blocks;
by the push service the members of a group."""

from __future__ import annotations

from typing import Final

from push_workloads.common import changes, questions
from push_workloads.common.errors import BadRequest
from push_workloads.common.questions import (
    MAX_MEMBERS_PAGE,
    Blocks,
    Members,
    MembersAsked,
    Membership,
    Memberships,
    TopicAsked,
    TopicRights,
    UserAsked,
)
from push_workloads.common.subjects import token
from push_workloads.message.answering import Question
from push_workloads.message.groups import policies
from push_workloads.message.groups.permits import Permits
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER, Group, Member
from push_workloads.message.groups.store import GroupStore

MAX_BLOCKS: Final = 1000


def gateway_questions(store: GroupStore, permits: Permits) -> list[Question]:

    async def memberships(asked: UserAsked) -> Memberships:
        mine = await store.memberships(asked.user_id, MAX_GROUPS_OF_USER)
        return Memberships([_membership(one, group) for one, group in mine])

    async def topic(asked: TopicAsked) -> TopicRights:
        policy = await permits.policy(asked.topic)
        return TopicRights(
            read=policies.may_read(policy, asked.user_id),
            write=policies.may_write(policy, asked.user_id),
            for_everyone=policies.for_everyone(policy),
        )

    async def blocks(asked: UserAsked) -> Blocks:
        return Blocks(await store.blocks(asked.user_id, MAX_BLOCKS))

    return [
        Question(questions.MEMBERSHIPS, UserAsked, memberships),
        Question(questions.TOPIC, TopicAsked, topic),
        Question(questions.BLOCKS, UserAsked, blocks),
    ]


def members_question(store: GroupStore) -> Question:

    async def members(asked: MembersAsked) -> Members:
        if not 0 < asked.limit <= MAX_MEMBERS_PAGE:
            raise BadRequest(f"limit: 1 to {MAX_MEMBERS_PAGE}")
        token(asked.group_id)
        group = await store.group(asked.group_id)
        return Members(await _page(store, asked) if group is not None and not group.deleted else [])

    return Question(questions.MEMBERS, MembersAsked, members)


async def _page(store: GroupStore, asked: MembersAsked) -> list[str]:
    """Read on until it is full: a short page would be taken for the last."""
    kept: list[str] = []
    after, wanted = asked.after or "", asked.limit
    while wanted:
        read = [one.user_id for one in await store.members(asked.group_id, after, wanted)]
        blocking = await store.blockers(read, asked.sender) if asked.sender is not None else ()
        kept += [user for user in read if user not in blocking]
        if len(read) < wanted:
            break
        after, wanted = read[-1], asked.limit - len(kept)
    return kept


def _membership(one: Member, group: Group) -> Membership:
    change = changes.decode(group.pending) if group.pending is not None else None
    is_removed = change is not None and change.change == "removed" and one.user_id in change.user_ids
    is_leaving = is_removed or (change is not None and change.change == "deleted")
    return Membership(one.group_id, one.role, one.epoch, one.seq, group.members, is_leaving)
