"""Whom the sockets of a gateway watch: a table of users, what is known of each, and who is told. Pure.

Whether a watcher may see a user is somebody else's to say: until then, and when not, the watcher is told nothing of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

from push_workloads.common.announcements import Announcement, Status

MAX_PAIRS: Final = 300_000  # of watchers and users; each is some 250 bytes
LOST_SECONDS: Final = 30.0  # two leases: after a Redis that has lost something, gateways have registered again by then
_W = TypeVar("_W", bound=Hashable)


class Watched(Generic[_W]):
    """One user. `known`: the status was read once; what is announced keeps it right."""

    __slots__ = ("_lost_at", "hidden_from", "known", "last_seen", "revision", "shown_to", "status", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.known = False
        self.status: Status = "offline"
        self.last_seen: int | None = None
        self.revision = 0
        self._lost_at: float | None = None
        self.shown_to: set[_W] = set()
        self.hidden_from: set[_W] = set()

    def take(self, told: Announcement) -> bool:
        """Whether its watchers are to be told. What was told before something that is known already comes to
        nothing; so does what says no more than that."""
        if told.revision < self.revision:
            return False
        before, self.status = self.status if self.known else None, told.status
        self.known, self.revision, self.last_seen = True, told.revision, told.last_seen
        self._lost_at = None
        return before is not None and before != told.status

    def read(self, told: Announcement, since_revision: int, now: float) -> bool:
        """The same for what was read. `since_revision`: the one that was known when the question went out; when there
        is a newer one by now, the answer is older than that. `now` is monotonic, in seconds."""
        if self.revision != since_revision and told.revision <= self.revision:
            return False
        if told.revision == 0:  # offline: its revision is not kept
            if self._is_lost(told, now):
                return False
            told = Announcement(told.user_id, told.status, self.revision, told.last_seen)
        return self.take(told)

    def _is_lost(self, told: Announcement, now: float) -> bool:
        """Who went offline was seen after it was told to be here. When neither is in Redis, that was emptied, and the
        user's gateway is about to register again: only what stays so is believed."""
        if self.status == "offline" or (told.last_seen or 0) >= self.revision:
            return False
        if self._lost_at is None:
            self._lost_at = now
        return now - self._lost_at < LOST_SECONDS


class WatchTable(Generic[_W]):
    """Who watches whom here."""

    def __init__(self, max_pairs: int = MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._users: dict[str, Watched[_W]] = {}
        self._watchers: dict[_W, set[str]] = {}
        self.pairs = 0

    def get(self, user_id: str) -> Watched[_W] | None:
        return self._users.get(user_id)

    def of(self, watcher: _W) -> frozenset[str]:
        """Whom this one watches."""
        return frozenset(self._watchers.get(watcher, ()))

    def watches(self, watcher: _W, user_id: str) -> bool:
        return user_id in self._watchers.get(watcher, ())

    @property
    def users(self) -> list[str]:
        return list(self._users)

    @property
    def watchers(self) -> list[_W]:
        return list(self._watchers)

    def add(self, watcher: _W, user_ids: Iterable[str]) -> list[str]:
        """From now on they are watched; those for whom there was no room."""
        left_out = []
        for user_id in user_ids:
            if self.watches(watcher, user_id):
                continue
            if self.pairs >= self._max_pairs:
                left_out.append(user_id)
                continue
            self.pairs += 1
            self._watchers.setdefault(watcher, set()).add(user_id)
            self._users.setdefault(user_id, Watched(user_id)).hidden_from.add(watcher)
        return left_out

    def remove(self, watcher: _W, user_ids: Iterable[str]) -> None:
        """They are watched no more by this one; those that are not watched are no fault."""
        own = self._watchers.get(watcher, set())
        for user_id in own.intersection(user_ids):
            own.discard(user_id)
            self.pairs -= 1
            watched = self._users[user_id]
            watched.shown_to.discard(watcher)
            watched.hidden_from.discard(watcher)
            if not watched.shown_to and not watched.hidden_from:
                del self._users[user_id]
        if not own:
            self._watchers.pop(watcher, None)

    def show(self, watcher: _W, user_id: str) -> bool:
        """This one may see the user; whether that is new."""
        return self._move(watcher, user_id, shown=True)

    def hide(self, watcher: _W, user_id: str) -> bool:
        """This one may not; whether it could until now."""
        return self._move(watcher, user_id, shown=False)

    def _move(self, watcher: _W, user_id: str, *, shown: bool) -> bool:
        watched = self._users.get(user_id)
        if watched is None:
            return False
        before, after = watched.hidden_from, watched.shown_to
        if not shown:
            before, after = after, before
        if watcher not in before:
            return False
        before.discard(watcher)
        after.add(watcher)
        return True
