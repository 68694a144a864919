"""The groups of a run: made over HTTP, and their members added and removed while messages flow."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from tests.support.delivery.book import Book
from tests.support.delivery.stage import Stage

GROUP_USERS: Final = 8


class Groups:
    """Each has an owner who stays; `members` is what the API has answered."""

    def __init__(self, made: Stage, book: Book, random: Random) -> None:
        self._made = made
        self._book = book
        self._random = random
        self._users: list[str] = []
        self._change_under_way = asyncio.Lock()
        self.owners: dict[str, str] = {}  # by channel

    async def make(self, count: int, users: list[str]) -> None:
        self._users = users
        for number in range(count):
            owner, *others = self._random.sample(users, min(GROUP_USERS, len(users) - 1))
            asked = {"name": f"Group {number}", "members": others}
            answer = await self._made.ask(owner, "POST", "/groups", asked)
            self.owners[answer["channel"]] = owner
            self._book.members[answer["channel"]] = {owner, *others}
            self._book.founders[answer["channel"]] = {owner, *others}

    def of(self, user: str) -> list[str]:
        return [channel for channel, members in self._book.members.items() if user in members]

    async def churn(self, each_second: float) -> None:
        """Adds and removes, one after another, until cancelled; what is under way then is waited for by `settled`."""
        while each_second and self.owners:
            await asyncio.sleep(self._random.expovariate(each_second))
            channel = self._random.choice(sorted(self.owners))
            user = self._random.choice([one for one in self._users if one != self.owners[channel]])
            await asyncio.shield(asyncio.ensure_future(self._change(channel, user)))

    async def settled(self) -> None:
        async with self._change_under_way:
            pass

    async def look(self) -> None:
        """Does the API still tell what it has answered?"""
        for channel, owner in self.owners.items():
            page = await self._made.ask(owner, "GET", f"/groups/{channel.partition(':')[2]}/members?limit=200")
            if {one["user_id"] for one in page["members"]} != self._book.members[channel]:
                self._book.unexplained["members by the API differ from what it had answered"] += 1

    async def _change(self, channel: str, user: str) -> None:
        async with self._change_under_way:
            await self._changed(channel, user)

    async def _changed(self, channel: str, user: str) -> None:
        members = self._book.members[channel]
        path = f"/groups/{channel.partition(':')[2]}/members/{user}"
        if user in members:
            self._book.removed.add((channel, user))
            members.discard(user)
            await self._ask(channel, "DELETE", path, (204, 404))  # 404: the first attempt had done it
        else:
            await self._ask(channel, "PUT", path, (200,))
            members.add(user)

    async def _ask(self, channel: str, method: str, path: str, may: tuple[int, ...]) -> Any:
        body: Any = {} if method == "PUT" else None
        return await self._made.ask(self.owners[channel], method, path, body, may)
