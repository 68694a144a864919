"""Notifications on the demo page, in a real browser with its real service worker.

A browser's own push service is in the internet, so three things stand in for it: `PushManager.subscribe` gives a
subscription at the tests' push service, with the key that the page got; that push service decrypts what our carrier
sends there; and DevTools hand the text to the service worker, as the browser would.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from playwright.async_api import Browser, expect

from push_workloads.common.keys import p256_from_seed
from push_workloads.push.carrier import Sent
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.webpush.config import WebPushConfig
from push_workloads.push.webpush.sender import webpush_carrier
from tests.e2e.browser import Person, two_people
from tests.e2e.running import Running
from tests.support.npm import NoPackages
from tests.support.servers import running
from tests.support.waiting import eventually
from tests.support.web_push import Asked, PushService

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("windows_closed")]

SUBSCRIBE = """
() => {
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly) throw new Error("browsers want it");
    const made = await globalThis.subscribeAtTheTests(applicationServerKey);
    return { toJSON: () => made };
  };
}
"""
SHOWN = """
async () => (await (await navigator.serviceWorker.ready).getNotifications())
  .map(({ title, body, tag, data }) => ({ title, body, tag, data }))
"""
# What the browser tells the worker when somebody clicks; nobody can click what a browser without a screen shows.
CLICK = """
async () => {
  const [notification] = await self.registration.getNotifications();
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def service(tmp_path: Path) -> AsyncIterator[PushService]:
    try:
        made = PushService(tmp_path / "webpush")
    except NoPackages as missing:
        pytest.skip(f"notifications on the page are not tested: {missing}")
    async with running(made):
        yield made


class Notified:
    """A person whose browser subscribes at the tests' push service."""

    def __init__(self, person: Person, asked: Asked) -> None:
        self.person = person
        self.device: Device | None = None
        self._asked = asked

    async def allows(self) -> None:
        context = self.person.page.context
        await context.grant_permissions(["notifications"])
        await context.expose_function("subscribeAtTheTests", self._subscribe)
        await self.person.page.evaluate(SUBSCRIBE)

    async def _subscribe(self, key: str) -> dict[str, Any]:
        self.device = device = await self._asked.browser(key)
        return {"endpoint": device.address, "keys": {"p256dh": device.p256dh, "auth": device.auth}}

    @asynccontextmanager
    async def worker(self, origin: str) -> AsyncIterator[Any]:
        """Hands texts to the page's service worker, as the browser would."""
        page = self.person.page
        devtools = await page.context.new_cdp_session(page)
        found: list[str] = []

        def seen(told: dict[str, Any]) -> None:
            found.extend(one["registrationId"] for one in told["registrations"] if not one["isDeleted"])

        devtools.on("ServiceWorker.workerRegistrationUpdated", seen)
        await devtools.send("ServiceWorker.enable")
        await eventually(lambda: found)

        async def deliver(text: str) -> None:
            told = {"origin": origin, "registrationId": found[0], "data": text}
            await devtools.send("ServiceWorker.deliverPushMessage", told)

        yield deliver
        await devtools.detach()


async def _token(person: Person) -> str:
    return str(json.loads(await person.page.evaluate("sessionStorage.getItem('push.session')"))["token"])


async def _devices(http: ClientSession, platform: Running, token: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get(platform.url("push", "/devices"), headers=headers) as answer:
        devices: list[dict[str, Any]] = (await answer.json())["devices"]
        return devices


async def test_a_message_comes_as_a_notification_that_opens_its_conversation(
    chromium: Browser, platform: Running, service: PushService
) -> None:
    ada, grace = await two_people(chromium, platform)
    async with service.asked() as asked, ClientSession() as http:
        notified = Notified(ada, asked)
        await notified.allows()
        await ada.page.get_by_role("button", name="Notify me").click()
        await expect(ada.page.locator("#banner-text")).to_have_text("You will be notified here.")
        token = await _token(ada)
        (registered,) = await _devices(http, platform, token)
        socket = await ada.page.evaluate("sessionStorage.getItem('push.device')")
        assert (registered["platform"], registered["device_id"]) == ("webpush", socket)  # one cursor for both

        await ada.page.evaluate("location.hash = ''")
        await expect(ada.page.locator("#nothing")).to_be_visible()
        place = f"user:{await grace.user_id()}"
        hello = Notification(
            "m1", Show.ALERT, int(time.time()) + 60, title="Grace", body="Are you there?", badge=1, collapse_id=place,
            conversation=place,
        )  # fmt: skip
        assert notified.device is not None
        key = p256_from_seed("Web Push", platform.generated("VAPID_SEED"))
        config = WebPushConfig(key, "mailto:push@example.com", frozenset({"127.0.0.1"}))
        async with webpush_carrier(config, service.trust) as carrier:
            assert await carrier.send(notified.device, hello) == Sent()
        (came,) = await asked.received(1)

        async with notified.worker(platform.page) as deliver:
            await deliver(json.dumps({**came.told, "show": "badge"}))
            await deliver(json.dumps(came.told))
            await eventually(lambda: ada.page.evaluate(SHOWN))
        assert await ada.page.evaluate(SHOWN) == [
            {"title": "Grace", "body": "Are you there?", "tag": place, "data": {"conversation": place}}
        ]

        (worker,) = ada.page.context.service_workers
        await worker.evaluate(CLICK)
        await expect(ada.page.get_by_role("textbox", name="Message")).to_be_visible()
        await ada.sees("Hello, Ada!")
        assert await ada.page.evaluate(SHOWN) == []

        await ada.page.get_by_role("button", name="Log out").click()

        async def gone() -> bool:
            return await _devices(http, platform, token) == []

        await eventually(gone)
    assert ada.complaints + grace.complaints == []


async def test_who_does_not_allow_it_is_told(chromium: Browser, platform: Running) -> None:
    ada = await Person.at(chromium, platform.page)
    await ada.register("Ada")
    await ada.page.evaluate("() => { Notification.requestPermission = async () => 'denied'; }")
    await ada.page.get_by_role("button", name="Notify me").click()
    await expect(ada.page.locator("#banner-text")).to_have_text("This browser does not allow it here.")
    assert ada.complaints == []
