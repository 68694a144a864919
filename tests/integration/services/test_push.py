"""The push service over HTTP and over the queue, on a NATS with the operator's own users and rights."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from nats.aio.client import Client
from nats.js import JetStreamContext
from tests.support.servers import Nats, Valkey
from tests.support.services import NO_REDIS, SECRET, InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.common import push_jobs
from push_workloads.common.bus import Bus, connected
from push_workloads.common.config import Env, NatsConfig, TokenConfig
from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.common.tokens import Tokens
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue

TOKENS = Tokens(TokenConfig(secret=SECRET.encode(), ttl_seconds=60, issuer="pushcluster"))
PHONE = {"device_id": "phone", "platform": "fcm", "token": "a-token-of-firebase-654321", "app": "com.example"}


@pytest.fixture
async def push(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[InProcess]:
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url}
    async with in_process("push", environ_for(**where, **operators_nats_server.environ_of("push"))) as service:
        # Without a queue it is not ready; registrations it takes before.
        await eventually(lambda: not {"keys", "revocations"} & service.process.waiting_for().keys())
        yield service


class Queue:
    """The message service's side."""

    def __init__(self, bus: Bus, config: MessageConfig) -> None:
        self._bus = bus
        self._config = config
        self._count = 0

    @property
    def _js(self) -> JetStreamContext:
        return self._bus.client.jetstream()

    async def make(self) -> None:
        await ensure_push_queue(self._bus, self._config)

    async def drop(self) -> None:
        await self._js.delete_stream(push_jobs.STREAM)

    async def put(self, user_id: str, hint: Hint | None = None, age_ms: int = 0) -> None:
        self._count += 1
        job_id = f"job-{self._count}"
        sent_at = int(time.time() * 1000) - age_ms
        job = PushJob(job_id, user_id, job_id, f"user:{user_id}", self._count, "eve", sent_at, hint=hint)
        await self.put_raw(push_jobs.subject(user_id), push_jobs.encode(job), job_id)

    async def put_raw(self, subject: str, data: bytes, job_id: str) -> None:
        await self._js.publish(subject, data, headers={"Nats-Msg-Id": job_id})

    async def is_empty(self) -> bool:
        return (await self._js.stream_info(push_jobs.STREAM)).state.messages == 0

    async def back(self) -> bool:
        return self._bus.client.is_connected


@pytest.fixture
async def queue(operators_nats_server: Nats) -> AsyncIterator[Queue]:
    environ = environ_for(SQLITE_PATH="unused", REDIS_URL=NO_REDIS, **operators_nats_server.environ_of("message"))
    config = MessageConfig.parse({**environ, "LOG_MAX_BYTES": str(64 * 1024**2)})
    async with connected(config.nats, "message") as bus:
        yield Queue(bus, config)


def _as(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.issue(user_id, int(time.time()), 't1')}"}


async def _register(http: ClientSession, service: InProcess, user_id: str, body: Any = PHONE) -> dict[str, Any]:
    async with http.post(f"{service.url}/devices", json=body, headers=_as(user_id)) as answer:
        assert answer.status == 201, await answer.text()
        made: dict[str, Any] = (await answer.json())["device"]
        return made


async def _devices(http: ClientSession, service: InProcess, user_id: str) -> list[str]:
    async with http.get(f"{service.url}/devices", headers=_as(user_id)) as answer:
        assert answer.status == 200
        text = await answer.text()
        assert PHONE["token"] not in text
        return [device["device_id"] for device in (await answer.json())["devices"]]


def _cancelled(service: InProcess, reason: str, platform: str = "fcm") -> float:
    return service.metric("push_push_outcomes_total", state="cancelled", reason=reason, platform=platform)


def _nobody(service: InProcess) -> float:
    return _cancelled(service, "no_device", "none")


async def test_devices(push: InProcess, http: ClientSession) -> None:
    made = await _register(http, push, "ada")
    assert made.keys() == {
        "device_id", "platform", "app", "address_ending", "created_at", "updated_at", "locale", "time_zone",
        "app_version",
    }  # fmt: skip
    assert (made["platform"], made["app"], made["address_ending"]) == ("fcm", "com.example", "654321")
    again = await _register(http, push, "ada")
    assert again["created_at"] == made["created_at"]
    assert await _devices(http, push, "ada") == ["phone"]

    await _register(http, push, "eve", {**PHONE, "device_id": "same-phone"})
    assert await _devices(http, push, "ada") == []
    assert await _devices(http, push, "eve") == ["same-phone"]

    for status in (204, 404):
        async with http.delete(f"{push.url}/devices/same-phone", headers=_as("eve")) as answer:
            assert answer.status == status


async def test_where_a_device_is_and_what_it_runs(push: InProcess, http: ClientSession) -> None:
    said = {"locale": "de-CH", "time_zone": "Europe/Zurich", "app_version": "4.2.1"}
    made = await _register(http, push, "ada", {**PHONE, **said})
    assert {name: made[name] for name in said} == said
    made = await _register(http, push, "ada")  # a registration says all there is to say
    assert {made[name] for name in said} == {None}


async def test_nobody_removes_anothers_device(push: InProcess, http: ClientSession) -> None:
    await _register(http, push, "ada")
    async with http.delete(f"{push.url}/devices/phone", headers=_as("eve")) as answer:
        assert answer.status == 404
    assert await _devices(http, push, "ada") == ["phone"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "device_id"),
        ({**PHONE, "platform": "pager"}, "$.platform"),
        ({**PHONE, "token": None}, "token: "),
        ({**PHONE, "device_id": "a b"}, "device_id: "),
        ({**PHONE, "time_zone": "Europe/Atlantis"}, "time_zone: "),
        ({"device_id": "d", "platform": "webpush", "subscription": {"endpoint": "https://x"}}, "$.subscription"),
    ],
)
async def test_a_bad_device_is_told_its_fault(push: InProcess, http: ClientSession, body: Any, names: str) -> None:
    async with http.post(f"{push.url}/devices", json=body, headers=_as("ada")) as answer:
        assert answer.status == 400
        assert names in (await answer.json())["error"]["message"]


async def test_without_a_token(push: InProcess, http: ClientSession) -> None:
    async with http.get(f"{push.url}/devices") as answer:
        assert answer.status == 401


async def test_jobs_are_decided_and_acknowledged(push: InProcess, queue: Queue, http: ClientSession) -> None:
    assert push.process.waiting_for()["queue"] == "waiting for the PUSH stream"
    await queue.make()
    await push.ready()
    await _register(http, push, "ada")
    await _register(http, push, "ada", {**PHONE, "device_id": "tablet", "token": "another-token"})
    await queue.put("nobody")
    await queue.put("ada", Hint(ttl_s=3600))
    await eventually(queue.is_empty)
    assert (_nobody(push), _cancelled(push, "no_sender")) == (1, 2)


async def test_what_is_no_job_is_counted_and_a_dead_letter(push: InProcess, queue: Queue) -> None:
    await queue.make()
    await push.ready()
    for number, raw in enumerate((b"", b"{}", b"\xff\xfe", b"[" * 5000, b'{"job_id": 1}')):
        await queue.put_raw("push.jobs.ada", raw, f"bad-{number}")
    await queue.put("ada")
    await eventually(queue.is_empty)
    assert push.metric("push_push_dead_letters_total", queue="jobs") == 5
    assert _nobody(push) == 1


async def test_it_goes_on_after_a_crash_of_nats(push: InProcess, queue: Queue, operators_nats_server: Nats) -> None:
    await queue.make()
    await push.ready()
    await queue.put("ada")
    await eventually(lambda: _nobody(push) == 1)
    await eventually(queue.is_empty)
    await operators_nats_server.kill()
    await eventually(lambda: "nats" in push.process.waiting_for())
    await operators_nats_server.start()
    await eventually(queue.back)
    await queue.put("ada")
    await eventually(lambda: _nobody(push) >= 2, within=20)
    await push.ready()
    # A crash may take an acknowledgement with it: that job comes again, once its 30 s are over, and is decided again.
    await eventually(queue.is_empty, within=45)


async def test_it_goes_on_when_the_queue_was_lost(push: InProcess, queue: Queue) -> None:
    await queue.make()
    await push.ready()
    await queue.drop()
    await eventually(lambda: "queue" in push.process.waiting_for(), within=20)
    await queue.make()
    await queue.put("ada")
    await eventually(lambda: _nobody(push) == 1, within=20)
    await eventually(queue.is_empty)


FORBIDDEN = (
    "svc.message.blocks",
    "$JS.API.STREAM.MSG.GET.PUSH",
    "$JS.API.STREAM.DELETE.PUSH_DEAD",
    "$JS.API.CONSUMER.DELETE.PUSH.push",
    "log.0.u.ada",
    "dlv.u.ada",
    "$JS.API.STREAM.DELETE.PUSH",
    "$JS.API.STREAM.INFO.LOG_0",
    "$JS.API.STREAM.PURGE.LOG_0",
    "$JS.API.CONSUMER.CREATE.PUSH.other.push.jobs.x",
    "$JS.API.CONSUMER.DURABLE.CREATE.LOG_0.push",
)


@asynccontextmanager
async def _client(server: Nats, errors: list[str]) -> AsyncIterator[Client]:
    config = NatsConfig.read(Env(server.environ_of("push")))
    client = Client()

    async def denied(error: Exception) -> None:
        errors.append(str(error).lower())

    assert config.user is not None
    assert config.password is not None
    await client.connect(config.url, user=config.user, password=config.password, error_cb=denied)
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("subject", FORBIDDEN)
async def test_it_may_do_nothing_else_on_the_bus(operators_nats_server: Nats, subject: str) -> None:
    errors: list[str] = []
    async with _client(operators_nats_server, errors) as client:
        await client.publish(subject, b"{}")
        await client.flush()
        await eventually(lambda: errors)
    assert f'permissions violation for publish to "{subject.lower()}"' in errors[0]


@pytest.mark.parametrize("subject", ["dlv.>", "log.>", "push.jobs.>", ">", "_INBOX_gateway.>"])
async def test_it_may_listen_to_nothing_else(operators_nats_server: Nats, subject: str) -> None:
    errors: list[str] = []
    async with _client(operators_nats_server, errors) as client:
        await client.subscribe(subject)
        await client.flush()
        await eventually(lambda: errors)
    assert "permissions violation for subscription" in errors[0]
