"""The carrier of Web Push against a push service of other people's code, which decrypts; and where it does not go."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.npm import NoPackages
from tests.support.servers import Nats, Valkey, running
from tests.support.services import environ_for, in_process, listening
from tests.support.web_push import Asked, PushService

from push_workloads.push.carrier import Carrier, Dead, Later, Refused, Sent, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.webpush.config import WebPushConfig
from push_workloads.push.webpush.message import topic
from push_workloads.push.webpush.sender import webpush_carrier
from push_workloads.push.webpush.vapid import point, unpadded

KEY = ec.generate_private_key(ec.SECP256R1())
CONFIG = WebPushConfig(KEY, "mailto:push@example.com", frozenset({"127.0.0.1"}))
PUBLIC = unpadded(point(KEY))


def _hello(**changed: Any) -> Notification:
    values = {"title": "Ann", "body": "Hello, Grüße!", "collapse_id": "user:ann", "data": {"room": 1}, **changed}
    return Notification("m1", Show.ALERT, int(time.time()) + 600, **values)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[PushService]:
    try:
        made = PushService(tmp_path / "webpush")
    except NoPackages as missing:
        pytest.skip(f"nothing of Web Push is tested here: {missing}")
    async with running(made):
        yield made


@pytest.fixture
async def asked(service: PushService) -> AsyncIterator[Asked]:
    async with service.asked() as made:
        yield made


@pytest.fixture
async def carrier(service: PushService) -> AsyncIterator[Carrier]:
    async with webpush_carrier(CONFIG, service.trust) as made:
        yield made


async def test_a_browser_reads_it(carrier: Carrier, asked: Asked) -> None:
    browser = await asked.browser(PUBLIC)
    assert await carrier.send(browser, _hello()) == Sent()
    (one,) = await asked.received(1)
    assert one.told == {
        "message_id": "m1", "show": "alert", "title": "Ann", "body": "Hello, Grüße!", "tag": "user:ann",
        "data": {"room": 1},
    }  # fmt: skip
    assert one.headers["topic"] == topic("user:ann")
    assert one.headers["urgency"] == "high"
    assert 590 <= int(one.headers["ttl"]) <= 600


async def test_the_longest_one_fits(carrier: Carrier, asked: Asked) -> None:
    browser = await asked.browser(PUBLIC)
    assert await carrier.send(browser, _hello(body="ü" * 5000)) == Sent()
    (one,) = await asked.received(1)
    assert one.bytes == 4096
    assert one.told["body"].endswith("…")
    assert await carrier.send(browser, _hello(data={"a": "b" * 4096})) == Refused("payload_too_large")


async def test_many_at_once_each_for_its_own_browser(carrier: Carrier, asked: Asked) -> None:
    browsers = [await asked.browser(PUBLIC, device_id=f"d{number}") for number in range(20)]
    for browser in browsers:
        assert await carrier.send(browser, _hello(title=browser.device_id)) == Sent()
    received = {one.client: one.told["title"] for one in await asked.received(20)}
    assert received == {one.address.rpartition("/")[2]: one.device_id for one in browsers}


async def test_who_is_gone(carrier: Carrier, asked: Asked) -> None:
    browser = await asked.browser(PUBLIC)
    assert await carrier.send(browser._replace(address=browser.address[:-2]), _hello()) == Dead("http_404")
    await asked.expire(browser)
    assert await carrier.send(browser, _hello()) == Dead("http_410")


async def test_another_key_than_it_subscribed_with(carrier: Carrier, asked: Asked) -> None:
    browser = await asked.browser(unpadded(point(ec.generate_private_key(ec.SECP256R1()))))
    assert await carrier.send(browser, _hello()) == Refused("http_400")
    assert await asked.received() == []


async def test_what_it_answers_else(carrier: Carrier, asked: Asked) -> None:
    browser = await asked.browser(PUBLIC)
    elsewhere = {"Location": browser.address}
    await asked.will_answer((429, {"Retry-After": "17"}), (503, {}), (413, {}), (307, elsewhere))
    assert [await carrier.send(browser, _hello()) for _ in range(4)] == [
        Later("http_429", 17.0, ours=True),
        Later("http_503"),
        Refused("http_413"),
        Refused("http_307"),  # not followed: nobody has looked at where it leads
    ]
    assert await asked.received() == []


async def test_a_push_service_that_is_away(carrier: Carrier, asked: Asked, service: PushService) -> None:
    browser = await asked.browser(PUBLIC)
    await service.kill()
    assert await carrier.send(browser, _hello()) == Later("connect")
    await service.start()


async def test_one_that_hangs_may_have_taken_it(
    carrier: Carrier, asked: Asked, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await asked.browser(PUBLIC)
    assert await carrier.send(browser, _hello()) == Sent()
    service.pause()
    monkeypatch.setattr("push_workloads.push.posting.TIMEOUT", _short())
    assert await carrier.send(browser, _hello()) == Unknown("timeout")
    await service.kill()


def _short() -> Any:
    from aiohttp import ClientTimeout

    return ClientTimeout(total=0.3, connect=0.2)


async def test_nobody_is_trusted_without_a_certificate(asked: Asked, service: PushService) -> None:
    browser = await asked.browser(PUBLIC)
    async with webpush_carrier(CONFIG) as strict:
        assert await strict.send(browser, _hello()) == Later("connect")


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:{port}/x", "https://[::1]:{port}/x", "https://[::ffff:127.0.0.1]:{port}/x",
        "https://localhost:{port}/x", "https://127.1:{port}/x", "https://2130706433:{port}/x",
        "https://0x7f.0.0.1:{port}/x", "https://0.0.0.0:{port}/x", "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x", "http://push.example.com/x", "https://[::1/x", "https:///x", "https://a@127.0.0.1:{port}/",
    ],
)  # fmt: skip
async def test_it_does_not_go_into_our_own_network(address: str) -> None:
    """Whoever registers a device chooses its address: nothing is even connected to."""
    own = listening()
    own.setblocking(False)
    device = Device("ann", "d", "webpush", address.format(port=own.getsockname()[1]), PUBLIC, "A" * 22, None, 0, 0)
    with own:
        async with webpush_carrier(WebPushConfig(KEY, "mailto:push@example.com")) as carrier:
            answer = await carrier.send(device, _hello())
        assert answer in (Refused("forbidden_address"), Refused("bad_address"))  # numbers that are no address: aiohttp
        with pytest.raises(BlockingIOError):
            own.accept()


async def test_a_name_that_leads_there_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(host: str, port: int, *_: Any) -> Any:
        assert host == "push.attacker.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("142.250.1.1", "10.0.0.1")]

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    device = Device("ann", "d", "webpush", "https://push.attacker.example/x", PUBLIC, "A" * 22, None, 0, 0)
    async with webpush_carrier(CONFIG) as carrier:
        assert await carrier.send(device, _hello()) == Refused("forbidden_address")


async def test_the_key_for_pages(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> None:
    environ = environ_for(
        SQLITE_PATH=str(tmp_path / "devices.db"), REDIS_URL=valkey_server.url,
        **operators_nats_server.environ_of("push"),
    )  # fmt: skip
    raw = unpadded(KEY.private_numbers().private_value.to_bytes(32, "big"))
    with_key = {**environ, "VAPID_PRIVATE_KEY": raw, "VAPID_SUBJECT": "mailto:push@example.com"}
    async with in_process("push", with_key) as push, http.get(f"{push.url}/devices/webpush/key") as answer:
        assert (answer.status, await answer.json()) == (200, {"key": PUBLIC})
    async with in_process("push", environ) as push, http.get(f"{push.url}/devices/webpush/key") as answer:
        assert answer.status == 404
        assert "VAPID" in (await answer.json())["error"]["message"]
