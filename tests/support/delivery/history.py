"""The history, from the outside: every acknowledged message once, whichever service is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tests.support.delivery.book import INBOX, Book
from tests.support.delivery.stage import Stage

WRITTEN_SECONDS: Final = 60.0  # it is written a moment after the log
ASKS_AT_ONCE: Final = 8
PAGE: Final = 200


async def look(made: Stage, book: Book, owners: Mapping[str, str]) -> None:
    """Counts into `book.history`. `owners`: who asks for the history of a channel."""
    expected: dict[tuple[str, str], set[str]] = {}  # by who asks, and the path
    for content in book.acked:
        expected.setdefault(_where(book, content, owners), set()).add(content)
    turns = asyncio.Semaphore(ASKS_AT_ONCE)
    deadline = asyncio.get_running_loop().time() + WRITTEN_SECONDS

    async def one(user: str, path: str, due: set[str]) -> None:
        async with turns:
            while True:
                found = await _pages(made, user, path)
                if not due - found.keys() or asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(0.5)
        book.history["lost"] += len(due - found.keys())
        book.history["doubled"] += sum(count > 1 for count in found.values())
        book.history["unsent"] += len(found.keys() - book.sent.keys())
        book.history["asked"] += 1

    await asyncio.gather(*(one(*where, due) for where, due in expected.items()))
    book.told["histories"] = book.history["asked"]


def _where(book: Book, content: str, owners: Mapping[str, str]) -> tuple[str, str]:
    sender, channels = book.sent[content]
    if not channels[0].startswith(INBOX):
        return owners.get(channels[0], "user-0"), f"/channels/{quote(channels[0], safe='')}/messages"
    one, other = sorted((sender, channels[1].removeprefix(INBOX)))
    return one, f"/conversations/{other}/messages"


async def _pages(made: Stage, user: str, path: str) -> Counter[str]:
    found: Counter[str] = Counter()
    before = ""
    while True:
        page = await made.ask(user, "GET", f"{path}?limit={PAGE}{before}")
        found.update(one["content"] for one in page["messages"] if one["kind"] == "text")
        if page["next"] is None:
            return found
        before = f"&before={quote(page['next'])}"
