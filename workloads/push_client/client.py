"""A client that stays connected: what an application does with it, and hears.

async with Client("ws://localhost:8080/ws", token=token) as client:
    await client.send(to="bob", content="Hello!")
    async for event in client.events():
        print(event)
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, cast

from push_client.actions import SEND, SUBSCRIBE, Settle
from push_client.errors import Refused, Stopped, Unconfirmed
from push_client.events import TEXT, Event, Message, Referable, Sent, Subscribed, Target
from push_client.outbox import Entry
from push_client.running import Running

SEND_SECONDS: Final = 90.0
SUBSCRIBE_SECONDS: Final = 30.0


class Client(Running):
    """One device of one user.

    `token` is the access token, or gives one: a function, async or not, which is called before each connection; so
    it is asked again when the platform has refused the last one. `device_id` names this installation; by default
    the one in `state`, else a new one. `state` keeps it, and how far the application came, over a restart.
    `listen=False` is for programs that only send: whoever listens has to iterate `events`, because reading stops while
    `limits.events` of them wait.
    """

    # What happens

    async def events(self) -> AsyncIterator[Event]:
        """All that happens, in order, until the client is closed. An event counts as handled, and is told as received,
        when the next one is asked for. For one reader at a time. Raises Stopped with the reason when the client ended
        by itself."""
        while True:
            self._done_with_given()
            while not self._session.mailbox:
                if self._over is not None:
                    if type(self._over) is Stopped:  # closed by the application
                        return
                    raise self._over
                self._news.clear()
                await self._news.wait()
            self._given = self._session.mailbox.take()
            if self._connection is not None:
                self._connection.room.set()
            yield self._given.event

    # What the application does

    async def send(
        self,
        *,
        content: Any,
        to: str | None = None,
        channel: str | None = None,
        kind: str = TEXT,
        ref: str | None = None,
        push: dict[str, Any] | None = None,
        dedup_id: str | None = None,
        retry: bool = False,
        deadline_s: float = SEND_SECONDS,
    ) -> Sent:
        """Returns once the message is durable, over as many connections as that takes. `content` is any JSON value;
        `dedup_id` and `retry`: of a send that an earlier run of the program may have made.

        Raises Refused, Unconfirmed after `deadline_s` seconds, and Stopped when the client ends.
        """
        if (to is None) == (channel is None):
            raise ValueError("say either `to` or `channel`")
        more = {"ref": ref, "push": push, "retry": retry or None}
        fields = {"content": content, "kind": kind} | {name: one for name, one in more.items() if one is not None}
        entry_deadline = self._now() + deadline_s
        key = dedup_id or secrets.token_hex(16)
        entry = Entry(key, Target(to, channel), fields, entry_deadline)
        try:
            await asyncio.wait_for(self._room_to_send.acquire(), deadline_s)
        except TimeoutError:
            raise Unconfirmed(sent=False) from None
        try:
            return await self._send(entry)
        finally:
            self._room_to_send.release()

    async def _send(self, entry: Entry) -> Sent:
        self._check()
        if SEND + entry.key in self._waiting:
            raise ValueError("a message with this dedup_id is on its way")
        future = self._future(SEND + entry.key)
        self._perform(self._session.send(entry, self._now()))
        try:
            return cast(Sent, await future)
        finally:
            self._session.outbox.drop(entry.key)
            self._waiting.pop(SEND + entry.key, None)

    async def edit(self, message: Referable, content: Any) -> Sent:
        """Gives an own message another content. Raises as `send` does."""
        return await self._about(message, "edit", content)

    async def delete(self, message: Referable) -> Sent:
        """Takes an own message back. Raises as `send` does."""
        return await self._about(message, "delete", None)

    async def react(self, message: Referable, emoji: str, *, remove: bool = False) -> Sent:
        """Adds a reaction to anyone's message, or takes one's own back. Raises as `send` does."""
        return await self._about(message, "reaction", {"emoji": emoji} | ({"remove": True} if remove else {}))

    async def _about(self, message: Referable, kind: str, content: Any) -> Sent:
        to, channel = message.target
        return await self.send(to=to, channel=channel, content=content, kind=kind, ref=message.message_id)

    async def subscribe(self, channel: str, *, deadline_s: float = SUBSCRIBE_SECONDS) -> Subscribed:
        """Reads a topic from now on, or from where this device stopped; groups are read by themselves. Stays over
        reconnects. Raises Refused, TimeoutError, and Stopped when the client ends."""
        self._check()
        future = self._future(SUBSCRIBE + channel)
        self._perform(self._session.subscribe(channel))
        async with asyncio.timeout(deadline_s):
            return cast(Subscribed, await future)

    def unsubscribe(self, channel: str) -> None:
        self._perform(self._session.unsubscribe(channel))
        self._settle(Settle(SUBSCRIBE + channel, Refused("not_found", "unsubscribed meanwhile", channel)))

    def read(self, message: Message) -> None:
        """Marks a message that came, and all before it in its conversation, as read by this user."""
        self._read(message.target, message)

    def read_all(self, *, to: str | None = None, channel: str | None = None) -> None:
        """Marks as read what the application was given of a conversation."""
        self._read(Target(to, channel), None)

    def _read(self, target: Target, message: Message | None) -> None:
        place = message.place if message is not None else None
        inbox = target.to is not None
        channel = f"user:{self.user_id}" if inbox else target.channel or ""
        self._session.read(channel, place, target.to if inbox else None)

    def typing(
        self, *, to: str | None = None, channel: str | None = None, state: Literal["start", "stop"] = "start"
    ) -> None:
        """Says that this user types; call it for every key. Ends after 6 s, or with `state="stop"`."""
        target = Target(to, channel)
        frame = {"type": "typing", "state": state, **target.fields}
        self._perform(self._session.type(target.conversation, frame, self._now()))

    def watch(self, *user_ids: str) -> None:
        """From now on `Presence` events tell how it is with these users, over reconnects. Said again of somebody, it is
        asked again: who has just become a contact is seen at once. Raises ValueError when they become more than 500."""
        self._perform(self._session.watch(user_ids))

    def unwatch(self, *user_ids: str) -> None:
        self._perform(self._session.unwatch(user_ids))

    def set_status(self, status: Literal["online", "away"]) -> None:
        """Says what this device knows of its user; others see the best of all devices."""
        self._perform(self._session.status(status))
