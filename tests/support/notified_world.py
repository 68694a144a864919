"""The whole platform for the people of `notified.py`, with a peer for each way to a phone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.exceptions import ConnectionClosed

from push_workloads.push.webpush.vapid import point, unpadded
from tests.support.apns.pushy import KEY_ID, TEAM_ID, TOPIC, ApnsPeer, alive, apns_peer, pem
from tests.support.chat import Client, Plane, token_for
from tests.support.fcm import FcmPeer, fcm_peer
from tests.support.notified import Mood, Person, Phone, Wanted
from tests.support.servers import Nats, Valkey, running
from tests.support.services import InProcess, environ_for, launch
from tests.support.waiting import eventually
from tests.support.web_push import Asked, PushService

SERVICE_KEY: Final = "a service key of this test, long enough"
SENDERS: Final = 10  # a client sends at most 100 messages at once
AT_ONCE: Final = 32
# What was being sent at a kill comes again after a minute, and is not believed to be lost before.
SETTLED_SECONDS: Final = 150.0


class Told(NamedTuple):
    """What became of the message at a device."""

    state: str
    reason: str | None


class Peers(NamedTuple):
    apns: ApnsPeer
    fcm: FcmPeer
    web: Asked
    vapid: ec.EllipticCurvePrivateKey


class Notified:
    """Who is online is spread over the gateways. The push service is a process that can be killed."""

    def __init__(
        self, plane: Plane, gateways: Sequence[InProcess], http: ClientSession, peers: Peers,
        environ: Mapping[str, str], log: Path,
    ) -> None:  # fmt: skip
        self._plane = plane
        self._gateways = gateways
        self._http = http
        self._peers = peers
        self._environ = environ
        self._log = log
        self._devices: dict[str, str] = {}  # where notifications come out → device id
        self._messages: dict[str, str] = {}  # user id → the message for them
        self._listening: list[asyncio.Task[None]] = []
        self._push = launch("push", environ, log)

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        self._push.child.kill()
        await asyncio.to_thread(self._push.child.wait)

    async def ready(self) -> None:
        await self._push.ready(self._http)

    async def kill(self) -> None:
        """The push service, at whatever line it is; another one comes."""
        self._push.child.kill()
        await asyncio.to_thread(self._push.child.wait)
        self._push = launch("push", self._environ, self._log)
        await self.ready()

    # Before the message

    async def admit(self, crowd: Sequence[Person]) -> None:
        """They register their devices, say what they want, and some connect."""
        phones = [phone for person in crowd for phone in person.phones]
        await _each(self._register(number, phone) for number, phone in enumerate(phones))
        await _each(self._prefer(number, person) for number, person in enumerate(crowd))
        await _each(self._connect(person, phone) for person in crowd for phone in person.phones if phone.has_socket)
        await _each(self._leave(person) for person in crowd if person.mood is Mood.LEFT)

    async def _register(self, number: int, phone: Phone) -> None:
        body: dict[str, Any] = {"device_id": phone.device_id, "platform": phone.platform}
        if phone.platform == "webpush":
            device = await self._peers.web.browser(unpadded(point(self._peers.vapid)), phone.user_id, phone.device_id)
            keys = {"p256dh": device.p256dh, "auth": device.auth}
            body |= {"subscription": {"endpoint": device.address, "keys": keys}}
            self._devices[_client(device.address)] = phone.device_id
        else:
            body["token"] = alive(number) if phone.platform == "apns" else f"fcm-{number}"
            self._devices[body["token"]] = phone.device_id
        await self._ask("POST", "/devices", phone.user_id, body)

    async def _prefer(self, number: int, person: Person) -> None:
        if person.mood in (Mood.MUTED, Mood.MUTED_ALL):
            muted = f"user:{_sender(number)}" if person.mood is Mood.MUTED else "*"
            await self._ask("PUT", f"/preferences/mutes/{quote(muted, safe='')}", person.user_id, {"until": 0})
        if person.mood in (Mood.QUIET, Mood.HELD):
            now = datetime.now(UTC)
            start, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (-2, 2))
            mode = "hold" if person.mood is Mood.HELD else "silent"
            quiet = {"start": start, "end": end, "time_zone": "UTC", "mode": mode}
            await self._ask("PUT", "/preferences", person.user_id, {"quiet": quiet})

    async def _connect(self, person: Person, phone: Phone) -> None:
        client = await self._socket(phone)
        if person.mood is Mood.IDLE:
            await client.send(type="status", status="away")
        else:
            self._listening.append(asyncio.create_task(_listen(client, reads=person.mood is Mood.READS)))

    async def _leave(self, person: Person) -> None:
        await (await self._socket(person.phones[0])).socket.close()

    async def _socket(self, phone: Phone) -> Client:
        gateway = self._gateways[len(self._listening) % len(self._gateways)]
        return await self._plane.client(gateway, phone.user_id, device_id=phone.device_id)

    # The message

    async def tell(self, crowd: Sequence[Person]) -> None:
        """One message to each."""
        told = {_sender(sender): [*enumerate(crowd)][sender::SENDERS] for sender in range(SENDERS)}
        await _each(self._send(sender, [person for _, person in own]) for sender, own in told.items())

    async def _send(self, sender: str, crowd: Sequence[Person]) -> None:
        client = await self._plane.client(self._gateways[0], sender)
        for person in crowd:
            text = f"hello {person.user_id}"
            await client.send(type="send_message", id=person.user_id, recipient_id=person.user_id, content=text)
        for person in crowd:
            ack = await client.expect("ack", id=person.user_id, within=30)
            self._messages[person.user_id] = ack["message_id"]

    # After it

    async def count(self) -> int:
        """How many notifications have come out."""
        return sum(map(len, (await self.arrivals()).values()))

    async def arrivals(self) -> dict[str, list[Wanted]]:
        """By device, what came out there."""
        found: dict[str, list[Wanted]] = {}
        for place, shown in await self._come_out():
            found.setdefault(self._devices[place], []).append("alert" if shown else "badge")
        return found

    async def _come_out(self) -> list[tuple[str, bool]]:
        """Where, and whether there is something to read."""
        apns = [(one.token, "alert" in one.payload["aps"]) for one in self._peers.apns.accepted()]
        fcm = [(one["token"], _shows(one)) for one in self._peers.fcm.messages]
        web = [(one.client, "body" in one.told) for one in await self._peers.web.received()]
        return [*apns, *fcm, *web]

    async def settled(self, crowd: Sequence[Person]) -> dict[str, Told]:
        """By device, once nothing moves any more."""
        fates: dict[str, Told] = {}
        await _each(self._fate(person, fates) for person in crowd)
        return fates

    async def _fate(self, person: Person, fates: dict[str, Told]) -> None:
        path, own = f"/deliveries?message_id={self._messages[person.user_id]}", dict[str, Told]()

        async def is_settled() -> bool:
            found = (await self._ask("GET", path, person.user_id))["deliveries"]
            own.update({one["device_id"]: Told(one["state"], one["reason"]) for one in found})
            waits = {"queued"} if person.mood is Mood.HELD else {"queued", "held"}
            is_over = all(one.state not in waits and one.reason != "hold_off" for one in own.values())
            return is_over and own.keys() == {phone.device_id for phone in person.phones}

        try:
            await eventually(is_settled, within=SETTLED_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{person}: {own}") from error
        fates.update(own)

    async def _ask(self, method: str, path: str, user_id: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token_for(user_id)}"}
        async with self._http.request(method, self._push.url + path, json=body, headers=headers) as answer:
            assert answer.status < 300, (path, await answer.text())
            return await answer.json()


async def _listen(client: Client, *, reads: bool) -> None:
    with suppress(ConnectionClosed):
        while True:
            frame = json.loads(await client.socket.recv())
            if frame["type"] == "message":
                place = {"channel": frame["channel"], "seq": frame["seq"]}
                await client.send(type="received", **place)
                if reads:
                    await client.send(type="read", conversation=frame["from"], **place)


async def _each(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of it, some at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(job: Coroutine[Any, Any, None]) -> None:
        async with turns:
            await job

    async with asyncio.TaskGroup() as group:
        for job in work:
            group.create_task(one(job))


def _sender(number: int) -> str:
    return f"sender-{number % SENDERS}"


def _client(endpoint: str) -> str:
    return urlsplit(endpoint).path.rpartition("/")[2]


def _shows(message: Mapping[str, Any]) -> bool:
    return "notification" in message or "notification" in message.get("android", {})


@asynccontextmanager
async def notified_world(
    plane: Plane, nats: Nats, valkey: Valkey, store: Mapping[str, str], http: ClientSession, folder: Path
) -> AsyncIterator[Notified]:
    """`store`: the variables of the push and message services' store."""
    async with AsyncExitStack() as stack:
        apns = await stack.enter_async_context(apns_peer(folder / "apns"))
        fcm = await stack.enter_async_context(fcm_peer())
        service = PushService(folder / "web")
        await stack.enter_async_context(running(service))
        web = await stack.enter_async_context(service.asked())
        peers = Peers(apns, fcm, web, ec.generate_private_key(ec.SECP256R1()))
        await plane.message(**store)
        gateways = [await plane.gateway() for _ in range(2)]
        environ = environ_for(
            **store, **nats.environ_of("push"), **_providers(peers, str(service.certificate)),
            REDIS_URL=valkey.url, SERVICE_KEY=SERVICE_KEY,
        )  # fmt: skip
        world = Notified(plane, gateways, http, peers, environ, folder / "push.log")
        stack.push_async_callback(world.close)
        await world.ready()
        yield world


def _providers(peers: Peers, certificate: str) -> dict[str, str]:
    apns, vapid = peers.apns, pem(peers.vapid)
    return {
        **peers.fcm.environ,
        "APNS_KEY": pem(apns.key),
        "APNS_KEY_ID": KEY_ID,
        "APNS_TEAM_ID": TEAM_ID,
        "APNS_TOPIC": TOPIC,
        "APNS_HOST": "127.0.0.1",
        "APNS_PORT": str(apns.port),
        "APNS_CA": str(apns.certificate),
        "VAPID_PRIVATE_KEY": vapid,
        "VAPID_SUBJECT": "mailto:push@example.com",
        "WEBPUSH_PRIVATE_HOSTS": "127.0.0.1",
        "SSL_CERT_FILE": certificate,
    }
