"""Notifications to Apple's push service, as pushy's validating server takes them: over TLS, ALPN and HTTP/2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace
from tests.support.apns.pushy import PATIENT, SINCE_MS, TOPIC, ApnsPeer, alive, dead, foreign, rejected
from tests.support.jars import NoJars
from tests.support.waiting import eventually

from push_workloads.push.apns.carrier import apns_carrier
from push_workloads.push.apns.connection import Limits
from push_workloads.push.apns.reasons import REASONS, Means
from push_workloads.push.carrier import Answer, Carrier, Dead, Later, Refused, Sent, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show

EXPIRES_AT = 2_000_000_000
HELLO = Notification("m1", Show.ALERT, EXPIRES_AT, "Ann", "hello", {"a": [1]}, 3, "user:ann", "user:ann")


def device(address: str, app: str | None = None) -> Device:
    return Device("bob", "d1", "apns", address, None, None, app, 0, 0)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApnsPeer]:
    """One for all: a Java program takes its time to start."""
    try:
        peer = ApnsPeer(tmp_path_factory.mktemp("apns"))
    except NoJars as missing:
        pytest.skip(f"Apple's push is not tested here: {missing}")
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(lambda: asyncio.run(peer.start())).result()
            yield peer
        finally:
            thread.submit(lambda: asyncio.run(peer.kill())).result()


@pytest.fixture
def peer(started: ApnsPeer) -> ApnsPeer:
    """Which has been told nothing yet."""
    started.forget()
    return started


async def test_what_is_sent_is_what_apple_takes(peer: ApnsPeer) -> None:
    call = Notification("m2", Show.VOIP, EXPIRES_AT, "Ann calls")
    number = Notification("m3", Show.BADGE, EXPIRES_AT, "unseen", badge=7)
    quiet = Notification("m4", Show.BACKGROUND, EXPIRES_AT, data={"sync": True})
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        answers = [await carrier.send(device(alive(1)), one) for one in (HELLO, call, number, quiet)]
    assert all(isinstance(answer, Sent) and answer.provider_id for answer in answers)
    alert, voip, badge, background = await eventually(lambda: len(peer.accepted()) == 4 and peer.accepted())
    assert alert[:6] == (alive(1), TOPIC, "alert", "10", str(EXPIRES_AT), "user:ann")
    assert alert.payload["aps"]["alert"] == {"title": "Ann", "body": "hello"}
    assert alert.payload["data"] == {"a": [1]}
    assert voip[1:4] == (TOPIC + ".voip", "voip", "10")
    assert badge[2:4] == ("alert", "5")
    assert badge.payload == {"aps": {"badge": 7}}
    assert background[2:4] == ("background", "5")
    assert background.payload["aps"] == {"content-available": 1}


async def test_five_thousand_dead_tokens_on_one_connection(peer: ApnsPeer) -> None:
    """Their answers are four times what a peer may send to one that acknowledges nothing."""
    async with apns_carrier(peer.config(connections=1), limits=PATIENT) as carrier:
        answers: list[Answer] = []
        for start in range(0, 5000, 250):
            batch = (carrier.send(device(dead(number)), HELLO) for number in range(start, start + 250))
            answers += await asyncio.gather(*batch)
        assert answers == [Dead("Unregistered", SINCE_MS)] * 5000
        assert isinstance(await carrier.send(device(alive(1)), HELLO), Sent)


async def test_each_of_apples_reasons(peer: ApnsPeer) -> None:
    """pushy knows them in the order of Apple's documentation, but for what is newer than pushy."""
    answers: dict[str, Answer] = {}
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert isinstance(await carrier.send(device(alive(1)), HELLO), Sent)  # so that its word on tokens is taken
        for number in range(29):
            answer = await carrier.send(device(rejected(number)), HELLO)
            assert not isinstance(answer, Sent | Unknown)
            answers[answer.reason] = answer
    known = {reason: means for (_, reason), means in REASONS.items() if reason in answers}
    assert len(known) == 29
    for reason, answer in answers.items():
        match known[reason]:
            case Means.DEAD:
                assert answer == Dead(reason, SINCE_MS if reason == "Unregistered" else None)
            case Means.REFUSED:
                assert answer == Refused(reason)
            case means:
                assert answer == Later(reason, None, ours=means is Means.OURS)


async def test_tokens_that_are_nobodys(peer: ApnsPeer) -> None:
    call = Notification("m2", Show.VOIP, EXPIRES_AT, "Ann calls")
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert isinstance(await carrier.send(device(alive(1)), HELLO), Sent)
        assert await carrier.send(device("no/token?#"), HELLO) == Dead("BadDeviceToken")
        assert await carrier.send(device(foreign(1)), HELLO) == Dead("DeviceTokenNotForTopic")
        # That a token takes no calls is no reason to take its messages from it.
        assert await carrier.send(device(foreign(1)), call) == Refused("DeviceTokenNotForTopic")
        assert await carrier.send(device(foreign(1), TOPIC + ".voip"), call) == Dead("DeviceTokenNotForTopic")


async def test_while_nothing_was_taken_a_wrong_setting_of_ours_costs_no_device(peer: ApnsPeer) -> None:
    """In the wrong environment every token is a bad one, and with a wrong topic none is for it."""
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert await carrier.send(device("no/token?#"), HELLO) == Later("BadDeviceToken", ours=True)
        assert await carrier.send(device(foreign(1)), HELLO) == Later("DeviceTokenNotForTopic", ours=True)
        assert await carrier.send(device(dead(1)), HELLO) == Dead("Unregistered", SINCE_MS)
        assert isinstance(await carrier.send(device(alive(1)), HELLO), Sent)
        assert await carrier.send(device("no/token?#"), HELLO) == Dead("BadDeviceToken")
        assert await carrier.send(device(foreign(1)), HELLO) == Dead("DeviceTokenNotForTopic")


async def test_a_key_that_apple_does_not_know_costs_no_device(peer: ApnsPeer) -> None:
    async with apns_carrier(peer.config(key=ec.generate_private_key(ec.SECP256R1())), limits=PATIENT) as carrier:
        for token in (alive(1), alive(2)):
            assert await carrier.send(device(token), HELLO) == Later("InvalidProviderToken", ours=True)


async def test_a_provider_token_is_too_old_after_an_hour(peer: ApnsPeer) -> None:
    """With a clock that is an hour behind Apple takes none of ours, and we make no more than two."""
    async with apns_carrier(peer.config(), clock=lambda: time.time() - 3601, limits=PATIENT) as carrier:
        for _ in range(3):
            assert await carrier.send(device(alive(1)), HELLO) == Later("ExpiredProviderToken", ours=True)
    await eventually(lambda: peer.rejected() == ["EXPIRED_PROVIDER_TOKEN"] * 4)


async def test_the_longest_texts_are_taken(peer: ApnsPeer) -> None:
    long = replace(HELLO, body='é"\n👩‍👩‍👧' * 2000, title="x" * 500)
    async with apns_carrier(peer.config(), limits=PATIENT) as carrier:
        assert isinstance(await carrier.send(device(alive(1)), long), Sent)
    (alert,) = await eventually(peer.accepted)
    assert alert.payload["aps"]["alert"]["body"].endswith("…")
    assert alert.payload["aps"]["alert"]["title"] == "x" * 500


async def test_a_server_that_hangs_and_comes_back(peer: ApnsPeer) -> None:
    limits = Limits(connect=20.0, wait=1.0, answer=1.0, alive=1.0)
    async with apns_carrier(peer.config(), limits=limits) as carrier:
        await eventually(lambda: send_is_taken(carrier))
        peer.pause()
        assert isinstance(await carrier.send(device(alive(2)), HELLO), Unknown)
        peer.resume()
        await eventually(lambda: send_is_taken(carrier))
        await peer.kill()
        assert await carrier.send(device(alive(3)), HELLO) in (
            Later("unreachable", 1.0), Unknown("the connection was lost")
        )  # fmt: skip
        await peer.start()
        await eventually(lambda: send_is_taken(carrier))


async def send_is_taken(carrier: Carrier) -> bool:
    return isinstance(await carrier.send(device(alive(9)), HELLO), Sent)
