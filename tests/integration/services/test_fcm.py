"""The carrier of FCM against a peer that takes nothing but what Google's own description allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientTimeout
from tests.support.fcm import Answer, FcmPeer, failure, fcm_peer, over_quota
from tests.support.services import NO_REDIS, environ_for, launch
from tests.support.waiting import eventually

from push_workloads.common.config import Env
from push_workloads.push.carrier import Carrier, Dead, Later, Refused, Sent, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.fcm import access
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.fcm.sender import fcm_carrier
from push_workloads.push.notification import Notification, Show

PHONE = Device("ann", "phone", "fcm", "token-of-a-phone", None, None, None, 0, 0)


def _hello(**changed: Any) -> Notification:
    return Notification("m1", Show.ALERT, int(time.time()) + 600, **{"title": "Ann", "body": "Hello", **changed})


@pytest.fixture
async def fcm() -> AsyncIterator[FcmPeer]:
    async with fcm_peer() as peer:
        yield peer
        assert peer.faults == []


def _carrier(fcm: FcmPeer, **more: str) -> AbstractAsyncContextManager[Carrier]:
    config = FcmConfig.read(Env({**fcm.environ, **more}))
    assert config is not None
    return fcm_carrier(config)


def _always(answer: Answer) -> Any:
    async def told(_: dict[str, Any]) -> Answer:
        return answer

    return told


async def test_a_phone_gets_it(fcm: FcmPeer) -> None:
    async with _carrier(fcm) as carrier:
        assert await carrier.send(PHONE, _hello()) == Sent("projects/a-project-of-tests/messages/0:1")
    (message,) = fcm.messages
    assert (message["token"], message["notification"]) == (PHONE.address, {"title": "Ann", "body": "Hello"})


async def test_all_sends_share_one_token(fcm: FcmPeer) -> None:
    async with _carrier(fcm) as carrier:
        answers = await asyncio.gather(*(carrier.send(PHONE, _hello(body=f"{n}")) for n in range(200)))
    assert all(isinstance(answer, Sent) for answer in answers)
    assert sorted(int(message["notification"]["body"]) for message in fcm.messages) == list(range(200))
    assert fcm.grants == 1


async def test_a_token_that_nears_its_end_is_renewed_while_it_is_used(
    fcm: FcmPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcm.life = int(access.RENEW_SECONDS) - 1
    async with _carrier(fcm) as carrier:
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
        assert fcm.grants == 1  # not at every send
        monkeypatch.setattr(access, "RETRY_SECONDS", 0.0)
        fcm.grant_status = 503  # meanwhile the old one is good
        fcm.life = 3600
        answers = [await carrier.send(PHONE, _hello()) for _ in range(20)]
        assert all(isinstance(answer, Sent) for answer in answers)
        fcm.grant_status = 200

        async def renewed() -> bool:
            return isinstance(await carrier.send(PHONE, _hello()), Sent) and len(fcm.good) == 2

        await eventually(renewed)


async def test_a_token_that_is_not_taken_is_replaced(fcm: FcmPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "RETRY_SECONDS", 0.0)
    async with _carrier(fcm) as carrier:
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
        fcm.good.clear()
        assert await carrier.send(PHONE, _hello()) == Later("UNAUTHENTICATED", ours=True)
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
    assert fcm.grants == 2


async def test_without_a_token_nothing_is_sent_and_google_is_left_alone(
    fcm: FcmPeer, caplog: pytest.LogCaptureFixture
) -> None:
    fcm.grant_status = 400
    async with _carrier(fcm) as carrier:
        answers = await asyncio.gather(*(carrier.send(PHONE, _hello()) for _ in range(50)))
    assert set(answers) == {Later("no_token", access.RETRY_SECONDS, ours=True)}
    assert (fcm.grants, fcm.sends) == (1, 0)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "no token for FCM can be had: the token endpoint did not give one (RefreshError)"
    ]


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (failure(404, "NOT_FOUND", "UNREGISTERED"), Dead("UNREGISTERED")),
        (failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Later("SENDER_ID_MISMATCH", ours=True)),
        (failure(403, "PERMISSION_DENIED"), Later("PERMISSION_DENIED", ours=True)),
        (failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Refused("INVALID_ARGUMENT")),
        (failure(503, "UNAVAILABLE", "UNAVAILABLE", Retry_After="9"), Later("UNAVAILABLE", 9.0)),
    ],
)
async def test_answers(fcm: FcmPeer, told: Answer, answer: Any) -> None:
    fcm.answer = _always(told)
    async with _carrier(fcm) as carrier:
        assert await carrier.send(PHONE, _hello()) == answer


async def test_another_projects_token_is_dead_once_ours_is_known_to_be_the_right_one(fcm: FcmPeer) -> None:
    async with _carrier(fcm) as carrier:
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
        fcm.answer = _always(failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"))
        assert await carrier.send(PHONE, _hello()) == Dead("SENDER_ID_MISMATCH")


async def test_over_quota_the_whole_project_waits(fcm: FcmPeer) -> None:
    fcm.answer = _always(failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Retry_After="30"))
    async with _carrier(fcm) as carrier:
        assert await carrier.send(PHONE, _hello()) == Later("QUOTA_EXCEEDED", 30.0, ours=True)
        answer = await carrier.send(PHONE, _hello())
    assert isinstance(answer, Later) and (answer.reason, answer.ours, answer.asked) == ("halted", True, False)
    assert answer.after_s is not None and 29 <= answer.after_s <= 30 * 1.25
    assert fcm.sends == 1


async def test_over_the_quota_of_one_device_only_that_one_waits(fcm: FcmPeer) -> None:
    violation = {"subject": "device:1", "description": "Device message rate exceeded"}
    usual, fcm.answer = fcm.answer, _always(over_quota(violation, Retry_After="30"))
    async with _carrier(fcm) as carrier:
        assert await carrier.send(PHONE, _hello()) == Later("device_quota", 30.0)
        fcm.answer = usual
        assert isinstance(await carrier.send(PHONE._replace(address="another"), _hello()), Sent)


async def test_the_rate_is_kept(fcm: FcmPeer) -> None:
    async with _carrier(fcm, FCM_PER_MINUTE="3000") as carrier:  # 50 a second
        began = time.monotonic()
        answers = await asyncio.gather(*(carrier.send(PHONE, _hello()) for _ in range(100)))
        assert time.monotonic() - began >= 0.9
        assert all(isinstance(answer, Sent) for answer in answers)
        answers = await asyncio.gather(*(carrier.send(PHONE, _hello()) for _ in range(400)))
    later = [answer for answer in answers if isinstance(answer, Later)]
    assert later and {answer.reason for answer in later} == {"halted"}


async def test_what_hangs_may_have_been_taken(fcm: FcmPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def never(_: dict[str, Any]) -> None:
        await held.wait()

    async with _carrier(fcm) as carrier:
        assert isinstance(await carrier.send(PHONE, _hello()), Sent)
        monkeypatch.setattr("push_workloads.push.posting.TIMEOUT", ClientTimeout(total=0.2, connect=0.2))
        fcm.answer = never
        assert await carrier.send(PHONE, _hello()) == Unknown("timeout")
        held.set()


@asynccontextmanager
async def _cutting() -> AsyncIterator[str]:
    """Reads the request, and hangs up."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_connection_that_ends_after_the_request_went_out(fcm: FcmPeer) -> None:
    async with _cutting() as url, _carrier(fcm, FCM_URL=url) as carrier:
        assert await carrier.send(PHONE, _hello()) == Unknown("connection_lost")


async def test_nobody_there(fcm: FcmPeer) -> None:
    async with _carrier(fcm, FCM_URL="http://127.0.0.1:1") as carrier:
        assert await carrier.send(PHONE, _hello()) == Later("connect")


async def test_redirects_are_not_followed(fcm: FcmPeer) -> None:
    fcm.answer = _always((307, {}, {"Location": fcm.url}))
    async with _carrier(fcm) as carrier:
        assert await carrier.send(PHONE, _hello()) == Later("http_307", ours=True)
    assert fcm.sends == 1


async def test_the_old_key_keeps_the_service_from_starting(tmp_path: Path) -> None:
    environ = environ_for(SQLITE_PATH=str(tmp_path / "d.db"), REDIS_URL=NO_REDIS, NATS_URL="nats://127.0.0.1:1")
    log = tmp_path / "push.log"
    process = launch("push", {**environ, "FCM_API_KEY": "AAAAsecret"}, log)
    await eventually(lambda: process.child.poll() is not None)
    assert process.child.returncode != 0
    (line,) = [line for line in log.read_text().splitlines() if "FCM_API_KEY" in line]
    assert "FCM_SERVICE_ACCOUNT" in line and "HTTP v1" in line
    assert "AAAAsecret" not in log.read_text()
