"""What each workload may say and hear on the bus, tried on the server with the operator's configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RePublish
from tests.support.servers import Nats
from tests.support.waiting import eventually

from push_workloads.common import questions
from push_workloads.common.subjects import delivery_subject, ephemeral_subject, log_subject, reading_subject

SERVICES = ("gateway", "message", "presence", "push")
FORBIDDEN = "nobodys"  # the subject that nobody may use
QUESTIONS = (
    "svc.message.*", questions.MEMBERSHIPS, questions.TOPIC, questions.BLOCKS, questions.RECEIPTS, questions.KNOWN,
    questions.UNREAD, questions.MEMBERS, questions.WATCH,
)  # fmt: skip
CHANNELS = ("u.alice", "g.team", "t.news=2Fsport")


@dataclass
class Peer:
    """One service's connection, with what the server told it that it may not do."""

    client: Client = field(default_factory=Client)
    denials: list[str] = field(default_factory=list)

    async def denied(self) -> list[str]:
        """All that was denied so far: the server says so in the order of what was done."""
        await self.client.publish(FORBIDDEN, b"")
        await eventually(lambda: any(FORBIDDEN in one for one in self.denials))
        return [one for one in self.denials if FORBIDDEN not in one]

    async def may(self, subjects: Iterable[str], act: Callable[[str], Awaitable[object]]) -> set[str]:
        """Those of the subjects with which the server lets this be done."""
        for subject in subjects:
            await act(subject)
        denied = await self.denied()
        self.denials.clear()
        return {subject for subject in subjects if not any(f'"{subject}"'.lower() in one for one in denied)}


@asynccontextmanager
async def peer(server: Nats, service: str) -> AsyncIterator[Peer]:
    made = Peer()

    async def report(error: Exception) -> None:
        made.denials.append(str(error))

    login = server.environ_of(service)
    await made.client.connect(
        login["NATS_URL"], user=login["NATS_USER"], password=login["NATS_PASSWORD"], error_cb=report,
        inbox_prefix=f"_INBOX_{service}",
    )  # fmt: skip
    try:
        yield made
    finally:
        await made.client.close()


PUBLISH = {  # subject: who may
    "log.0.u.alice": {"gateway", "message"},
    "eph.u.alice": {"gateway", "message"},
    questions.TOPIC: {"gateway", "push"},
    questions.KNOWN: {"gateway"},
    questions.UNREAD: {"push"},
    questions.MEMBERS: {"push"},
    "presence.7": {"gateway", "presence"},
    questions.WATCH: {"gateway", "presence"},
    "ctl.gateway.other": {"gateway"},
    "ctl.blocks.alice": {"message"},
    "ctl.privacy.alice": {"message"},
    "ctl.topics": {"message"},
    "dlv.u.alice": set[str](),
    "_INBOX_gateway.one": {"gateway"},
    "_INBOX_push.one": set[str](),
    "push.jobs.alice": {"message", "push"},
    "push.timer.one": {"message", "push"},
    "push.dead.push.jobs.alice": {"message", "push"},
    "$JS.API.CONSUMER.MSG.NEXT.PUSH.push-webpush": {"message", "push"},
    "$JS.API.CONSUMER.MSG.NEXT.PUSH.other": {"message"},
    "$JS.API.STREAM.MSG.GET.PUSH_DEAD": {"gateway", "message", "push"},
    "$JS.API.STREAM.MSG.DELETE.PUSH_DEAD": {"message", "push"},
    "$JS.API.STREAM.MSG.DELETE.PUSH": {"message"},
    "$JS.API.STREAM.CREATE.MINE": {"message"},
}
SUBSCRIBE = {
    "*.u.alice": {"gateway"},
    "*.g.team": {"gateway"},
    "*.t.news": {"gateway"},
    "presence.*": {"gateway"},
    "dlv.u.alice": {"gateway"},
    "ctl.gateway.own": {"gateway"},
    "ctl.blocks.alice": {"gateway"},
    "ctl.blocks.*": {"gateway"},
    "ctl.privacy.*": {"gateway"},
    "ctl.topics": {"gateway"},
    "_INBOX_gateway.>": {"gateway"},
    "_INBOX_message.>": {"message"},
    "svc.message.*": set[str](),  # in the queue only: no two replicas answer one question
    "log.>": set[str](),
    "log.0.u.alice": set[str](),
    "dlv.>": set[str](),
    "eph.>": set[str](),
    "*.u.>": {"gateway"},  # the server takes ">" for any token where "*" may stand; nothing has subjects that long
    "*.>": set[str](),
    "*.*.alice": set[str](),
    "ctl.>": set[str](),
    ">": set[str](),
}


@pytest.mark.parametrize("service", SERVICES)
async def test_rights(operators_nats_server: Nats, service: str) -> None:
    async with peer(operators_nats_server, service) as one:
        said = await one.may(PUBLISH, lambda subject: one.client.publish(subject, b""))
        heard = await one.may(SUBSCRIBE, one.client.subscribe)
        answered = await one.may(QUESTIONS, lambda subject: one.client.subscribe(subject, questions.QUEUE))
    assert said == {subject for subject, may in PUBLISH.items() if service in may}
    assert heard == {subject for subject, may in SUBSCRIBE.items() if service in may}
    assert answered == (set(QUESTIONS) if service == "message" else set())


async def test_one_interest_hears_what_a_channel_logs_and_what_it_does_not(operators_nats_server: Nats) -> None:
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    async with peer(operators_nats_server, "gateway") as gateway, peer(operators_nats_server, "message") as message:
        republished = RePublish(src="log.0.>", dest="dlv.>")
        await message.client.jetstream().add_stream(name="LOG_0", subjects=["log.0.>"], republish=republished)
        for channel in CHANNELS:
            await gateway.client.subscribe(reading_subject(channel), cb=hear)
        await gateway.client.flush()
        for channel in CHANNELS:
            await gateway.client.jetstream().publish(log_subject(channel, 1), b"stored")
            await message.client.publish(ephemeral_subject(channel), b"told")
        both = {named(channel) for channel in CHANNELS for named in (delivery_subject, ephemeral_subject)}
        await eventually(lambda: len(heard) >= len(both))
        assert sorted(heard) == sorted(both)
        assert await gateway.denied() == await message.denied() == []


async def test_who_is_asked_may_answer_and_that_once(operators_nats_server: Nats) -> None:
    async with peer(operators_nats_server, "gateway") as gateway, peer(operators_nats_server, "message") as message:

        async def answer(asked: Msg) -> None:
            await asked.respond(b"yes")
            await asked.respond(b"and yes")

        await message.client.subscribe("svc.message.*", questions.QUEUE, cb=answer)
        await message.client.flush()
        assert (await gateway.client.request(questions.MEMBERSHIPS, b"", timeout=2)).data == b"yes"
        await message.client.publish("_INBOX_gateway.another", b"")
        assert len(await message.denied()) == 2
        assert await gateway.denied() == []
