"""What was sent, acknowledged and seen; and what is wrong with it. Pure.

A message is known by its content, which is unique. Each device keeps the order in which it saw the seqs of its inbox;
a seq that it saw before is a repeat and dropped, as the protocol lets clients do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

Seq = tuple[str, int]  # epoch, seq


@dataclass
class View:
    """What one device saw of its user's inbox."""

    user: str
    seen: dict[int, str] = field(default_factory=dict)  # seq → content
    last: int = 0
    repeats: int = 0
    late: list[int] = field(default_factory=list)  # a seq that came after a higher one, and not before

    def saw(self, seq: int, content: str) -> None:
        if seq in self.seen:
            self.repeats += 1
        elif seq < self.last:
            self.late.append(seq)
        self.seen.setdefault(seq, content)
        self.last = max(self.last, seq)


@dataclass(frozen=True)
class Verdict:
    """Counts over all devices; `faults` says a few of them in words."""

    devices: int
    acked: int
    seen: int
    repeats: int
    lost: int
    reordered: int
    unsent: int
    doubled: int
    unexplained: dict[str, int]
    told: dict[str, int]
    faults: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not (self.lost or self.reordered or self.unsent or self.doubled or self.unexplained)


class Book:
    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.sent: dict[str, tuple[str, str]] = {}  # content → sender, recipient
        self.acked: set[str] = set()
        self.unexplained: Counter[str] = Counter()
        self.told: Counter[str] = Counter()  # `recovered` and its reasons; closes and errors that may be

    def view(self, device: str, user: str) -> View:
        return self.views.setdefault(device, View(user))

    def due(self, user: str) -> set[str]:
        """The acknowledged messages that belong into an inbox."""
        return {content for content in self.acked if user in self.sent[content]}

    def missing(self) -> int:
        """How much is still to arrive; 0 also when nothing is acknowledged."""
        due = self._due()
        return sum(len(due[view.user] - set(view.seen.values())) for view in self.views.values() if view.user in due)

    def _due(self) -> dict[str, set[str]]:
        due: dict[str, set[str]] = {}
        for content in self.acked:
            for user in set(self.sent[content]):
                due.setdefault(user, set()).add(content)
        return due

    def verdict(self) -> Verdict:
        due, faults = self._due(), []
        lost = reordered = unsent = doubled = 0
        for device, view in self.views.items():
            contents = list(view.seen.values())
            gone = due.get(view.user, set()) - set(contents)
            foreign = [one for one in contents if view.user not in self.sent.get(one, ())]
            twice = len(contents) - len(set(contents))
            lost, reordered = lost + len(gone), reordered + len(view.late)
            unsent, doubled = unsent + len(foreign), doubled + twice
            if gone or view.late or foreign or twice:
                faults.append(
                    f"{device}: lost {sorted(gone)[:3]}, late {view.late[:3]}, unsent {foreign[:3]}, {twice=}"
                )
        faults += self._disagreements()
        return Verdict(
            devices=len(self.views),
            acked=len(self.acked),
            seen=sum(len(view.seen) for view in self.views.values()),
            repeats=sum(view.repeats for view in self.views.values()),
            lost=lost,
            reordered=reordered,
            unsent=unsent,
            doubled=doubled,
            unexplained=dict(self.unexplained),
            told=dict(self.told),
            faults=tuple(faults[:20]),
        )

    def _disagreements(self) -> list[str]:
        """Devices of one user must see the same message under the same seq."""
        known: dict[tuple[str, int], str] = {}
        faults = []
        for device, view in self.views.items():
            for seq, content in view.seen.items():
                if known.setdefault((view.user, seq), content) != content:
                    faults.append(f"{device}: another message under seq {seq}")
                    self.unexplained["devices disagree"] += 1
        return faults
