"""What was sent, acknowledged and seen; and what is wrong with it. Pure.

A message is known by its content, which is unique. Each device keeps the order in which it saw the seqs of a channel; a
seq that it saw before is a repeat and dropped, as the protocol lets clients do.

What a device must have seen of its inbox is every acknowledged message to or from its user; of a topic, all after its
first `subscribed`; of a group, all between the user's `added` and `removed` in the group's log, these two included. A
device that was away when its user was removed was sent the beginning of that, up to somewhere, without a hole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.support.delivery.members import Change, Period, periods

INBOX, GROUP = "user:", "group:"


class Sent(NamedTuple):
    """`channels`: in whose logs it belongs, the one that the ack speaks of first."""

    sender: str
    channels: tuple[str, ...]


@dataclass
class View:
    """What one device saw of one channel. `begins`: what is up to this seq was before its time."""

    user: str
    channel: str
    begins: int = 0
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
    """Counts over all devices; `faults` says a few of them in words. `leaked`: seen, or sent to a device that could not
    use it yet, outside of the time as a member. `cut_short`:
    times as a member whose end a device was not shown, as it was away. The last three are about the history that the
    services tell."""

    devices: int
    acked: int
    seen: int
    repeats: int
    changes: int
    cut_short: int
    lost: int
    reordered: int
    unsent: int
    doubled: int
    leaked: int
    unexplained: dict[str, int]
    told: dict[str, int]
    faults: tuple[str, ...]
    history_lost: int
    history_doubled: int
    history_unsent: int

    @property
    def good(self) -> bool:
        wrong = (self.lost, self.reordered, self.unsent, self.doubled, self.leaked, self.unexplained)
        return not any((*wrong, self.history_lost, self.history_doubled, self.history_unsent))


class Book:
    def __init__(self) -> None:
        self.views: dict[tuple[str, str], View] = {}  # by device and channel
        self.sent: dict[str, Sent] = {}  # by content
        self.acked: dict[str, int] = {}  # content → seq on the first of its channels
        self.changes: dict[str, dict[int, Change]] = {}  # by channel and seq
        self.founders: dict[str, set[str]] = {}  # by channel
        self.members: dict[str, set[str]] = {}  # by channel: as the API has answered
        self.removed: set[tuple[str, str]] = set()  # channel and user: since its removal was asked for
        self.passed: set[tuple[str, str, int]] = set()  # user, channel, seq: came when the device had no use for it
        self.unexplained: Counter[str] = Counter()
        self.told: Counter[str] = Counter()  # `recovered` and its reasons; closes and errors that may be
        self.history: Counter[str] = Counter()  # lost, doubled, unsent

    def view(self, device: str, user: str, channel: str) -> View:
        return self.views.setdefault((device, channel), View(user, channel))

    def ack(self, content: str, seq: int) -> None:
        if self.acked.setdefault(content, seq) != seq:
            self.unexplained["a second ack with another seq"] += 1

    def changed(self, channel: str, seq: int, change: Change) -> None:
        if self.changes.setdefault(channel, {}).setdefault(seq, change) != change:
            self.unexplained["another change under a seq"] += 1

    def missing(self) -> int:
        """How much is still to arrive; 0 also when nothing is acknowledged."""
        due = _Due(self)
        return len(self._not_in_the_log()) + sum(len(due.of(view) - _had(view)) for view in self.views.values())

    def verdict(self) -> Verdict:
        due, faults = _Due(self), []
        lost = reordered = unsent = doubled = 0
        leaked = [one for one in self.passed if due.outside(one[0], one[1], one[2])]
        for user, channel, seq in leaked[:5]:
            faults.append(f"{user}: was sent {seq} of {channel}, was in it {due.periods(channel, user)}")
        for (device, channel), view in self.views.items():
            contents = [one for one in view.seen.values() if one in self.sent]
            gone = due.of(view) - _had(view)
            foreign = [one for seq, one in view.seen.items() if not self._belongs(view.channel, seq, one)]
            after = [(view.user, channel, seq) for seq in view.seen if due.outside(view.user, channel, seq)]
            twice = len(contents) - len(set(contents))
            lost, reordered = lost + len(gone), reordered + len(view.late)
            unsent, doubled, leaked = unsent + len(foreign), doubled + twice, leaked + after
            if gone or view.late or foreign or twice or after:
                faults.append(
                    f"{device} on {channel}: lost {sorted(gone)[:3]}, late {view.late[:3]}, unsent {foreign[:3]}, "
                    f"{twice=}, outside {[seq for *_, seq in after[:3]]}"
                )
        faults += [*self._disagreements(), *self._not_in_the_log()]
        return Verdict(
            devices=len({device for device, _ in self.views}),
            acked=len(self.acked),
            seen=sum(len(view.seen) for view in self.views.values()),
            repeats=sum(view.repeats for view in self.views.values()),
            changes=sum(len(changes) for changes in self.changes.values()),
            cut_short=sum(due.cut_short(view) for view in self.views.values()),
            lost=lost,
            reordered=reordered,
            unsent=unsent,
            doubled=doubled,
            leaked=len(leaked),
            unexplained=dict(self.unexplained),
            told=dict(self.told),
            faults=tuple(faults[:20]),
            history_lost=self.history["lost"],
            history_doubled=self.history["doubled"],
            history_unsent=self.history["unsent"],
        )

    def _belongs(self, channel: str, seq: int, content: str) -> bool:
        if channel.startswith(INBOX) and content.startswith("change "):
            return True
        change = self.changes.get(channel, {}).get(seq)
        if change is not None:
            return content == name_of(change)
        return content in self.sent and channel in self.sent[content].channels

    def _disagreements(self) -> Iterator[str]:
        """Devices must see the same message under the same seq, and where the ack says."""
        known = {(self.sent[content].channels[0], seq): content for content, seq in self.acked.items()}
        for (device, channel), view in self.views.items():
            for seq, content in view.seen.items():
                if known.setdefault((channel, seq), content) != content:
                    self.unexplained["devices disagree"] += 1
                    yield f"{device}: another message under seq {seq} of {channel}"

    def _not_in_the_log(self) -> list[str]:
        """Members by the log and members by the API's answers must be the same."""
        faults = []
        for channel, members in self.members.items():
            users = {user for change in self.changes.get(channel, {}).values() for user in change.user_ids}
            ends = {user: self.periods(channel, user)[-1:] for user in users | self.founders.get(channel, set())}
            inside = {user for user, last in ends.items() if last and last[0].end is None}
            if inside != members:
                faults.append(
                    f"{channel}: by its log it has {sorted(inside ^ members)} and by the API not, or opposite"
                )
        return faults

    def periods(self, channel: str, user: str) -> list[Period]:
        is_founder = user in self.founders.get(channel, ())
        return periods(self.changes.get(channel, {}), user, founder=is_founder)

    def close(self) -> None:
        """Nothing more will come."""
        if self._not_in_the_log():
            self.unexplained["members by the log differ from the API's"] += 1


class _Due:
    """What is due, by what the book says now."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._logs: dict[str, dict[int, str]] = {}  # of groups and topics
        self._inboxes: dict[str, set[str]] = {}
        self._periods: dict[tuple[str, str], list[Period]] = {}
        for content, seq in book.acked.items():
            for channel in book.sent[content].channels:
                if channel.startswith(INBOX):
                    self._inboxes.setdefault(channel, set()).add(content)
                else:
                    self._logs.setdefault(channel, {})[seq] = content
        for channel, changes in book.changes.items():
            self._logs.setdefault(channel, {}).update({seq: name_of(change) for seq, change in changes.items()})

    def of(self, view: View) -> set[str]:
        if view.channel.startswith(INBOX):
            return self._inboxes.get(view.channel, set())
        log = {seq: one for seq, one in self._logs.get(view.channel, {}).items() if seq > view.begins}
        if not view.channel.startswith(GROUP):
            return set(log.values())
        ranges = [_shown(view, period) for period in self.periods(view.channel, view.user)]
        return {one for seq, one in log.items() if any(begin <= seq <= end for begin, end in ranges)}

    def periods(self, channel: str, user: str) -> list[Period]:
        key = (channel, user)
        if key not in self._periods:
            self._periods[key] = self._book.periods(channel, user)
        return self._periods[key]

    def cut_short(self, view: View) -> int:
        found = self.periods(view.channel, view.user) if view.channel.startswith(GROUP) else []
        return sum(one.end is not None and one.end > view.begins and one.end not in view.seen for one in found)

    def outside(self, user: str, channel: str, seq: int) -> bool:
        """Of a group, and not the user's to see."""
        return channel.startswith(GROUP) and not any(one.holds(seq) for one in self.periods(channel, user))


def _shown(view: View, period: Period) -> tuple[int, float]:
    if period.end is None:
        return period.begin, float("inf")
    if period.end in view.seen:
        return period.begin, period.end
    return period.begin, max((seq for seq in view.seen if period.holds(seq)), default=-1)


def _had(view: View) -> set[str]:
    return set(view.seen.values())


def name_of(change: Change) -> str:
    return f"change {change.what} {change.change_id}"
