"""What the message service tells the push service: jobs on the queue, and answers to what is asked over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from nats.aio.client import Client
from tests.support.calls import call, on_the_bus, say
from tests.support.chat import data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common import questions
from push_workloads.common.push_jobs import GroupJob, PushJob, decode, decode_group
from push_workloads.common.questions import MembersAsked, UnreadAsked

DEDUP = "a-random-key-of-20-c"


@pytest.fixture
async def chat(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[InProcess]:
    """A message service with its own rights and groups."""
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        yield await plane.message()


@pytest.fixture
async def queue(chat: InProcess, operators_nats_server: Nats) -> AsyncIterator[Client]:
    async with on_the_bus(operators_nats_server, "message") as client:
        yield client


@pytest.fixture
async def push(chat: InProcess, operators_nats_server: Nats) -> AsyncIterator[Client]:
    async with on_the_bus(operators_nats_server, "push") as client:
        yield client


async def jobs(chat: InProcess, queue: Client, http: ClientSession) -> list[PushJob | GroupJob]:
    """All that is queued for what was said so far: jobs come in the order of the log."""
    fence = await say(http, chat, "ann", recipient_id="fence", content=1)
    reader = await queue.jetstream().pull_subscribe("push.>", "test", "PUSH")
    found: list[PushJob | GroupJob] = []
    while True:
        for one in await reader.fetch(10, timeout=5):
            if one.subject == "push.jobs.fence":
                assert decode(one.data).message_id == fence["message_id"]
                return found
            found.append((decode_group if one.subject.startswith("push.groups.") else decode)(one.data))


async def made_group(http: ClientSession, chat: InProcess, owner: str, *members: str) -> str:
    status, made = await call(http, chat, owner, "POST", "/groups", {"name": "The team", "members": [*members]})
    assert status == 201, made
    group_id: str = made["group_id"]
    return group_id


async def ask(push: Client, subject: str, question: msgspec.Struct) -> dict[str, Any]:
    answer = await push.request(subject, msgspec.json.encode(question), timeout=5)
    made: dict[str, Any] = msgspec.json.decode(answer.data)
    return made


async def test_a_direct_message_a_group_and_those_who_were_added(
    chat: InProcess, queue: Client, http: ClientSession
) -> None:
    group_id = await made_group(http, chat, "ann", "bob", "eve")
    direct = await say(http, chat, "ann", recipient_id="bob", content="hi", push={"title": "Ann"})
    await say(http, chat, "ann", recipient_id="bob", content="ho", kind="edit", ref=direct["message_id"])
    whole = await say(http, chat, "bob", channel=f"group:{group_id}", content=[1], dedup_id=DEDUP)
    await say(http, chat, "bob", channel=f"group:{group_id}", content=[1], dedup_id=DEDUP, retry=True)
    await say(http, chat, "bob", channel=f"group:{group_id}", content="x", kind="reaction", ref=whole["message_id"])
    queued = await jobs(chat, queue, http)
    (shared,) = [one for one in queued if isinstance(one, GroupJob)]
    assert shared.group_id == group_id
    assert (shared.job.message_id, shared.job.content, shared.job.kind) == (whole["message_id"], [1], "text")
    found = [one for one in queued if isinstance(one, PushJob)]
    told = {(job.user_id, job.conversation, job.kind) for job in found}
    assert told == {
        ("bob", "user:ann", "text"), ("bob", f"group:{group_id}", "system"), ("eve", f"group:{group_id}", "system")
    }  # fmt: skip
    (job,) = [job for job in found if job.kind == "text"]
    epoch = await _epoch(queue)
    assert (job.message_id, job.channel, job.epoch, job.hint and job.hint.title) == (
        direct["message_id"], "user:bob", epoch, "Ann"
    )  # fmt: skip
    assert {one.epoch for one in [*found, shared.job]} == {epoch}
    logged = await queue.jetstream().get_msg("LOG_0", job.seq)
    assert (logged.subject, direct["message_id"] in (logged.data or b"").decode()) == ("log.0.u.bob", True)


async def _epoch(queue: Client) -> str:
    return str((await queue.jetstream().stream_info("LOG_0")).config.metadata["epoch"])  # type: ignore[index]


async def test_a_message_that_the_recipients_block_refused_is_not_told(
    chat: InProcess, queue: Client, http: ClientSession
) -> None:
    assert (await call(http, chat, "bob", "PUT", "/blocks/ann"))[0] == 204
    assert (await call(http, chat, "ann", "POST", "/messages", {"recipient_id": "bob", "content": 1}))[0] == 403
    await say(http, chat, "ann", recipient_id="eve", content=2)
    (job,) = await jobs(chat, queue, http)
    assert isinstance(job, PushJob)
    assert job.user_id == "eve"


async def test_read_and_unread(chat: InProcess, push: Client, http: ClientSession) -> None:
    group_id = await made_group(http, chat, "ann", "bob")
    first, second = [await say(http, chat, "ann", recipient_id="bob", content=n) for n in range(2)]
    whole = await say(http, chat, "ann", channel=f"group:{group_id}", content=3)

    async def told(user_id: str, conversation: str, of: dict[str, Any]) -> dict[str, Any]:
        return await ask(push, questions.UNREAD, UnreadAsked(user_id, conversation, of["sent_at"], of["message_id"]))

    async def written() -> bool:
        return await told("bob", "user:ann", second) == {"answer": "unread", "read": False, "count": 3}

    await eventually(written)
    up_to = {"up_to": f"{first['sent_at']}.{first['message_id']}"}
    assert (await call(http, chat, "bob", "PUT", "/conversations/ann/read", up_to))[0] == 204
    assert await told("bob", "user:ann", first) == {"answer": "unread", "read": True, "count": 2}
    assert await told("bob", "user:ann", second) == {"answer": "unread", "read": False, "count": 2}
    assert await told("bob", f"group:{group_id}", whole) == {"answer": "unread", "read": False, "count": 2}
    assert await told("ann", "user:bob", first) == {"answer": "unread", "read": False, "count": 0}
    assert (await told("bob", "nonsense", first))["code"] == "bad_request"
    many = await asyncio.gather(*(told("bob", "user:ann", second) for _ in range(100)))
    assert {one["count"] for one in many} == {2}


async def test_the_members_of_a_group_page_after_page(chat: InProcess, push: Client, http: ClientSession) -> None:
    members = ["bob", "eve", "mallory", "zoë *>."]
    group_id = await made_group(http, chat, "ann", *members)
    everybody = sorted(["ann", *members])

    async def page(after: str | None, limit: int, sender: str | None = None, of: str = group_id) -> list[str]:
        answer = await ask(push, questions.MEMBERS, MembersAsked(of, after, limit, sender))
        found: list[str] = answer["user_ids"]
        return found

    assert await page(None, 500) == await page(None, 5) == everybody
    assert await page(None, 2) + await page(everybody[1], 2) + await page(everybody[3], 2) == everybody
    for user in ("bob", "eve"):
        assert (await call(http, chat, user, "PUT", "/blocks/mallory"))[0] == 204
    assert await page(None, 2, "mallory") == ["ann", "mallory"]
    assert await page("mallory", 2, "mallory") == [everybody[-1]]
    assert await page(None, 5, of="nobody's") == await page(None, 5, of="*") == []
    for limit in (0, -1, 501):
        answer = await ask(push, questions.MEMBERS, MembersAsked(group_id, None, limit))
        assert (answer["answer"], answer["code"]) == ("failure", "bad_request")
    assert (await call(http, chat, "ann", "DELETE", f"/groups/{group_id}"))[0] == 204
    assert await page(None, 5) == []
