"""Where groups are changed: decides on the row of the group, then settles what was decided.

Settling tells the change in the group's log, writes the rows of members, tells the inboxes concerned, and clears the
change from the row, in this order. Each step may happen twice, so whoever finds a pending change, after a crash at any
line or in a race, does all of them again: the log drops what it has already within two minutes, and after that the
change stands in it twice, while members go on from where they were.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol
from weakref import WeakValueDictionary

from nats.js.api import PubAck

from push_workloads.common import changes
from push_workloads.common.changes import MAX_USERS, Change, Role, Since
from push_workloads.common.errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable
from push_workloads.common.ids import message_id_of, uuid7
from push_workloads.common.sending import Publish
from push_workloads.common.subjects import BadId, channel_subject, group, inbox_subject, token
from push_workloads.common.tokens import SERVICE
from push_workloads.message.groups import rules
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER, NO_GROUP, Actor, Decision, Group, Member
from push_workloads.message.groups.store import GroupStore

TRIES: Final = 12
PAUSE_SECONDS: Final = 0.02
SWEEP_SECONDS: Final = 5.0
SWEEP_LIMIT: Final = 100
PAGE: Final = 500
_log = logging.getLogger(__name__)
Decide = Callable[[Group, Actor], Awaitable[Decision | None]]


class Log(Protocol):
    """The log as changes are told in it; raises Unavailable."""

    async def publish(self, publication: Publish) -> PubAck: ...

    def epoch(self, subject: str) -> str:
        """Of the log in which a channel lives."""


class Office:
    """Of one replica; any number may work at the same time."""

    def __init__(self, store: GroupStore) -> None:
        self._store = store
        self._log: Log | None = None
        self._settling: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # of groups being settled now

    def open(self, log: Log) -> None:
        self._log = log

    # What may be asked

    async def create(self, by: str, owner: str, name: str, members: Sequence[str], dedup_id: str | None) -> Group:
        """A new group; the same again when `dedup_id` was used by the same caller before."""
        name = rules.usable_name(name)
        others = _well_formed([user for user in dict.fromkeys(members) if user != owner])
        _well_formed([owner])
        if len(others) >= MAX_USERS:
            raise BadRequest(f"members: at most {MAX_USERS - 1} beside the owner; add more afterwards")
        await self._check_users([owner, *others], by)
        now = time.time_ns() // 1_000_000
        group_id = uuid7(now, os.urandom(10)) if dedup_id is None else message_id_of(by, "groups", dedup_id)
        made = Group(group_id, name, owner, 1 + len(others), by, now)
        decision = Decision(made, "added", (owner, *others), "member", name)
        made = made._replace(pending=changes.encode(_change(decision, by, now)))
        if not await self._store.create(made):
            held = await self._store.group(group_id)
            if held is None or held.deleted:
                raise Conflict("the group of this dedup_id is deleted: take a new one")
            if held.pending is not None:
                await self._settle(held)
            return held
        await self._settle(made)
        return made

    async def rename(self, group_id: str, by: str, name: str) -> None:
        async def decide(held: Group, actor: Actor) -> Decision | None:
            return rules.rename(held, actor, name)

        await self._change(group_id, by, decide)

    async def add(self, group_id: str, by: str, user_ids: Sequence[str], role: Role = "member") -> None:
        """Adds those who are not there, and gives a role to one who is, or will be, when it is not `member`."""
        users = _well_formed(list(dict.fromkeys(user_ids)))

        async def decide(held: Group, actor: Actor) -> Decision | None:
            found = [await self._store.member(group_id, user) for user in users]
            there: dict[str, Role] = {one.user_id: one.role for one in found if one is not None}
            decision = rules.add(held, actor, users, there, role)
            if decision is not None:
                await self._check_users(decision.user_ids, by)
            return decision

        await self._change(group_id, by, decide)
        if role != "member":
            await self.give_role(group_id, by, users[0], role)

    async def give_role(self, group_id: str, by: str, user_id: str, role: Role) -> None:
        async def decide(held: Group, actor: Actor) -> Decision | None:
            before = await self._store.member(group_id, user_id)
            return rules.give_role(held, actor, user_id, role, before.role if before is not None else None)

        await self._change(group_id, by, decide)

    async def remove(self, group_id: str, by: str, user_id: str) -> None:
        async def decide(held: Group, actor: Actor) -> Decision | None:
            before = await self._store.member(group_id, user_id)
            return rules.remove(held, actor, user_id, before.role if before is not None else None)

        await self._change(group_id, by, decide)

    async def delete(self, group_id: str, by: str) -> None:
        async def decide(held: Group, actor: Actor) -> Decision | None:
            return rules.delete(held, actor)

        await self._change(group_id, by, decide)

    # How it is done

    async def sweep(self) -> None:
        """Settles what was left pending, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads replicas
            try:
                await self._sweep()
            except Unavailable:
                continue  # later

    async def _sweep(self) -> None:
        for group_id in await self._store.unsettled(SWEEP_LIMIT):
            held = await self._store.group(group_id)
            if held is not None and held.pending is not None:
                _log.info("settling a change that was left", extra={"group": group_id})
                await self._settle(held)
            else:
                await self._store.settled(group_id)

    async def _change(self, group_id: str, by: str, decide: Decide) -> None:
        """Raises Unavailable when others change it all the time."""
        for attempt in range(TRIES):
            held = await self._store.group(group_id)
            if held is None:
                raise NotFound(NO_GROUP)
            if held.pending is not None:
                await self._settle(held)
            elif held.deleted:
                raise NotFound(NO_GROUP)
            elif await self._decide(held, by, decide):
                return
            await asyncio.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries
        raise Unavailable("this group is being changed by others: try again", retry_after_ms=500)

    async def _decide(self, held: Group, by: str, decide: Decide) -> bool:
        """False when another change came first."""
        member = await self._store.member(held.group_id, by)
        actor = Actor(by, member.role if member is not None else None, by == SERVICE)
        decision = await decide(held, actor)
        if decision is None:
            return True
        change = _change(decision, by, time.time_ns() // 1_000_000)
        decided = decision.group._replace(pending=changes.encode(change))
        if not await self._store.replace(decided):
            return False
        await self._settle(decided._replace(version=decided.version + 1))
        return True

    async def _settle(self, held: Group) -> None:
        """Raises Unavailable when the log or the store is away: then it stays pending, and is settled later.

        One at a time for each group here; between replicas the store orders what is written for members by the version
        of the change (`GroupStore.put_members`): who comes late with an old change changes nothing.
        """
        lock = self._settling.setdefault(held.group_id, asyncio.Lock())
        async with lock:
            now = await self._store.group(held.group_id)
            if now is not None and now.version == held.version and now.pending is not None:
                await self._settle_now(now)

    async def _settle_now(self, held: Group) -> None:
        log, change = self._log, changes.decode(held.pending or b"")
        if log is None or change is None:
            raise Unavailable("the log is away", retry_after_ms=1000)
        subject = channel_subject(group(held.group_id))
        ack = await log.publish(Publish(change.message_id, subject, held.pending or b""))
        since = await self._sinces(held, change, Since(log.epoch(subject), ack.seq - 1))
        await self._write_members(held, change, since)
        if change.change in ("added", "removed"):
            await self._tell_inboxes(log, change, since)
        await self._store.replace(held._replace(pending=None))  # if not, another has settled it
        await self._store.settled(held.group_id)

    async def _sinces(self, held: Group, change: Change, since: Since) -> dict[str, Since]:
        """From where on each user who was added reads: whoever is there already was added by this very change, when it
        was settled before, and goes on from the same place."""
        if change.change != "added":
            return {}
        found = await asyncio.gather(*(self._store.member(held.group_id, user) for user in change.user_ids))
        there = {one.user_id: Since(one.epoch, one.seq) for one in found if one is not None}
        return {user: there.get(user, since) for user in change.user_ids}

    async def _write_members(self, held: Group, change: Change, since: dict[str, Since]) -> None:
        if change.change == "added":
            roles: dict[str, Role] = {user: "owner" if user == held.owner else "member" for user in change.user_ids}
            rows = [Member(held.group_id, user, roles[user], at.epoch, at.seq) for user, at in since.items()]
            await self._store.put_members(rows, held.version)
        elif change.change == "removed":
            await self._store.remove_members(held.group_id, change.user_ids, held.version)
        elif change.change == "role":
            await self._write_role(held, change.user_ids[0], change.role or "member")
        elif change.change == "deleted":
            await self._forget_members(held)

    async def _write_role(self, held: Group, user_id: str, role: Role) -> None:
        member = await self._store.member(held.group_id, user_id)
        rows = [member._replace(role=role)] if member is not None else []
        if role == "owner":
            rows += [one._replace(role="admin") for one in await self._owners_beside(held.group_id, user_id)]
        await self._store.put_members(rows, held.version)

    async def _owners_beside(self, group_id: str, user_id: str) -> list[Member]:
        found, after = [], ""
        while page := await self._store.members(group_id, after, PAGE):
            found += [one for one in page if one.role == "owner" and one.user_id != user_id]
            after = page[-1].user_id
        return found

    async def _forget_members(self, held: Group) -> None:
        while page := await self._store.members(held.group_id, "", PAGE):
            await self._store.remove_members(held.group_id, [one.user_id for one in page], held.version)

    async def _tell_inboxes(self, log: Log, change: Change, since: dict[str, Since]) -> None:
        copies = [
            Publish(change.message_id, inbox_subject(user), changes.encode(_copy(change, user, since.get(user))))
            for user in change.user_ids
        ]
        await asyncio.gather(*(log.publish(copy) for copy in copies))

    async def _check_users(self, user_ids: Sequence[str], by: str) -> None:
        """None of them is in too many groups, or blocks who adds them."""
        if by != SERVICE:
            blocking = await asyncio.gather(*(self._store.blocks_one(user, by) for user in user_ids))
            refusing = [user for user, blocks in zip(user_ids, blocking, strict=True) if blocks]
            if refusing:
                raise Forbidden(f"{', '.join(refusing[:5])}: cannot be added by you")
        most = MAX_GROUPS_OF_USER
        counts = await asyncio.gather(*(self._store.memberships(user, most) for user in user_ids))
        full = [user for user, mine in zip(user_ids, counts, strict=True) if len(mine) >= most]
        if full:
            raise Conflict(f"{', '.join(full[:5])}: in {most} groups already, which is the most")


def _change(decision: Decision, by: str, now_ms: int) -> Change:
    return Change(
        change=decision.what,
        message_id=uuid7(now_ms, os.urandom(10)),
        group_id=decision.group.group_id,
        by=by,
        sent_at=now_ms,
        user_ids=list(decision.user_ids),
        role=decision.role,
        name=decision.name,
    )


def _copy(change: Change, user_id: str, since: Since | None) -> Change:
    """For the inbox of one user."""
    return Change(
        change=change.change,
        message_id=change.message_id,
        group_id=change.group_id,
        by=change.by,
        sent_at=change.sent_at,
        user_ids=[user_id],
        role=change.role,
        name=change.name,
        since=since,
    )


def _well_formed(user_ids: list[str]) -> list[str]:
    for user_id in user_ids:
        try:
            token(user_id)
        except BadId as error:
            raise BadRequest(f"user_ids: {error}") from error
        if user_id == SERVICE:
            raise Forbidden(f"{SERVICE} is nobody's id")
    return user_ids
