"""Who may see whose presence. Pure.

The manifest says how far presence goes at most, and each user may draw that narrower. A block ends it both ways: whom I
block does not see me, and is out of my sight as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

Visibility = Literal["everyone", "contacts", "nobody"]
WIDEST_FIRST: Final[tuple[Visibility, ...]] = ("everyone", "contacts", "nobody")


class Sight(NamedTuple):
    """What decides of the users whom one user would see: those who are shown whatever else, and those who are shown to
    contacts."""

    shown: frozenset[str]
    to_contacts: frozenset[str]


def sight(
    asker: str,
    others: Collection[str],
    policy: Visibility,
    settings: Mapping[str, str],
    blocked: Collection[str],
) -> Sight:
    """`settings`: of those who have one. `blocked`: those of the others with whom there is a block, whoever set it.
    Users always see themselves."""
    reach = {other: _narrower(policy, setting_of(settings.get(other))) for other in others if other not in blocked}
    shown = {other for other, visible_to in reach.items() if visible_to == "everyone"}
    to_contacts = {other for other, visible_to in reach.items() if visible_to == "contacts"} - {asker}
    return Sight(frozenset(shown | ({asker} & set(others))), frozenset(to_contacts))


def setting_of(stored: str | None) -> Visibility:
    """What a user wants, who has perhaps not said it. What a newer version wrote and this one does not know shows
    nobody anything."""
    if stored is None:
        return "everyone"
    return next((one for one in WIDEST_FIRST if one == stored), "nobody")


def _narrower(one: Visibility, other: Visibility) -> Visibility:
    return max(one, other, key=WIDEST_FIRST.index)
