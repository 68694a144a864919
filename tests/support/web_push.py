"""A push service with browsers behind it (npm `web-push-testing`, in `webpush/`), over TLS: it checks who sends, and
reads what was encrypted by other code than ours."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aiohttp import ClientSession, TCPConnector

from push_workloads.push.devices import Device, DeviceRegistration, Subscription, SubscriptionKeys, device_of
from tests.support.npm import packages
from tests.support.servers import Server
from tests.support.smtp import certified
from tests.support.waiting import eventually

_HERE: Final = Path(__file__).with_name("webpush")


class Received(NamedTuple):
    """One message as a page's service worker gets it, and how it came."""

    client: str
    headers: dict[str, str]
    told: dict[str, Any]
    bytes: int


class PushService(Server):
    """One process on a port of its own. `certificate`: what its clients have to trust."""

    start_seconds = 30.0

    def __init__(self, folder: Path) -> None:
        """Raises NoPackages."""
        modules = packages(_HERE, "web-push-testing")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_HERE / "receiver.mjs", folder)
        (folder / "node_modules").symlink_to(modules)
        _, self.certificate = certified(folder)
        self.trust = ssl.create_default_context(cafile=str(self.certificate))
        environ = {"WEBPUSH_KEY": str(folder / "mail.key"), "WEBPUSH_CERTIFICATE": str(self.certificate)}
        command = ["node", str(folder / "receiver.mjs")]
        # It speaks TLS alone: to anything else it says nothing, and hangs up.
        super().__init__(lambda _: command, environ, (b"hello\r\n\r\n", (b"",)), folder / "webpush.log")
        self._environ["WEBPUSH_PORT"] = str(self.port)
        self.url = f"https://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Asked]:
        # Node closes what was quiet for five seconds, at times just when it is used again.
        async with ClientSession(connector=TCPConnector(ssl=self.trust, force_close=True)) as http:
            yield Asked(http, self.url)


class Asked:
    """What a test asks of it."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def browser(self, key: str, user_id: str = "ann", device_id: str = "browser") -> Device:
        """One that has subscribed with this key."""
        asked = {"userVisibleOnly": "true", "applicationServerKey": key}
        async with self._http.post(f"{self._url}/test/subscriptions", data=json.dumps(asked)) as answer:
            made = json.loads(await answer.text())
        keys = SubscriptionKeys(made["keys"]["p256dh"], made["keys"]["auth"])
        subscription = Subscription(made["endpoint"], keys)
        return device_of(user_id, DeviceRegistration(device_id, "webpush", subscription=subscription), 0)

    async def will_answer(self, *answers: tuple[int, Mapping[str, str]]) -> None:
        """Status and headers for the next sends, which it does not look at."""
        orders = [{"status": status, "headers": dict(headers)} for status, headers in answers]
        async with self._http.put(f"{self._url}/test/answers", data=json.dumps(orders)) as answer:
            assert answer.status == 204, await answer.text()

    async def expire(self, device: Device) -> None:
        client = urlsplit(device.address).path.rpartition("/")[2]
        async with self._http.post(f"{self._url}/test/expire/{client}") as answer:
            assert answer.status == 204, await answer.text()

    async def received(self, number: int = 0) -> list[Received]:
        """All of them, once there are so many."""
        made: list[Received] = []

        async def enough() -> bool:
            nonlocal made
            async with self._http.get(f"{self._url}/test/received") as answer:
                found = json.loads(await answer.text())
            made = [Received(one["client"], one["headers"], json.loads(one["text"]), one["bytes"]) for one in found]
            return len(made) >= number

        await eventually(enough)
        return made
