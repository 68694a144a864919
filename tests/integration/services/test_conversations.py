"""The conversation list and the pages of a conversation, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.chat import data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually


@pytest.fixture
async def message(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        yield await plane.message()


async def get(http: ClientSession, message: InProcess, user_id: str, path: str, **query: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    async with http.get(message.url + path, params=query, headers=headers) as answer:
        return answer.status, await answer.json()


async def say(http: ClientSession, message: InProcess, sender: str, recipient: str, content: object) -> str:
    """Said, and in the history."""
    headers = {"Authorization": f"Bearer {token_for(sender)}"}
    body = {"recipient_id": recipient, "content": content}
    async with http.post(f"{message.url}/messages", json=body, headers=headers) as answer:
        made: str = (await answer.json())["results"][0]["message_id"]

    async def written() -> bool:
        _, page = await get(http, message, sender, f"/conversations/{recipient}/messages")
        return made in [one["message_id"] for one in page["messages"]]

    await eventually(written)
    return made


async def test_the_list_by_last_message_page_after_page(message: InProcess, http: ClientSession) -> None:
    for other in ("bob", "eve", "*.>", "bob"):
        await say(http, message, "ann", other, f"to {other}")
    last = await say(http, message, "bob", "ann", {"n": 1})

    status, first = await get(http, message, "ann", "/conversations", limit=2)
    assert status == 200
    assert [one["user_id"] for one in first["conversations"]] == ["bob", "*.>"]
    shown = first["conversations"][0]["last_message"]
    assert shown == {
        "message_id": last,
        "from": "bob",
        "recipient_id": "ann",
        "conversation": "bob",
        "kind": "text",
        "content": {"n": 1},
        "sent_at": shown["sent_at"],
    }
    _, second = await get(http, message, "ann", "/conversations", limit=2, after=first["next"])
    assert [one["user_id"] for one in second["conversations"]] == ["eve"]
    assert second["next"] is None
    assert (await get(http, message, "bob", "/conversations"))[1]["conversations"][0]["user_id"] == "ann"
    assert await get(http, message, "nobody", "/conversations") == (200, {"conversations": [], "next": None})


async def test_a_conversation_from_a_message_that_is_known(message: InProcess, http: ClientSession) -> None:
    for number in range(5):
        await say(http, message, "ann", "bob", number)
    path = "/conversations/ann/messages"
    _, newest = await get(http, message, "bob", path, limit=4)
    known = newest["messages"][-1]
    place = f"{known['sent_at']}.{known['message_id']}"

    _, page = await get(http, message, "bob", path, after=place, limit=2)
    assert [one["content"] for one in page["messages"]] == [2, 3]
    _, rest = await get(http, message, "bob", path, after=page["next"], limit=2)
    assert ([one["content"] for one in rest["messages"]], rest["next"]) == ([4], None)
    _, older = await get(http, message, "bob", path, before=place)
    assert [one["content"] for one in older["messages"]] == [0]


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/conversations", {"after": "x"}, "after: "),
        ("/conversations", {"limit": "0"}, "limit: "),
        ("/conversations/bob/messages", {"after": "1"}, "after: "),
        ("/conversations/bob/messages", {"after": "1.a", "before": "1.a"}, "before, after: one of them"),
        (f"/conversations/{'x' * 129}/messages", {}, "user_id: "),
    ],
)
async def test_a_bad_question_is_told(
    message: InProcess, http: ClientSession, path: str, query: dict[str, str], words: str
) -> None:
    status, answer = await get(http, message, "ann", path, **query)
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert answer["error"]["message"].startswith(words)
