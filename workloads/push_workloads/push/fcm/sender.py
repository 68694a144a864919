"""Carries notifications to FCM."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from yarl import URL

from push_workloads.push.carrier import Answer, Carrier, Later, Refused, Sent
from push_workloads.push.devices import Device
from push_workloads.push.fcm.access import RETRY_SECONDS, AccessToken, NoToken
from push_workloads.push.fcm.answers import DEVICE_QUOTA, OVER_QUOTA_SECONDS, answer_of
from push_workloads.push.fcm.config import FcmConfig
from push_workloads.push.fcm.limiter import MAX_WAIT, Limiter
from push_workloads.push.fcm.payload import Words, message
from push_workloads.push.fitting import TooLarge
from push_workloads.push.notification import Notification
from push_workloads.push.posting import CONNECTIONS, IDLE_SECONDS, Reply, post

NOT_OF_THE_TOKEN: Final = "THIRD_PARTY_AUTH_ERROR"  # noqa: S105 - a reason: FCM's own way to Apple or to a browser


class FcmCarrier:
    """A Carrier for one project."""

    def __init__(
        self, http: ClientSession, url: URL, access: AccessToken, build: Callable[[Words], bytes], limiter: Limiter
    ) -> None:
        self._http = http
        self._url = url
        self._access = access
        self._build = build
        self._limiter = limiter
        self._doubted = True  # until one was taken: the project may be the wrong one

    async def send(self, device: Device, notification: Notification) -> Answer:
        wait = self._limiter.turn(time.monotonic())
        if wait > MAX_WAIT:
            return Later("halted", wait, ours=True, asked=False)
        await asyncio.sleep(wait)
        try:
            body = message(notification, device.address, time.time(), self._build)
            token = await self._access.get()
        except TooLarge:
            return Refused("payload_too_large")
        except NoToken:
            return Later("no_token", RETRY_SECONDS, ours=True)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        reply = await post(self._http, self._url, body, headers)
        return self._understood(reply, token) if isinstance(reply, Reply) else reply

    def _understood(self, reply: Reply, token: str) -> Answer:
        answer = answer_of(reply.status, reply.body, reply.retry_after, time.time(), doubted=self._doubted)
        if isinstance(answer, Sent):
            self._doubted = False
        if isinstance(answer, Later):
            if reply.status == 429 and answer.reason != DEVICE_QUOTA:
                after_s = OVER_QUOTA_SECONDS if answer.after_s is None else answer.after_s
                self._limiter.halt(time.monotonic(), after_s, random.random())  # noqa: S311 - no secret
            if reply.status == 401 and answer.reason != NOT_OF_THE_TOKEN:
                self._access.refused(token)
        return answer


@asynccontextmanager
async def fcm_carrier(config: FcmConfig) -> AsyncIterator[Carrier]:
    """Asks for its token with the first send."""
    # Here: what it imports takes 0.4 s and 30 MiB.
    from push_workloads.push.fcm.google import ServiceAccount, builder

    account = ServiceAccount(config.account)
    access = AccessToken(account)
    connector = TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_SECONDS)
    url = URL(f"{config.url}/v1/projects/{config.project}/messages:send")
    try:
        async with ClientSession(connector=connector, cookie_jar=DummyCookieJar()) as http:
            yield FcmCarrier(http, url, access, builder(account), Limiter(config.per_minute))
    finally:
        await access.close()
