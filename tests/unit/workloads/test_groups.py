"""Groups: what may be done by whom, and that every change is told whole, whatever fails on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.js.api import PubAck

from push_workloads.common import changes
from push_workloads.common.changes import Change
from push_workloads.common.errors import BadRequest, Conflict, Forbidden, NotFound, PushError, Unavailable
from push_workloads.common.sending import Publish
from push_workloads.common.tokens import SERVICE
from push_workloads.message.groups import policies, rules
from push_workloads.message.groups.office import Office
from push_workloads.message.groups.permits import Permits
from push_workloads.message.groups.policies import BadPolicies, Policy, read_policies
from push_workloads.message.groups.rules import MAX_MEMBERS, Actor, Group, Member
from push_workloads.message.groups.store import MemoryGroups

GROUP = Group("g", "Friends", "ann", 3, "ann", 1)
OWNER, ADMIN, MEMBER = Actor("ann", "owner"), Actor("al", "admin"), Actor("bob", "member")
STRANGER, BACKEND = Actor("eve", None), Actor(SERVICE, None, is_service=True)


@pytest.mark.parametrize(
    ("actor", "refused"),
    [(OWNER, None), (ADMIN, None), (BACKEND, None), (MEMBER, Forbidden), (STRANGER, NotFound)],
)
def test_who_may_rename_and_add(actor: Actor, refused: type[PushError] | None) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: rules.rename(GROUP, actor, "Other"),
        lambda: rules.add(GROUP, actor, ["new"], {}),
    ]
    for way in ways:
        if refused is None:
            assert way() is not None
        else:
            with pytest.raises(refused):
                way()


@pytest.mark.parametrize(
    ("actor", "user", "role", "refused"),
    [
        (MEMBER, "bob", "member", None),  # leaves
        (ADMIN, "al", "admin", None),
        (OWNER, "ann", "owner", Conflict),  # not without a successor
        (OWNER, "al", "admin", None),
        (ADMIN, "bob", "member", None),
        (ADMIN, "ann", "owner", Conflict),
        (ADMIN, "other", "admin", Forbidden),
        (MEMBER, "cid", "member", Forbidden),
        (STRANGER, "bob", "member", NotFound),
        (BACKEND, "al", "admin", None),
        (BACKEND, "ann", "owner", Conflict),
    ],
)
def test_who_may_remove_whom(actor: Actor, user: str, role: Any, refused: type[PushError] | None) -> None:
    if refused is None:
        decision = rules.remove(GROUP, actor, user, role)
        assert decision is not None
        assert (decision.what, decision.user_ids, decision.group.members) == ("removed", (user,), 2)
    else:
        with pytest.raises(refused):
            rules.remove(GROUP, actor, user, role)


@pytest.mark.parametrize(
    ("actor", "role", "before", "refused"),
    [
        (OWNER, "admin", "member", None),
        (OWNER, "owner", "member", None),
        (OWNER, "member", "owner", Conflict),
        (BACKEND, "owner", "admin", None),
        (ADMIN, "admin", "member", Forbidden),
        (MEMBER, "owner", "member", Forbidden),
        (STRANGER, "owner", "member", NotFound),
        (OWNER, "admin", None, NotFound),
    ],
)
def test_who_may_give_roles(actor: Actor, role: Any, before: Any, refused: type[PushError] | None) -> None:
    if refused is None:
        decision = rules.give_role(GROUP, actor, "bob", role, before)
        assert decision is not None and decision.group.owner == ("bob" if role == "owner" else "ann")
    else:
        with pytest.raises(refused):
            rules.give_role(GROUP, actor, "bob", role, before)


def test_limits_and_what_changes_nothing() -> None:
    assert rules.rename(GROUP, OWNER, " Friends ") is None
    assert rules.add(GROUP, OWNER, ["bob"], {"bob": "member"}) is None
    assert rules.remove(GROUP, OWNER, "nobody", None) is None
    assert rules.give_role(GROUP, OWNER, "bob", "admin", "admin") is None
    with pytest.raises(Conflict, match="100000"):
        rules.add(GROUP._replace(members=MAX_MEMBERS), OWNER, ["new"], {})
    for name in ("", "  ", "x" * 129, "a\nb"):
        with pytest.raises(BadRequest, match="name"):
            rules.rename(GROUP, OWNER, name)


class FlakyLog:
    """The log of all channels in memory. Each of `failures` makes one publish fail: before it is stored, or after."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, Change]] = []
        self.failures: list[str] = []
        self._seqs: dict[tuple[str, str], int] = {}

    def epoch(self, subject: str) -> str:
        return "e1"

    async def publish(self, publication: Publish) -> PubAck:
        await asyncio.sleep(0)
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "before":
            raise Unavailable("away")
        key = (publication.message_id, publication.subject)
        duplicate = key in self._seqs
        if not duplicate:
            change = changes.decode(publication.payload)
            assert change is not None
            self.stored.append((publication.subject, change))
            self._seqs[key] = len(self.stored)
        if failure == "after":
            raise Unavailable("away")
        return PubAck(stream="LOG_0", seq=self._seqs[key], duplicate=duplicate)

    def forget(self) -> None:
        """The window in which repeats are dropped is over."""
        self._seqs.clear()

    def of(self, subject: str) -> list[Change]:
        return [change for place, change in self.stored if place == subject]


class StallingGroups(MemoryGroups):
    """The same groups, for another replica whose first write for members waits."""

    def __init__(self, store: MemoryGroups) -> None:
        super().__init__()
        self.__dict__ |= store.__dict__
        self.stalled, self.go = asyncio.Event(), asyncio.Event()

    async def put_members(self, members: Sequence[Member], version: int) -> None:
        self.stalled.set()
        await self.go.wait()
        await super().put_members(members, version)


def office() -> tuple[Office, MemoryGroups, FlakyLog]:
    store, log = MemoryGroups(), FlakyLog()
    made = Office(store)
    made.open(log)
    return made, store, log


async def test_a_new_group_is_told_to_all_who_are_in_it() -> None:
    desk, store, log = office()
    made = await desk.create("ann", "ann", " Friends ", ["bob", "ann", "bob"], None)
    assert (made.name, made.owner, made.members) == ("Friends", "ann", 2)
    (told,) = log.of(f"g.{made.group_id}")
    assert (told.change, told.user_ids, told.by, told.name) == ("added", ["ann", "bob"], "ann", "Friends")
    for user, role in (("ann", "owner"), ("bob", "member")):
        (copy,) = log.of(f"u.{user}")
        assert copy.since is not None and (copy.user_ids, copy.since.epoch, copy.since.seq) == ([user], "e1", 0)
        ((member, group),) = await store.memberships(user, 9)
        assert (member.role, member.seq, group.pending) == (role, 0, None)


async def test_the_same_dedup_id_is_the_same_group_also_when_its_making_was_cut_off() -> None:
    desk, store, log = office()
    first = await desk.create("ann", "ann", "Friends", [], "k" * 16)
    assert (await desk.create("ann", "ann", "Friends", [], "k" * 16)).group_id == first.group_id
    assert len(log.of(f"g.{first.group_id}")) == 1
    await desk.rename(first.group_id, "ann", "Pals")
    assert (await desk.create("ann", "ann", "Friends", [], "k" * 16)).group_id == first.group_id
    log.failures = ["before"]
    with pytest.raises(Unavailable):
        await desk.create("cid", "cid", "Friends", [], "k" * 16)
    made = await desk.create("cid", "cid", "Friends", [], "k" * 16)
    assert await store.member(made.group_id, "cid") is not None
    assert (await desk.create("bob", "bob", "Friends", [], "k" * 16)).group_id != first.group_id


async def test_handing_over_leaves_one_owner() -> None:
    desk, store, _ = office()
    group_id = (await desk.create("ann", "ann", "Friends", ["bob"], None)).group_id
    await desk.give_role(group_id, "ann", "bob", "owner")
    assert {one.user_id: one.role for one in await store.members(group_id, "", 9)} == {"ann": "admin", "bob": "owner"}
    await desk.remove(group_id, "ann", "ann")
    with pytest.raises(Conflict):
        await desk.remove(group_id, "bob", "bob")
    await desk.delete(group_id, "bob")
    assert await store.memberships("bob", 9) == [] == await store.members(group_id, "", 9)
    with pytest.raises(NotFound):
        await desk.rename(group_id, "bob", "Other")


async def test_a_change_that_is_settled_again_much_later_moves_nobody() -> None:
    desk, store, log = office()
    group_id = (await desk.create("ann", "ann", "Friends", [], None)).group_id
    log.failures = ["", "before"]  # told in the group, and cut off before the inbox hears it
    with pytest.raises(Unavailable):
        await desk.add(group_id, "ann", ["bob"])
    before = await store.member(group_id, "bob")
    log.forget()
    await desk._sweep()
    assert before is not None and await store.member(group_id, "bob") == before
    assert [copy.since.seq for copy in log.of("u.bob") if copy.since is not None] == [before.seq]


async def test_a_settler_that_stalls_undoes_no_later_change() -> None:
    desk, store, log = office()
    group_id = (await desk.create("ann", "ann", "Friends", [], None)).group_id
    log.failures = ["before"]
    with pytest.raises(Unavailable):
        await desk.add(group_id, "ann", ["bob"])
    late = StallingGroups(store)
    slow = Office(late)
    slow.open(log)
    sweeping = asyncio.create_task(slow._sweep())
    await late.stalled.wait()
    await desk.remove(group_id, "ann", "bob")
    late.go.set()
    await sweeping
    group = await store.group(group_id)
    assert group is not None and group.members == 1
    assert [one.user_id for one in await store.members(group_id, "", 9)] == ["ann"]


async def test_nobody_is_added_by_whom_they_block_or_with_a_role_that_is_refused() -> None:
    desk, store, _ = office()
    await store.block("vic", "evil")
    with pytest.raises(Forbidden):
        await desk.create("evil", "evil", "Trap", ["vic"], None)
    group_id = (await desk.create("ann", "ann", "Friends", ["al"], None)).group_id
    await desk.give_role(group_id, "ann", "al", "admin")
    with pytest.raises(Forbidden):
        await desk.add(group_id, "al", ["new"], "admin")
    assert await store.member(group_id, "new") is None


USERS = ["ann", "bob", "cid", "dan"]
STEP = st.tuples(
    st.sampled_from(["add", "remove", "role", "rename", "delete"]),
    st.sampled_from([*USERS, SERVICE]),
    st.sampled_from(USERS),
    st.sampled_from(["owner", "admin", "member"]),
    st.lists(st.sampled_from(["", "", "before", "after"]), max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=15))
def test_whatever_fails_on_the_way_members_log_and_inboxes_agree(steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(_agree(steps))


async def _agree(steps: list[tuple[Any, ...]]) -> None:
    desk, store, log = office()
    group_id = (await desk.create("ann", "ann", "Friends", ["bob"], None)).group_id
    for what, by, user, role, failures in steps:
        log.failures = list(failures)
        ways = {
            "add": lambda: desk.add(group_id, by, [user]),  # noqa: B023 - called at once
            "remove": lambda: desk.remove(group_id, by, user),  # noqa: B023
            "role": lambda: desk.give_role(group_id, by, user, role),  # noqa: B023
            "rename": lambda: desk.rename(group_id, by, f"Name {role}"),  # noqa: B023
            "delete": lambda: desk.delete(group_id, by),  # noqa: B023
        }
        try:
            await ways[what]()
        except PushError:
            continue
        finally:
            log.failures = []
    await desk._sweep()
    group = await store.group(group_id)
    assert group is not None and group.pending is None
    rows = {one.user_id: one.role for one in await store.members(group_id, "", 99)}
    told = log.of(f"g.{group_id}")
    if group.deleted:
        assert rows == {}
        assert told[-1].change == "deleted"
        return
    assert group.members == len(rows)
    assert [user for user, role in rows.items() if role == "owner"] == [group.owner]
    assert set(rows) == _members(told)
    for user in USERS:
        copies = log.of(f"u.{user}")
        assert (bool(copies) and copies[-1].change == "added") == (user in rows)
        assert [copy.message_id for copy in copies] == [
            change.message_id for change in told if change.change in ("added", "removed") and user in change.user_ids
        ]


def _members(told: list[Change]) -> set[str]:
    here: set[str] = set()
    for change in told:
        here = here | set(change.user_ids) if change.change == "added" else here
        here = here - set(change.user_ids) if change.change == "removed" else here
    return here


async def test_those_who_race_are_all_served() -> None:
    desk, store, _ = office()
    other = Office(store)
    other.open(desk._log)  # type: ignore[arg-type]
    group_id = (await desk.create("ann", "ann", "Friends", [], None)).group_id
    await asyncio.gather(*((desk, other)[n % 2].add(group_id, "ann", [f"u{n}"]) for n in range(6)))
    group = await store.group(group_id)
    assert group is not None and group.members == 7 == len(await store.members(group_id, "", 99))


# Topics


def test_the_longest_prefix_counts() -> None:
    known = {"": Policy(read="everyone"), "news.": Policy(write="everyone"), "news.x": Policy(readers=["ann"])}
    assert policies.policy_for("other", known) is known[""]
    assert policies.policy_for("news.y", known) is known["news."]
    assert policies.policy_for("news.xy", known) is known["news.x"]
    assert policies.policy_for("a", {"b": Policy()}) is None


@pytest.mark.parametrize(
    ("policy", "user", "read", "write"),
    [
        (None, "ann", False, False),
        (Policy(), "ann", False, False),
        (Policy(read="everyone"), "ann", True, False),
        (Policy(write="everyone"), "ann", False, True),
        (Policy(readers=["ann"]), "ann", True, False),
        (Policy(writers=["ann"]), "bob", False, False),
    ],
)
async def test_what_a_policy_permits(policy: Policy | None, user: str, read: bool, write: bool) -> None:
    permits = Permits(MemoryGroups(), {"t": policy} if policy is not None else {})
    assert await permits.may_read(user, "topic:t1") is read
    assert await permits.may_write(user, "topic:t1") is write
    assert await permits.may_read(SERVICE, "topic:t1") and await permits.may_write(SERVICE, "topic:t1")


async def test_the_api_goes_before_the_manifest() -> None:
    store = MemoryGroups()
    permits = Permits(store, {"t": Policy(read="everyone")})
    await store.put_policy("t", policies.encode(Policy(write="everyone")))
    assert not await permits.may_read("ann", "topic:t")
    assert await permits.may_write("ann", "topic:t")


def test_the_manifests_policies_are_read_or_refused() -> None:
    assert read_policies('[{"prefix":"a","read":"everyone"}]') == {
        "a": policies.PrefixPolicy(prefix="a", read="everyone")
    }
    for text in ("{}", "[1]", '[{"read":"everyone"}]', '[{"prefix":"a","read":"all"}]', '[{"prefix":""}]', "["):
        with pytest.raises(BadPolicies):
            read_policies(text)
