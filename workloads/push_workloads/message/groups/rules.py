"""What a group is, and who may change what in it. Pure: a decision is a `Decision`, or a PushError that says why not.

A group has exactly one owner. Owner and admins add and remove members and give the group its name; the owner alone
gives roles, hands the group over and deletes it. The service credential may do what the owner may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from push_workloads.common.changes import MAX_USERS, Role, What
from push_workloads.common.errors import BadRequest, Conflict, Forbidden, NotFound

MAX_MEMBERS: Final = 100_000
MAX_GROUPS_OF_USER: Final = 200
MAX_NAME_CHARS: Final = 128
NO_GROUP: Final = "you are in no such group"


class Group(NamedTuple):
    """`version` counts the writes of this row. `pending`: an encoded Change that is decided and not yet told and
    written everywhere; while there is one no other is decided."""

    group_id: str
    name: str
    owner: str
    members: int
    created_by: str
    created_at: int
    version: int = 0
    deleted: bool = False
    pending: bytes | None = None


class Member(NamedTuple):
    """`epoch`, `seq`: the place in the group's log from which on it is the member's to read."""

    group_id: str
    user_id: str
    role: Role
    epoch: str
    seq: int


class Actor(NamedTuple):
    """Who asks. `role` None: no member."""

    user_id: str
    role: Role | None
    is_service: bool = False


class Decision(NamedTuple):
    """The group as it will be, and the change to tell."""

    group: Group
    what: What
    user_ids: tuple[str, ...] = ()
    role: Role | None = None
    name: str | None = None


def usable_name(name: str) -> str:
    """The name as it is kept. Raises BadRequest."""
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise BadRequest(f"name: 1 to {MAX_NAME_CHARS} characters, without control characters")
    return name


def rename(group: Group, actor: Actor, name: str) -> Decision | None:
    """None when nothing changes, here and below."""
    _at_least_admin(actor, "rename it")
    name = usable_name(name)
    return Decision(group._replace(name=name), "renamed", name=name) if name != group.name else None


def add(
    group: Group, actor: Actor, user_ids: Sequence[str], there: Mapping[str, Role], role: Role = "member"
) -> Decision | None:
    """`there`: those of the users who are members; `role`: what the one user is to be given afterwards."""
    _at_least_admin(actor, "add members")
    if role != "member":
        _owner_only(actor)
    new = tuple(dict.fromkeys(user for user in user_ids if user not in there))
    if len(new) > MAX_USERS:
        raise BadRequest(f"user_ids: at most {MAX_USERS} at once")
    if not new:
        return None
    if group.members + len(new) > MAX_MEMBERS:
        raise Conflict(f"a group has at most {MAX_MEMBERS} members")
    grown = group._replace(members=group.members + len(new))
    return Decision(grown, "added", new, "member", group.name)


def remove(group: Group, actor: Actor, user_id: str, role: Role | None) -> Decision | None:
    """`role`: of the one who goes; None when that is no member."""
    if actor.role is None and not actor.is_service:
        raise NotFound(NO_GROUP)
    if role is None:
        return None
    if role == "owner":
        raise Conflict("the owner stays: hand the group over (role `owner` for another member), or delete it")
    if user_id != actor.user_id:
        _at_least_admin(actor, "remove members")
        if role == "admin" and actor.role == "admin":
            raise Forbidden("only the owner may remove an admin")
    return Decision(group._replace(members=group.members - 1), "removed", (user_id,))


def give_role(group: Group, actor: Actor, user_id: str, role: Role, before: Role | None) -> Decision | None:
    """Handing the group over makes the owner of before an admin."""
    if actor.role is None and not actor.is_service:
        raise NotFound(NO_GROUP)
    if before is None:
        raise NotFound("this user is no member: add them first")
    if before == role:
        return None
    _owner_only(actor)
    if before == "owner":
        raise Conflict("a group has an owner: give the role `owner` to another member")
    owner = user_id if role == "owner" else group.owner
    return Decision(group._replace(owner=owner), "role", (user_id,), role)


def delete(group: Group, actor: Actor) -> Decision:
    if actor.role is None and not actor.is_service:
        raise NotFound(NO_GROUP)
    if actor.role != "owner" and not actor.is_service:
        raise Forbidden("only the owner may delete it; leaving it is `DELETE …/members/YOUR_ID`")
    return Decision(group._replace(deleted=True), "deleted")


def _owner_only(actor: Actor) -> None:
    if actor.role != "owner" and not actor.is_service:
        raise Forbidden("only the owner may give roles")


def _at_least_admin(actor: Actor, what: str) -> None:
    if actor.is_service or actor.role in ("owner", "admin"):
        return
    if actor.role is None:
        raise NotFound(NO_GROUP)
    raise Forbidden(f"only the owner and admins may {what}")
