"""Answers what gateways ask over the bus (`common/questions.py`): groups of a user, rights on a topic, blocks."""

from __future__ import annotations

from typing import Final

from push_workloads.common import changes, questions
from push_workloads.common.questions import Blocks, Membership, Memberships, TopicAsked, TopicRights, UserAsked
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


def _membership(one: Member, group: Group) -> Membership:
    change = changes.decode(group.pending) if group.pending is not None else None
    is_removed = change is not None and change.change == "removed" and one.user_id in change.user_ids
    is_leaving = is_removed or (change is not None and change.change == "deleted")
    return Membership(one.group_id, one.role, one.epoch, one.seq, group.members, is_leaving)
