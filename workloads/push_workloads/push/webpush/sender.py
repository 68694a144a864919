"""Carries notifications to the push services of browsers."""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from msgspec.structs import replace
from yarl import URL

from push_workloads.push.addresses import is_literal, is_public
from push_workloads.push.carrier import Answer, Carrier, Later, Refused
from push_workloads.push.devices import Device
from push_workloads.push.fitting import TooLarge
from push_workloads.push.notification import Notification
from push_workloads.push.posting import CONNECTIONS, IDLE_SECONDS, Reply, post
from push_workloads.push.webpush import message
from push_workloads.push.webpush.answers import answer_of
from push_workloads.push.webpush.config import WebPushConfig
from push_workloads.push.webpush.encrypting import SALT_BYTES, BadKeys, encrypted
from push_workloads.push.webpush.resolver import PublicResolver
from push_workloads.push.webpush.strangers import Strangers, is_known
from push_workloads.push.webpush.vapid import Vapid

CONNECTIONS_A_HOST: Final = 32  # so that one push service that hangs leaves room for the others


class WebPushCarrier:
    """A Carrier."""

    def __init__(self, http: ClientSession, vapid: Vapid, private_hosts: frozenset[str]) -> None:
        self._http = http
        self._vapid = vapid
        self._private_hosts = private_hosts
        self._strangers = Strangers()

    async def send(self, device: Device, notification: Notification) -> Answer:
        url = self._reachable(device.address)
        if url is None:
            return Refused("forbidden_address")
        host = url.raw_host or ""
        if is_known(host) or host in self._private_hosts:
            return await self._send(url, device, notification)
        if not self._strangers.enter(device.user_id):
            return Later("crowded")
        try:
            answer = await self._send(url, device, notification)
        finally:
            self._strangers.leave(device.user_id)
        # Whoever named it may have it say whatever she likes of us.
        return replace(answer, ours=False) if isinstance(answer, Later) else answer

    async def _send(self, url: URL, device: Device, notification: Notification) -> Answer:
        now = time.time()
        try:
            body = _sealed(device, message.text(notification))
        except TooLarge:
            return Refused("payload_too_large")
        except BadKeys:
            return Refused("bad_keys")
        signed = {"Authorization": self._vapid.authorization(device.address, now)}
        reply = await post(self._http, url, body, message.headers(notification, now) | signed)
        return answer_of(reply.status, reply.retry_after, time.time()) if isinstance(reply, Reply) else reply

    def _reachable(self, endpoint: str) -> URL | None:
        """The endpoint, as it is; None when it may not be asked. Names are looked at when they are resolved
        (`PublicResolver`); an address nobody resolves."""
        try:
            url = URL(endpoint, encoded=True)
        except ValueError:
            return None
        host = url.raw_host or ""
        fine = not is_literal(host) or host in self._private_hosts or is_public(host)
        return url if url.scheme == "https" and host and fine else None


def _sealed(device: Device, plain: bytes) -> bytes:
    """Raises BadKeys."""
    p256dh, auth = _decoded(device.p256dh), _decoded(device.auth)
    return encrypted(plain, p256dh, auth, key=generate_private_key(SECP256R1()), salt=os.urandom(SALT_BYTES))


def _decoded(text: str | None) -> bytes:
    """Of base64url that was looked at when the device was registered. Raises BadKeys."""
    if text is None:
        raise BadKeys("the device has none")
    bare = text.rstrip("=")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


@asynccontextmanager
async def webpush_carrier(config: WebPushConfig, trust: ssl.SSLContext | None = None) -> AsyncIterator[Carrier]:
    """`trust`: whose certificates count, None for the system's."""
    connector = TCPConnector(
        ssl=trust or True,
        resolver=PublicResolver(config.private_hosts),
        limit=CONNECTIONS,
        limit_per_host=CONNECTIONS_A_HOST,
        keepalive_timeout=IDLE_SECONDS,
    )
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False) as http:
        yield WebPushCarrier(http, Vapid(config.key, config.subject), config.private_hosts)
