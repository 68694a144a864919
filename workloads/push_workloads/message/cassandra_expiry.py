"""How long what is written into Cassandra stays there: each row is given its time when it is written.

Each is counted from when its message was sent, not from the write: to write it again does not keep it longer. Another
retention counts for what is written from then on.
"""

from __future__ import annotations

from typing import Final

from push_workloads.message.buckets import DAY_MS, Bucket
from push_workloads.message.model import Message
from push_workloads.message.retention import FOR_EVER, Retention
from push_workloads.message.store import Clock, wall_clock

NO_TTL: Final = 0  # as CQL says "for ever"
LAST_MOMENT: Final = 2**31 - 2  # in 2038: Cassandra refuses a row that would end later, so such a row has no end


class Expiry:
    def __init__(self, retention: Retention, clock: Clock) -> None:
        self._retention = retention
        self._clock = clock

    def is_kept(self, message: Message) -> bool:
        return self._retention.is_kept(message.conversation, message.sent_at, self._clock())

    def ttl(self, message: Message) -> int:
        """In seconds, of a message that is kept, and of all that names it."""
        return self._left(message.conversation, message.sent_at)

    def of_day(self, bucket: Bucket) -> int:
        """Of the word that there is such a day: as long as its last moment."""
        return self._left(bucket.conversation, (bucket.day + 1) * DAY_MS)

    def _left(self, conversation: str, sent_at: int) -> int:
        now = self._clock()
        left = self._retention.seconds_left(conversation, sent_at, now)
        if left is None or now // 1000 + left > LAST_MOMENT:
            return NO_TTL
        return max(1, left)


NEVER: Final = Expiry(FOR_EVER, wall_clock)
