"""Who was in a group when, by the changes in its log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Change(NamedTuple):
    """A change of a group's members as its log has it."""

    what: str  # added, removed
    user_ids: tuple[str, ...]
    change_id: str


class Period(NamedTuple):
    """From the seq of an `added` to that of the `removed`; None: still in."""

    begin: int
    end: int | None

    def holds(self, seq: int) -> bool:
        return self.begin <= seq and (self.end is None or seq <= self.end)


def periods(changes: Mapping[int, Change], user: str, *, founder: bool) -> list[Period]:
    """`founder`: was in it before anybody looked. A change that stands in the log twice, as one may after a
    crash, counts where it stands first."""
    found = [Period(0, None)] if founder else []
    known: set[str] = set()
    for seq, change in sorted(changes.items()):
        if user not in change.user_ids or change.change_id in known:
            continue
        known.add(change.change_id)
        is_in = bool(found) and found[-1].end is None
        if change.what == "added" and not is_in:
            found.append(Period(seq, None))
        elif change.what == "removed" and is_in:
            found[-1] = Period(found[-1].begin, seq)
    return found
