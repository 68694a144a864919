"""The events that wait for the application. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from push_client.channel import Channel
from push_client.events import Cursor, Event


@dataclass(frozen=True, slots=True)
class Item:
    """An event on its way to the application; `place` on `channel` is told as received once it is handled."""

    event: Event
    channel: Channel | None = None
    place: Cursor | None = None


class Mailbox:
    """`open` False: for programs that only send; nothing is kept for them."""

    def __init__(self, limit: int, *, is_open: bool) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._open = is_open

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """No more is read from the socket until the application has caught up."""
        return len(self._items) >= self._limit

    def put(self, event: Event, channel: Channel | None = None) -> None:
        """`channel`: where the event just moved the cursor of."""
        if not self._open:
            if channel is not None:
                channel.passed()
            return
        if channel is not None:
            channel.queued()
        self._items.append(Item(event, channel, channel.read if channel is not None else None))

    def take(self) -> Item:
        return self._items.popleft()


def handled(item: Item) -> None:
    """The application came back for the next event: it is done with this one."""
    if item.channel is not None and item.place is not None:
        item.channel.handle(item.place)
