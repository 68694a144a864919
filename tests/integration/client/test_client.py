"""The Python client against real gateways, over a network that is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.chat import Plane, token_for
from tests.support.proxy import Proxy, proxy
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_client import (
    Client,
    Connected,
    Disconnected,
    Displaced,
    Event,
    FileState,
    MemoryState,
    Message,
    Misused,
    Presence,
    Refused,
    Stopped,
    Unauthorized,
    Unconfirmed,
)

FAST = {"FRAMES_PER_SECOND": "100000", "FRAMES_BURST": "100000"}
MANY = 10_000
CUTS = 4


@pytest.fixture
async def gateway(plane: Plane) -> InProcess:
    return await plane.gateway(**FAST)


@pytest.fixture
async def network(gateway: InProcess) -> AsyncIterator[Proxy]:
    async with proxy(gateway.port) as made:
        yield made


def client(network: Proxy, user: str, **options: object) -> Client:
    return Client(f"ws://127.0.0.1:{network.port}/ws", token_for(user), **options)  # type: ignore[arg-type]


class Listener:
    """Writes down all that a client hears."""

    def __init__(self, listened: Client) -> None:
        self.events: list[Event] = []
        self._client = listened
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self._client.events():
            self.events.append(event)

    @property
    def contents(self) -> list[object]:
        return [event.content for event in self.events if isinstance(event, Message)]

    def heard(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


async def test_a_message_its_edit_its_reaction_and_its_end(network: Proxy) -> None:
    async with client(network, "ann") as ann, client(network, "bob") as bob:
        heard = Listener(bob)
        await bob.until_connected()
        sent = await ann.send(to="bob", content="helo")
        await ann.edit(sent, "hello")
        await ann.delete(sent)
        await eventually(lambda: len(heard.contents) == 3)
        messages = [event for event in heard.events if isinstance(event, Message)]
        assert [(one.kind, one.ref, one.content) for one in messages] == [
            ("text", None, "helo"),
            ("edit", sent.message_id, "hello"),
            ("delete", sent.message_id, None),
        ]
        await bob.react(messages[0], "👍")
        reaction = await anext(event async for event in ann.events() if isinstance(event, Message))
        assert (reaction.kind, reaction.ref, reaction.content) == ("reaction", sent.message_id, {"emoji": "👍"})


async def test_a_cut_loses_nothing_and_a_send_goes_on_under_its_key(network: Proxy) -> None:
    async with client(network, "ann") as ann, client(network, "bob") as bob:
        heard = Listener(bob)
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        await ann.send(to="bob", content=1)
        network.refuse(True)
        network.cut()
        sending = asyncio.create_task(ann.send(to="bob", content=2))
        await eventually(lambda: heard.heard(Disconnected))
        network.refuse(False)
        await sending
        await ann.send(to="bob", content=3)
        await eventually(lambda: len(heard.contents) == 3)
        assert heard.contents == [1, 2, 3]
        assert [event.again for event in heard.events if isinstance(event, Connected)] == [False, True]


async def test_who_is_watched_is_watched_over_a_cut_and_nobody_flaps(network: Proxy) -> None:
    async with client(network, "ann") as ann, client(network, "bob") as bob:
        heard = Listener(ann)
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        await ann.send(to="bob", content="now we are contacts")

        def seen() -> list[str]:
            return [event.status for event in heard.events if isinstance(event, Presence)]

        async def is_online() -> bool:
            ann.watch("bob")
            await asyncio.sleep(0.1)  # a few times a second, as a page would
            return seen()[-1:] == ["online"]

        await eventually(is_online)
        before = len(seen())
        network.cut()
        await eventually(lambda: heard.heard(Connected) == 2 and bob.connected)
        bob.set_status("away")
        await eventually(lambda: seen()[-1:] == ["away"])
        assert "offline" not in seen()[before:]


async def test_ten_thousand_messages_over_a_network_that_is_cut_again_and_again(network: Proxy) -> None:
    async with client(network, "ann") as ann, client(network, "bob") as bob:
        heard = Listener(bob)
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        cutting = asyncio.create_task(_cut_often(network, lambda: len(heard.contents)))
        sent = await asyncio.gather(*(ann.send(to="bob", content=number) for number in range(MANY)))
        await eventually(lambda: len(heard.contents) >= MANY, within=90)
        cutting.cancel()
    assert sorted(heard.contents) == list(range(MANY)), "each once"  # type: ignore[type-var]
    messages = [event for event in heard.events if isinstance(event, Message)]
    places = [one.place.seq for one in messages if one.place is not None]
    assert places == sorted(places)
    assert {one.message_id for one in messages} == {one.message_id for one in sent}
    assert network.accepted >= 2 + CUTS, "each cut hit at least one: the other may have been on its way back"


async def _cut_often(network: Proxy, progress: Callable[[], int]) -> None:
    """Not too often: connections that do not last are tried ever more slowly."""
    for part in range(1, CUTS + 1):
        await eventually(lambda part=part: progress() >= part * MANY // (CUTS + 1), within=60)  # type: ignore[misc]
        network.cut()


async def test_what_was_not_handled_comes_again_after_a_crash(network: Proxy, tmp_path: Path) -> None:
    state = FileState(tmp_path / "bob.json")
    async with client(network, "ann") as ann:
        handled: list[object] = []
        with pytest.raises(ZeroDivisionError):
            async with client(network, "bob", state=state) as bob:
                await bob.until_connected()
                for number in range(3):
                    await ann.send(to="bob", content=number)
                async for event in bob.events():
                    if isinstance(event, Message):
                        if event.content == 1:
                            raise ZeroDivisionError
                        handled.append(event.content)
        await ann.send(to="bob", content=3)
        async with client(network, "bob", state=state) as bob:
            async for event in bob.events():
                if isinstance(event, Message):
                    handled.append(event.content)
                if len(handled) == 4:
                    break
    assert handled == [0, 1, 2, 3]


async def test_a_slow_application_stops_the_reading_and_loses_nothing(network: Proxy) -> None:
    async with client(network, "ann") as ann, client(network, "bob") as bob:
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        await asyncio.gather(*(ann.send(to="bob", content="x" * 2000 + str(number)) for number in range(3000)))
        assert len(bob._session.mailbox) <= 1000
        heard = Listener(bob)
        await eventually(lambda: len(heard.contents) == 3000)


async def test_a_send_without_a_connection_ends_at_its_deadline(network: Proxy) -> None:
    network.refuse(True)
    async with client(network, "ann") as ann:
        with pytest.raises(Unconfirmed) as raised:
            await ann.send(to="bob", content="x", deadline_s=0.3)
        assert not raised.value.sent
    with pytest.raises(Stopped):
        await ann.send(to="bob", content="x")


async def test_what_is_refused_is_raised(network: Proxy) -> None:
    async with client(network, "ann") as ann:
        with pytest.raises(Refused, match="too_large"):
            await ann.send(to="bob", content="x" * 70_000)
        with pytest.raises(Refused, match="bad_frame"):
            await ann.send(to="b" * 200, content="x")
        with pytest.raises(ValueError, match="JSON"):
            await ann.send(to="bob", content=float("nan"))
        with pytest.raises(Refused):
            await ann.subscribe("user:bob")


async def test_the_same_device_twice_ends_the_older_one(network: Proxy) -> None:
    async with client(network, "ann", device_id="same") as older:
        await older.until_connected()
        async with client(network, "ann", device_id="same") as newer:
            with pytest.raises(Displaced):
                await Listener(older).task
            await newer.send(to="bob", content="still here")


async def test_a_new_token_is_asked_for_when_one_has_expired(network: Proxy) -> None:
    tokens = [token_for("ann", ttl_seconds=2), "nonsense", token_for("ann")]

    async def token() -> str:
        return tokens.pop(0)

    async with Client(f"ws://127.0.0.1:{network.port}/ws", token, state=MemoryState()) as ann:
        heard = Listener(ann)
        await eventually(lambda: heard.heard(Connected) == 2)
        await ann.send(to="bob", content="x")
    assert tokens == []


@pytest.mark.parametrize(
    ("token", "options", "why"), [("nonsense", {}, Unauthorized), (None, {"device_id": "?"}, Misused)]
)
async def test_what_cannot_get_better_ends_the_client(
    network: Proxy, token: str | None, options: dict[str, str], why: type[Stopped]
) -> None:
    url = f"ws://127.0.0.1:{network.port}/ws"
    async with Client(url, token or token_for("ann"), device_id=options.get("device_id")) as ann:
        with pytest.raises(why):
            await ann.send(to="bob", content="x")
        with pytest.raises(why):
            await Listener(ann).task


async def test_one_that_only_sends_keeps_nothing(network: Proxy) -> None:
    async with client(network, "ann", listen=False) as ann, client(network, "bob") as bob:
        await ann.until_connected()
        await bob.send(to="ann", content="unheard")
        await ann.send(to="bob", content="x")
        assert not ann._session.mailbox
