"""Push services that are not those of the known browsers. Pure.

Whoever registers a device names its push service, and may name one of her own: with as many names as she likes, and
with answers that never come. So all strangers together have few places, and one user's have fewer.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

MOST: Final = 16  # at once, in a process
MOST_OF_A_USER: Final = 2
# Of Chrome and those made of it; Firefox; Edge; Safari.
_KNOWN: Final = (".fcm.googleapis.com", ".push.services.mozilla.com", ".notify.windows.com", ".push.apple.com")


def is_known(host: str) -> bool:
    return f".{host}".lower().endswith(_KNOWN)


class Strangers:
    """Who is sent to at a stranger's just now."""

    def __init__(self) -> None:
        self._users: Counter[str] = Counter()

    def enter(self, user_id: str) -> bool:
        """Whether there is a place: then it is taken until `leave`."""
        if self._users.total() >= MOST or self._users[user_id] >= MOST_OF_A_USER:
            return False
        self._users[user_id] += 1
        return True

    def leave(self, user_id: str) -> None:
        self._users[user_id] -= 1
        if not self._users[user_id]:
            del self._users[user_id]
