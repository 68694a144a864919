"""What becomes of a notification when the connection to Apple does not go well: by a peer that does as it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes
from tests.support.apns.pushy import PATIENT
from tests.support.apns.scripted import Asked, ScriptedPeer, scripted_peer
from tests.support.servers import free_port
from tests.support.waiting import eventually

from push_workloads.common.config import ConfigError
from push_workloads.common.telemetry import set_up_logging
from push_workloads.push.apns.carrier import apns_carrier
from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.apns.connection import Limits
from push_workloads.push.apns.outcome import Answered
from push_workloads.push.apns.payload import Request
from push_workloads.push.apns.pool import Pool, context_of
from push_workloads.push.carrier import Answer, Carrier, Later, Sent, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show

HELLO = Notification("m1", Show.ALERT, 2_000_000_000, "Ann", "hello")
QUICK = Limits(connect=20, wait=5, answer=2, alive=2)


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[ScriptedPeer]:
    async with scripted_peer(tmp_path) as made:
        yield made


def send(carrier: Carrier, token: str, notification: Notification = HELLO) -> Coroutine[Any, Any, Answer]:
    return carrier.send(Device("bob", "d1", "apns", token, None, None, None, 0, 0), notification)


async def taken(carrier: Carrier) -> bool:
    return await send(carrier, "again") == Sent()


def answering(asked: Asked) -> None:
    asked.answer()


async def come(peer: ScriptedPeer, count: int) -> list[Asked]:
    await eventually(lambda: len(peer.asked) >= count)
    return peer.asked[:count]


async def test_after_goaway_what_it_covers_is_finished_and_the_rest_goes_by_a_new_connection(
    peer: ScriptedPeer,
) -> None:
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        sends = [asyncio.create_task(send(carrier, token)) for token in "abc"]
        first, *_ = await come(peer, 3)
        peer.behave = answering
        first.link.goaway(first.stream_id)
        again = (await come(peer, 5))[3:]
        assert sorted(one.token for one in again) == ["b", "c"]
        assert all(one.link is not first.link for one in again)
        first.answer(apns_id="late")
        assert await asyncio.gather(*sends) == [Sent("late"), Sent(), Sent()]
        await eventually(lambda: first.link.closed)


async def test_what_follows_goaway_in_the_same_packet_is_read(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        task = asyncio.create_task(send(carrier, "a"))
        (asked,) = await come(peer, 1)
        asked.link.goaway(asked.stream_id)
        asked.answer(410, "Unregistered")
        assert (await task) != Unknown("the connection was lost")
        await eventually(lambda: asked.link.closed)


async def test_a_refused_stream_goes_again_and_a_reset_one_never(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        sends = [asyncio.create_task(send(carrier, token)) for token in "abc"]
        refused, reset, other = await come(peer, 3)
        peer.behave = answering
        refused.reset(ErrorCodes.REFUSED_STREAM)
        reset.reset(ErrorCodes.INTERNAL_ERROR)
        other.answer()
        assert await asyncio.gather(*sends) == [Sent(), Unknown("the stream was reset"), Sent()]
        assert [one.token for one in peer.asked] == ["a", "b", "c", "a"]
        assert len(peer.links) == 1


async def test_a_lost_connection_leaves_what_was_sent_unknown(peer: ScriptedPeer) -> None:
    peer.streams = 1
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        sent = asyncio.create_task(send(carrier, "a"))
        (asked,) = await come(peer, 1)
        waits = asyncio.create_task(send(carrier, "b"))
        await asyncio.sleep(0)
        peer.behave = answering
        asked.link.cut()
        assert await sent == Unknown("the connection was lost")
        assert await waits == Sent()
        assert [one.token for one in peer.asked] == ["a", "b"]


async def test_a_peer_that_speaks_nonsense_is_left(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        task = asyncio.create_task(send(carrier, "a"))
        (asked,) = await come(peer, 1)
        assert asked.link.transport is not None
        asked.link.transport.write(b"\0\0\5\6\0\0\0\0\0hello")  # a ping has eight bytes
        assert await task == Unknown("the connection was lost")
        peer.behave = answering
        assert await send(carrier, "b") == Sent()
        assert len(peer.links) == 2


async def test_one_that_is_cancelled_before_it_is_sent_is_never_sent(peer: ScriptedPeer) -> None:
    peer.streams = 1
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        sends = [asyncio.create_task(send(carrier, token)) for token in "abc"]
        (asked,) = await come(peer, 1)
        peer.behave = answering
        sends[1].cancel()
        asked.answer()
        assert await sends[0] == await sends[2] == Sent()
        assert [one.token for one in peer.asked] == ["a", "c"]


async def test_an_answer_that_is_too_late_is_unknown_and_the_connection_goes_on(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=QUICK) as carrier:
        assert await send(carrier, "slow") == Unknown("no answer within 2 s")
        (asked,) = peer.asked
        await eventually(lambda: asked.link.resets == [asked.stream_id])
        peer.behave = answering
        assert await send(carrier, "quick") == Sent()
        assert len(peer.links) == 1


async def test_a_peer_that_is_silent_is_left(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=QUICK) as carrier:
        task = asyncio.create_task(send(carrier, "a"))
        (asked,) = await come(peer, 1)
        assert asked.link.transport is not None
        asked.link.transport.pause_reading()
        assert isinstance(await task, Unknown)
        peer.behave = answering
        await eventually(lambda: taken(carrier))
        assert len(peer.links) == 2


async def test_a_cancelled_send_ends_its_own_stream_alone(peer: ScriptedPeer) -> None:
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        kept, cancelled = (asyncio.create_task(send(carrier, token)) for token in "ab")
        asked, unwanted = await come(peer, 2)
        cancelled.cancel()
        await eventually(lambda: unwanted.link.resets == [unwanted.stream_id])
        asked.answer()
        assert await kept == Sent()
        peer.behave = answering
        assert await send(carrier, "c") == Sent()
        assert len(peer.links) == 1


async def test_one_that_gets_no_stream_in_time_is_for_later(peer: ScriptedPeer) -> None:
    peer.streams = 1
    async with apns_carrier(peer.config(), limits=PATIENT._replace(wait=0.3)) as carrier:
        first = asyncio.create_task(send(carrier, "a"))
        (asked,) = await come(peer, 1)
        assert await send(carrier, "b") == Later("busy")
        asked.answer()
        assert await first == Sent()
        assert len(peer.asked) == 1


async def test_nothing_is_half_sent_while_the_window_is_shut(peer: ScriptedPeer) -> None:
    """HTTP/2's first window of a connection is 65,535 bytes."""
    peer.acknowledges = False
    peer.behave = answering
    large = Notification("m1", Show.ALERT, 2_000_000_000, "Ann", "x" * 4096)
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        sends = [asyncio.create_task(send(carrier, str(number), large)) for number in range(40)]
        await come(peer, 15)
        await eventually(lambda: sum(task.done() for task in sends) == 15)
        peer.acknowledges = True
        peer.links[0].acknowledge()
        assert await asyncio.gather(*sends) == [Sent()] * 40


async def test_apple_says_when_to_come_again(peer: ScriptedPeer) -> None:
    peer.behave = lambda asked: asked.answer(429, "TooManyRequests", retry_after="7")
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert await send(carrier, "a") == Later("TooManyRequests", 7.0)


async def test_one_provider_token_for_all_connections_and_a_new_one_after_50_minutes(peer: ScriptedPeer) -> None:
    peer.streams, now = 1, 1_000_000.0
    async with apns_carrier(peer.config(connections=2), clock=lambda: now, limits=PATIENT) as carrier:
        sends = [asyncio.create_task(send(carrier, token)) for token in "ab"]
        asked = await come(peer, 2)
        assert len({one.link for one in asked}) == 2
        assert len({one.headers["authorization"] for one in asked}) == 1
        for one in asked:
            one.answer()
        await asyncio.gather(*sends)
        peer.behave = answering
        now += 49 * 60
        await send(carrier, "c")
        now += 2 * 60
        await asyncio.gather(send(carrier, "d"), send(carrier, "e"))
    tokens = [one.headers["authorization"] for one in peer.asked]
    assert tokens[0] == tokens[1] == tokens[2]
    assert tokens[2] != tokens[3] == tokens[4]


async def test_a_token_that_apple_finds_too_old_is_renewed_once(peer: ScriptedPeer) -> None:
    peer.behave = lambda asked: (
        asked.answer(403, "ExpiredProviderToken")
        if asked.headers["authorization"] == peer.asked[0].headers["authorization"]
        else asked.answer()
    )
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert await asyncio.gather(*(send(carrier, token) for token in "abc")) == [Sent()] * 3
        assert len({one.headers["authorization"] for one in peer.asked}) == 2
        peer.behave = lambda asked: asked.answer(403, "ExpiredProviderToken")
        assert await send(carrier, "d") == Later("ExpiredProviderToken", ours=True)
        assert len({one.headers["authorization"] for one in peer.asked}) == 2


async def test_nothing_is_kept_of_what_is_over(peer: ScriptedPeer) -> None:
    peer.behave = lambda asked: asked.answer() if asked.token != "gone" else asked.answer(400, "BadDeviceToken")
    config = peer.config()
    pool = Pool(config, context_of(config.ca), PATIENT)
    request = Request(b"/3/device/a", ((b"apns-topic", b"t"),), b"{}", False, False)
    for number in range(200):
        path = b"/3/device/gone" if number % 2 else b"/3/device/a"
        assert isinstance(await pool.post(request._replace(path=path), "bearer x"), Answered)
    (connection,) = pool.connections
    assert connection.load == 0
    assert not connection.requests and not connection.request_streams and not connection.request_statuses
    assert len(connection.conn.streams) <= 2
    await pool.aclose()
    assert not pool.connections


async def test_who_speaks_no_http2_is_a_fault_of_ours(tmp_path: Path) -> None:
    async with scripted_peer(tmp_path, alpn=False) as peer, apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert await send(carrier, "a") == Later("no HTTP/2", 1.0, ours=True)


async def test_who_is_not_trusted_is_told_nothing(peer: ScriptedPeer) -> None:
    config = peer.config()
    stranger = ApnsConfig(config.key, config.key_id, config.team_id, config.topic, config.host, config.port)
    async with apns_carrier(stranger, limits=PATIENT) as carrier:
        assert await send(carrier, "a") == Later("certificate not trusted", 1.0, ours=True)
    assert not peer.asked


@pytest.mark.parametrize("behaviour", ["nobody listens", "nobody speaks"])
async def test_who_is_not_there_is_for_later(peer: ScriptedPeer, behaviour: str) -> None:
    """All who wait for the connection are told at once, and it is not tried again for each of them."""
    peer.silent = True
    config = peer.config()
    port = free_port() if behaviour == "nobody listens" else peer.port
    away = ApnsConfig(config.key, config.key_id, config.team_id, config.topic, config.host, port, 1, config.ca)
    async with apns_carrier(away, limits=PATIENT._replace(connect=1)) as carrier:
        answers = await asyncio.gather(*(send(carrier, str(number)) for number in range(50)))
        assert answers == [Later("unreachable", 1.0)] * 50
        assert len(peer.links) <= 1
        assert await send(carrier, "more") == Later("unreachable", 1.0)


async def test_certificates_that_cannot_be_read_are_told_at_the_start(peer: ScriptedPeer, tmp_path: Path) -> None:
    config = peer.config()
    wrong = ApnsConfig(config.key, config.key_id, config.team_id, config.topic, ca=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="APNS_CA must be a PEM file"):
        async with apns_carrier(wrong):
            pass


async def test_a_connection_that_was_silent_for_long_is_asked_before_it_is_trusted(
    peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something between us and Apple may have forgotten it: what is sent there would be unknown for ever."""
    monkeypatch.setattr("push_workloads.push.apns.pool.SILENT_SECONDS", 0.0)
    peer.behave = answering
    async with apns_carrier(peer.config(), limits=QUICK) as carrier:
        assert await send(carrier, "a") == Sent()
        assert await send(carrier, "b") == Sent()
        assert len(peer.links) == 1
        transport = peer.links[0].transport
        assert transport is not None
        transport.pause_reading()
        assert await send(carrier, "c") == Sent()
        assert [one.token for one in peer.asked] == ["a", "b", "c"]
        assert len(peer.links) == 2


async def test_no_token_is_logged(peer: ScriptedPeer, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    set_up_logging("push", "one", "DEBUG")
    try:
        peer.behave = answering
        async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
            assert await send(carrier, "the-device-s-token") == Sent()
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    said = capsys.readouterr().err
    assert "the-device-s-token" not in said
    assert peer.asked[0].headers["authorization"].removeprefix("bearer ") not in said
    assert "bearer" not in said
