"""Groups in Cassandra: the store that replicas share.

The row of a group is only ever written conditionally; `unsettled` is written before it, and cleared after, so that a
pending change is always found. A member is two rows, written and removed together in a logged batch, under the version
of the group as time: a replica that comes late with an old change undoes nothing. All reads of groups settle what
conditional writes are under way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from push_workloads.common.cassandra import Cassandra, Row, Statement, Undecided
from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.tasks import together
from push_workloads.message.groups.rules import MAX_GROUPS_OF_USER, Group, Member

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.groups (
      group_id text PRIMARY KEY, name text, owner text, members int, created_by text, created_at bigint,
      version bigint, deleted boolean, pending blob
    )
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.groups_unsettled (one int, group_id text, PRIMARY KEY (one, group_id))",
    """
    CREATE TABLE IF NOT EXISTS {ks}.group_members (
      group_id text, user_id text, role text, epoch text, seq bigint, PRIMARY KEY (group_id, user_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.groups_of_user (
      user_id text, group_id text, role text, epoch text, seq bigint, PRIMARY KEY (user_id, group_id)
    )
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.blocks (user_id text, other text, PRIMARY KEY (user_id, other))",
    "CREATE TABLE IF NOT EXISTS {ks}.topic_policies (one int, prefix text, policy blob, PRIMARY KEY (one, prefix))",
    "CREATE TABLE IF NOT EXISTS {ks}.privacy (user_id text PRIMARY KEY, visible_to text)",
)
ONE: Final = 0  # the key of tables that are one partition
_STATEMENTS: Final = {
    "create": "INSERT INTO {ks}.groups "
    "(group_id, name, owner, members, created_by, created_at, version, deleted, pending) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
    "replace": "UPDATE {ks}.groups SET name = ?, owner = ?, members = ?, deleted = ?, pending = ?, version = ? "
    "WHERE group_id = ? IF version = ?",
    "unsettle": "INSERT INTO {ks}.groups_unsettled (one, group_id) VALUES (?, ?)",
    "settle": "DELETE FROM {ks}.groups_unsettled WHERE one = ? AND group_id = ?",
    "unsettled": "SELECT group_id FROM {ks}.groups_unsettled WHERE one = ? LIMIT ?",
    "put_member": """
        BEGIN BATCH USING TIMESTAMP ?
          INSERT INTO {ks}.group_members (group_id, user_id, role, epoch, seq) VALUES (?, ?, ?, ?, ?);
          INSERT INTO {ks}.groups_of_user (group_id, user_id, role, epoch, seq) VALUES (?, ?, ?, ?, ?);
        APPLY BATCH""",
    "remove_member": """
        BEGIN BATCH USING TIMESTAMP ?
          DELETE FROM {ks}.group_members WHERE group_id = ? AND user_id = ?;
          DELETE FROM {ks}.groups_of_user WHERE group_id = ? AND user_id = ?;
        APPLY BATCH""",
    "member": "SELECT group_id, user_id, role, epoch, seq FROM {ks}.group_members WHERE group_id = ? AND user_id = ?",
    "members": "SELECT group_id, user_id, role, epoch, seq FROM {ks}.group_members "
    "WHERE group_id = ? AND user_id > ? LIMIT ?",
    "of_user": "SELECT group_id, user_id, role, epoch, seq FROM {ks}.groups_of_user WHERE user_id = ? LIMIT ?",
    "blocks": "SELECT other FROM {ks}.blocks WHERE user_id = ? LIMIT ?",
    "blocks_one": "SELECT other FROM {ks}.blocks WHERE user_id = ? AND other = ?",
    "block": "INSERT INTO {ks}.blocks (user_id, other) VALUES (?, ?)",
    "unblock": "DELETE FROM {ks}.blocks WHERE user_id = ? AND other = ?",
    "unblock_all": "DELETE FROM {ks}.blocks WHERE user_id = ?",
    "group_ids": "SELECT group_id FROM {ks}.groups_of_user WHERE user_id = ? LIMIT ?",
    "visibility": "SELECT user_id, visible_to FROM {ks}.privacy WHERE user_id = ?",
    "put_visibility": "INSERT INTO {ks}.privacy (user_id, visible_to) VALUES (?, ?)",
    "remove_visibility": "DELETE FROM {ks}.privacy WHERE user_id = ?",
    "policies": "SELECT prefix, policy FROM {ks}.topic_policies WHERE one = ? LIMIT 5000",
    "put_policy": "INSERT INTO {ks}.topic_policies (one, prefix, policy) VALUES (?, ?, ?)",
    "remove_policy": "DELETE FROM {ks}.topic_policies WHERE one = ? AND prefix = ?",
}  # fmt: skip
_SETTLED: Final = (
    "SELECT group_id, name, owner, members, created_by, created_at, version, deleted, pending "
    "FROM {ks}.groups WHERE group_id = ?"
)


class CassandraGroups:
    """A GroupStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement], settled: Statement) -> None:
        self._cassandra = cassandra
        self._statements = statements
        self._settled = settled

    async def group(self, group_id: str) -> Group | None:
        row = await self._cassandra.row(self._settled, group_id)
        return Group(**row) if row else None

    async def create(self, group: Group) -> bool:
        await self._do("unsettle", ONE, group.group_id)
        return await self._decided(group, "create", *group)

    async def replace(self, group: Group) -> bool:
        if group.pending is not None:
            await self._do("unsettle", ONE, group.group_id)
        written = (group.name, group.owner, group.members, group.deleted, group.pending)
        next_version = group.version + 1
        wanted = group._replace(version=next_version)
        return await self._decided(wanted, "replace", *written, next_version, group.group_id, group.version)

    async def unsettled(self, limit: int) -> list[str]:
        return [row["group_id"] for row in await self._rows("unsettled", ONE, limit)]

    async def settled(self, group_id: str) -> None:
        await self._do("settle", ONE, group_id)

    async def put_members(self, members: Sequence[Member], version: int) -> None:
        await together(self._do("put_member", _stamp(version), *one, *one) for one in members)

    async def remove_members(self, group_id: str, user_ids: Sequence[str], version: int) -> None:
        rows = ((group_id, user, group_id, user) for user in user_ids)
        await together(self._do("remove_member", _stamp(version), *row) for row in rows)

    async def member(self, group_id: str, user_id: str) -> Member | None:
        rows = await self._rows("member", group_id, user_id)
        return Member(**rows[0]) if rows else None

    async def members(self, group_id: str, after: str, limit: int) -> list[Member]:
        return [Member(**row) for row in await self._rows("members", group_id, after, limit)]

    async def memberships(self, user_id: str, limit: int) -> list[tuple[Member, Group]]:
        mine = [Member(**row) for row in await self._rows("of_user", user_id, limit)]
        groups = await together(self.group(one.group_id) for one in mine)
        return [(one, group) for one, group in zip(mine, groups, strict=True) if group and not group.deleted]

    async def blocks(self, user_id: str, limit: int) -> list[str]:
        return [row["other"] for row in await self._rows("blocks", user_id, limit)]

    async def blocks_one(self, user_id: str, other: str) -> bool:
        return bool(await self._rows("blocks_one", user_id, other))

    async def blockers(self, user_ids: Sequence[str], other: str) -> set[str]:
        blocking = await together(self.blocks_one(user, other) for user in user_ids)
        return {user for user, blocks in zip(user_ids, blocking, strict=True) if blocks}

    async def block(self, user_id: str, other: str) -> None:
        await self._do("block", user_id, other)

    async def unblock(self, user_id: str, other: str) -> None:
        await self._do("unblock", user_id, other)

    async def sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        mine = await self._group_ids(user_id)
        theirs = await together(self._group_ids(other) for other in others) if mine else []
        return {other for other, groups in zip(others, theirs, strict=False) if groups & mine}

    async def visibilities(self, user_ids: Sequence[str]) -> dict[str, str]:
        found = await together(self._rows("visibility", user_id) for user_id in user_ids)
        return {row["user_id"]: row["visible_to"] for rows in found for row in rows}

    async def put_visibility(self, user_id: str, visible_to: str) -> None:
        await self._do("put_visibility", user_id, visible_to)

    async def forget(self, user_id: str) -> None:
        await self._do("remove_visibility", user_id)
        await self._do("unblock_all", user_id)

    async def policies(self) -> dict[str, bytes]:
        return {row["prefix"]: row["policy"] for row in await self._rows("policies", ONE)}

    async def put_policy(self, prefix: str, policy: bytes) -> None:
        await self._do("put_policy", ONE, prefix, policy)

    async def remove_policy(self, prefix: str) -> None:
        await self._do("remove_policy", ONE, prefix)

    async def _group_ids(self, user_id: str) -> set[str]:
        return {row["group_id"] for row in await self._rows("group_ids", user_id, MAX_GROUPS_OF_USER)}

    async def _decided(self, wanted: Group, statement: str, *values: object) -> bool:
        """A conditional write whose answer was lost was done when the row is as it would be then."""
        try:
            return await self._cassandra.write_if(self._statements[statement], *values) is None
        except Undecided:
            return await self.group(wanted.group_id) == wanted

    async def _do(self, statement: str, *values: object) -> None:
        await self._cassandra.write(self._statements[statement], *values)

    async def _rows(self, statement: str, *values: object) -> list[Row]:
        return await self._cassandra.rows(self._statements[statement], *values)


def _stamp(version: int) -> int:
    """The time under which a change is written: of two changes the later one stays, in whatever order they arrive."""
    return version + 1


@asynccontextmanager
async def cassandra_groups(config: CassandraConfig, checks: Checks) -> AsyncIterator[CassandraGroups]:
    """The store in that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "groups", MIGRATIONS, checks) as cassandra:
        statements = {name: await cassandra.prepare(text) for name, text in _STATEMENTS.items()}
        yield CassandraGroups(cassandra, statements, await cassandra.prepare(_SETTLED, serial=True))
