"""Who may see whose presence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.questions import WatchAsked
from push_workloads.message.groups.store import MemoryGroups
from push_workloads.message.groups.visibility import WIDEST_FIRST, Sight, Visibility, setting_of, sight
from push_workloads.message.groups.watchers import Watchers
from push_workloads.message.store import MemoryStore

USERS = st.sampled_from(["ann", "bob", "cid", "dan"])


@pytest.mark.parametrize(
    ("policy", "setting", "shown", "to_contacts"),
    [
        ("everyone", None, True, False),
        ("everyone", "everyone", True, False),
        ("everyone", "contacts", False, True),
        ("everyone", "nobody", False, False),
        ("contacts", None, False, True),
        ("contacts", "everyone", False, True),
        ("contacts", "nobody", False, False),
        ("nobody", "everyone", False, False),
        ("everyone", "of a newer version", False, False),
    ],
)
def test_a_user_draws_it_narrower_and_never_wider(
    policy: Visibility, setting: str | None, shown: bool, to_contacts: bool
) -> None:
    found = sight("ann", ["bob"], policy, {} if setting is None else {"bob": setting}, ())
    assert found == Sight(frozenset({"bob"} if shown else ()), frozenset({"bob"} if to_contacts else ()))


def test_what_a_user_has_not_said_is_everyone() -> None:
    assert setting_of(None) == "everyone"
    assert setting_of("of a newer version") == "nobody"


@given(
    USERS, st.sets(USERS), st.sampled_from(WIDEST_FIRST), st.dictionaries(USERS, st.sampled_from(WIDEST_FIRST)),
    st.sets(USERS),
)  # fmt: skip
def test_blocks_hide_whatever_else_and_nobody_hides_from_oneself(
    asker: str, others: set[str], policy: Visibility, settings: dict[str, str], blocked: set[str]
) -> None:
    found = sight(asker, others, policy, settings, blocked)
    assert not (found.shown | found.to_contacts - {asker}) - {asker} & blocked
    assert (asker in found.shown) == (asker in others)
    assert not found.shown & found.to_contacts
    assert found.shown | found.to_contacts <= others


class LookedUp(MemoryGroups):
    """All share a group."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[str] = []

    async def sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        self.others.extend(others)
        return set(others)


async def test_who_hides_or_blocks_costs_no_fewer_reads_than_who_was_never_there() -> None:
    groups = LookedUp()
    await groups.block("bob", "ann")
    await groups.put_visibility("cid", "nobody")
    asked = WatchAsked([("ann", other) for other in ("ann", "bob", "cid", "dan")])
    answer = await Watchers(groups, MemoryStore(), "contacts").answer(asked)
    assert answer.allowed == [True, False, False, True]
    assert groups.others == ["bob", "cid", "dan"]
