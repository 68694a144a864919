"""A gateway whose clients are asked to leave, all or some, at a pace; by the operator, and when the process stops."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.integration.gateway.test_failures import leave, raw_socket
from tests.integration.gateway.test_sse import listening as listening_to
from tests.support.admin import ADMIN_TOKEN, Admin
from tests.support.chat import Client, Plane, token_for
from tests.support.services import InProcess, OwnProcess, listening, own_process
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

SLOW, FAST = 0.1, 10_000.0  # clients a second: only the first, and all at once


async def gateway_of(plane: Plane, http: ClientSession, **environ: str) -> tuple[InProcess, Admin]:
    gateway = await plane.gateway_of_a_pod(ADMIN_TOKEN=ADMIN_TOKEN, **environ)
    return gateway, Admin(http, gateway)


async def users(plane: Plane, gateway: InProcess | OwnProcess, count: int) -> list[Client]:
    return [await plane.client(gateway, f"user{number}") for number in range(count)]


async def staying(clients: list[Client]) -> list[Client]:
    """Those that are not closed and were told nothing."""
    here = []
    for client in clients:
        with contextlib.suppress(Exception):
            if await client.nothing_but_pong() == []:
                here.append(client)
    return here


async def refusal(gateway: InProcess | OwnProcess) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{gateway.url.replace('http', 'ws')}/ws?token={token_for('late')}")
    return refused.value.response.status_code


# All of them


async def test_a_drain_asks_everybody_at_its_rate_and_lasts(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    clients = await users(plane, gateway, 20)
    asked: list[float] = []

    async def goes(client: Client) -> tuple[str, int]:
        frame = await client.expect("reconnect")
        asked.append(time.monotonic() - began)
        assert 0 <= frame["after_ms"] < 1000
        return frame["reason"], await client.closed()

    going = [asyncio.create_task(goes(client)) for client in clients]
    began = time.monotonic()
    assert await admin.order("/drain", rate=50) == {"rate": 50.0, "left": 20, "stopping": False}
    assert await admin.get("/readyz") == (503, {"ready": False, "waiting": {"drain": "draining"}})
    assert await refusal(gateway) == 503
    assert await asyncio.gather(*going) == [("restart", 1012)] * 20
    assert all(at >= number / 50 for number, at in enumerate(sorted(asked)))

    stats = await admin.left(0)
    assert (stats["connections"], stats["reconnects_asked"], stats["disconnects"]) == (0, 20, 20)
    assert stats["draining"] == {"rate": 50.0, "left": 0, "stopping": False}
    assert await refusal(gateway) == 503
    assert gateway.metric("push_gateway_draining") == 1
    assert gateway.metric("push_gateway_reconnects_asked_total") == 20
    assert gateway.metric("push_gateway_disconnects_total") == 20


async def test_a_repeat_changes_the_rate_and_brings_nobody_nearer(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    clients = await users(plane, gateway, 10)
    for _ in range(20):
        await admin.order("/drain", rate=SLOW)
    stats = await admin.left(9)
    assert (stats["reconnects_asked"], stats["draining"]["rate"]) == (1, SLOW)
    assert (await admin.order("/drain", rate=FAST))["rate"] == FAST
    assert await asyncio.gather(*(leave(client) for client in clients)) == [("restart", 1012)] * 10
    assert (await admin.left(0))["reconnects_asked"] == 10


async def test_who_goes_by_themselves_costs_nothing(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    clients = await users(plane, gateway, 5)
    await admin.order("/drain", rate=SLOW)
    await admin.left(4)
    for client in clients:
        await client.socket.close()
    assert (await admin.left(0))["reconnects_asked"] == 1


@pytest.mark.parametrize("own_address", [True, False])
async def test_who_was_not_asked_yet_stays_when_it_is_taken_back(
    plane: Plane, http: ClientSession, own_address: bool
) -> None:
    gateway = await (plane.gateway_of_a_pod if own_address else plane.gateway)(ADMIN_TOKEN=ADMIN_TOKEN)
    admin = Admin(http, gateway)
    clients = await users(plane, gateway, 6)
    await admin.order("/drain", rate=SLOW)
    await admin.left(5)
    assert await admin.order("/undrain") == {"draining": None}
    assert (await admin.get("/readyz"))[0] == 200
    assert len(await staying(clients)) == 5
    assert await staying([await plane.client(gateway, "late")])
    assert (await admin.stats())["draining"] is None
    assert await admin.order("/undrain") == {"draining": None}

    await admin.order("/drain", rate=FAST)
    assert (await admin.left(0))["reconnects_asked"] == 7


async def test_a_client_that_does_not_say_goodbye_is_cut_off(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    reader, writer = await raw_socket(gateway.port, "mute")
    await admin.reaches(connections=1)
    await admin.order("/drain", rate=FAST)
    assert (await admin.left(0))["connections"] == 0
    with contextlib.suppress(ConnectionError):  # cut off is not closed
        assert b"reconnect" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_listeners_are_asked_too_and_no_new_ones_taken(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http, ALLOWED_ORIGINS="http://page.test")
    async with listening_to(gateway.sse_port, "ann") as ann, listening_to(gateway.sse_port, "bob") as bob:
        await admin.reaches(connections=2)
        await admin.order("/drain", rate=FAST)
        for listener in (ann, bob):
            assert (await listener.next("reconnect"))["reason"] == "restart"
            assert (await listener.end())["code"] == 1012
        url = f"http://127.0.0.1:{gateway.sse_port}/sse?token={token_for('late')}"
        async with http.get(url) as refused:
            assert refused.status == 503
        await admin.left(0)
    await admin.order("/undrain")
    async with listening_to(gateway.sse_port, "late") as late:
        await late.next("welcome")


# Some of them


async def test_some_are_asked_and_the_others_are_served(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    clients = await users(plane, gateway, 10)
    assert await admin.post("/shed", connections=4, rate=FAST) == (202, {"shedding": 4})
    stats = await admin.reaches(connections=6)
    assert (stats["reconnects_asked"], stats["draining"]) == (4, None)
    assert (await admin.get("/readyz"))[0] == 200
    here = await staying(clients)
    assert len(here) == 6
    gone = [client for client in clients if client not in here]
    assert await asyncio.gather(*(client.closed() for client in gone)) == [1012] * 4

    assert await admin.order("/shed", connections=1_000_000, rate=FAST) == {"shedding": 6}
    await admin.reaches(connections=0, reconnects_asked=10)
    assert await admin.order("/shed", connections=1, rate=FAST) == {"shedding": 0}


async def test_a_shed_takes_the_place_of_another_and_ends_with_a_drain(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    clients = await users(plane, gateway, 8)
    assert await admin.order("/shed", connections=5, rate=SLOW) == {"shedding": 5}
    await admin.reaches(reconnects_asked=1, connections=7)
    assert await admin.order("/shed", connections=2, rate=FAST) == {"shedding": 2}
    await admin.reaches(reconnects_asked=3, connections=5)

    shed_at = (await admin.stats())["uptime_s"]
    await admin.order("/shed", connections=5, rate=2)
    await admin.order("/drain", rate=SLOW)
    status, answer = await admin.post("/shed", connections=1, rate=FAST)
    assert (status, list(answer)) == (409, ["error"])

    async def the_others_are_due() -> bool:
        return bool((await admin.stats())["uptime_s"] > shed_at + 2)

    await eventually(the_others_are_due)
    asked = (await admin.stats())["reconnects_asked"]
    await admin.order("/undrain")
    assert len(await staying(clients)) == 8 - asked


# Whose orders


async def test_of_two_operators_the_one_that_leads_is_obeyed(plane: Plane, http: ClientSession) -> None:
    gateway, new = await gateway_of(plane, http)
    new.epoch, old = 7, Admin(http, gateway, epoch=6)
    await users(plane, gateway, 3)
    await old.order("/drain", rate=SLOW)
    await new.order("/undrain")
    for path, fields in (("/drain", {"rate": FAST}), ("/undrain", {}), ("/shed", {"connections": 3, "rate": FAST})):
        status, answer = await old.post(path, **fields)
        assert (status, answer["epoch"]) == (409, 7)
        assert "epoch 7" in answer["error"]
    stats = await new.stats()
    assert (stats["epoch"], stats["draining"], stats["reconnects_asked"]) == (7, None, 1)
    await new.order("/drain", rate=SLOW)


@pytest.mark.parametrize("header", [None, "", "Bearer", f"Basic {ADMIN_TOKEN}", f"Bearer {ADMIN_TOKEN}x", "Bearer é"])
async def test_nobody_else_empties_a_gateway(plane: Plane, http: ClientSession, header: str | None) -> None:
    gateway, admin = await gateway_of(plane, http)
    headers = {"Authorization": header} if header is not None else {}
    for path in ("/drain", "/undrain", "/shed"):
        async with http.post(gateway.admin_url + path, data=b"nonsense", headers=headers) as response:
            assert response.status == 401
            assert "ADMIN_TOKEN" in (await response.json())["error"]
    assert (await admin.stats())["draining"] is None


async def test_a_gateway_without_the_token_takes_no_orders(plane: Plane, http: ClientSession) -> None:
    gateway = await plane.gateway()
    status, answer = await Admin(http, gateway).post("/drain", rate=FAST)
    assert status == 403
    assert "set ADMIN_TOKEN" in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/drain", b"", "rate, epoch"),
        ("/drain", b"{", "rate, epoch"),
        ("/drain", b"[]", "rate, epoch"),
        ("/drain", b'{"rate": 5}', "`epoch`"),
        ("/drain", b'{"rate": 0.09, "epoch": 1}', "$.rate"),
        ("/drain", b'{"rate": 100001, "epoch": 1}', "$.rate"),
        ("/drain", b'{"rate": "5", "epoch": 1}', "$.rate"),
        ("/drain", b'{"rate": 1e999, "epoch": 1}', "rate"),
        ("/drain", b'{"rate": 5, "epoch": true}', "$.epoch"),
        ("/drain", b'{"rate": 5, "epoch": -1}', "$.epoch"),
        ("/drain", b'{"rate": 5, "epoch": 9223372036854775808}', "$.epoch"),
        ("/undrain", b"{}", "`epoch`"),
        ("/undrain", b'{"epoch": 1.5}', "$.epoch"),
        ("/undrain", b"\xff", "epoch"),
        ("/shed", b'{"rate": 5, "epoch": 1}', "`connections`"),
        ("/shed", b'{"connections": 0, "rate": 5, "epoch": 1}', "$.connections"),
        ("/shed", b'{"connections": 1000001, "rate": 5, "epoch": 1}', "$.connections"),
        ("/shed", b"[" * 4000, "connections"),
        ("/drain", b" " * 5000, "4096 bytes"),
    ],
)
async def test_an_order_that_cannot_be_understood_says_why(
    plane: Plane, http: ClientSession, path: str, body: bytes, names: str
) -> None:
    gateway, admin = await gateway_of(plane, http)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with http.post(gateway.admin_url + path, data=body, headers=headers) as response:
        assert response.status == 400
        assert names in (await response.json())["error"]
    stats = await admin.stats()
    assert (stats["epoch"], stats["draining"]) == (0, None)


async def test_other_paths_and_methods_are_told(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    assert await admin.get("/nothing") == (404, {"error": "there is nothing at /nothing"})
    async with http.get(gateway.admin_url + "/drain") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert await response.json() == {"error": "/drain takes POST"}


async def test_the_token_is_in_no_log(plane: Plane, http: ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    _, admin = await gateway_of(plane, http)
    await admin.order("/drain", rate=FAST)
    await admin.left(0)
    assert ADMIN_TOKEN not in "\n".join(str(vars(record)) for record in caplog.records)


# A process that stops


def own_gateway(plane: Plane, folder: Path, **environ: str) -> contextlib.AbstractAsyncContextManager[OwnProcess]:
    made = plane.gateway_environ(ADMIN_TOKEN=ADMIN_TOKEN, **environ)
    return own_process("gateway", made, folder / "gateway.log")


async def test_a_process_that_stops_makes_an_end_of_the_operators_drain(
    plane: Plane, tmp_path: Path, http: ClientSession
) -> None:
    """And is not to be slowed or talked out of it."""
    async with own_gateway(plane, tmp_path, DRAIN_SECONDS="3", DRAIN_RATE="1", STOP_SECONDS="20") as gateway:
        await gateway.ready(http)
        admin = Admin(http, gateway)
        clients = await users(plane, gateway, 30)
        await admin.order("/drain", rate=SLOW)
        await admin.left(29)

        began = time.monotonic()
        ending = asyncio.create_task(gateway.stop())

        async def stopping() -> bool:
            drain = (await admin.stats())["draining"]
            return bool(drain["stopping"])

        await eventually(stopping)
        status, answer = await admin.post("/undrain")
        assert (status, list(answer)) == (409, ["error"])
        assert "stopping" in answer["error"]
        assert (await admin.post("/shed", connections=1, rate=FAST))[0] == 409
        drain = await admin.order("/drain", rate=SLOW)
        assert (drain["rate"], drain["stopping"]) == (29 / 3, True)

        assert await asyncio.gather(*(leave(client) for client in clients)) == [("restart", 1012)] * 30
        assert await ending == 0
        assert 2.5 < time.monotonic() - began < 10


async def test_few_clients_do_not_keep_a_process_from_stopping(
    plane: Plane, tmp_path: Path, http: ClientSession
) -> None:
    async with own_gateway(plane, tmp_path, STOP_SECONDS="30") as gateway:
        await gateway.ready(http)
        clients = await users(plane, gateway, 10)
        began = time.monotonic()
        ending = asyncio.create_task(gateway.stop())
        assert await asyncio.gather(*(leave(client) for client in clients)) == [("restart", 1012)] * 10
        assert await ending == 0
        assert time.monotonic() - began < 10


async def test_of_two_gateways_on_one_socket_the_other_gets_what_comes(
    plane: Plane, tmp_path: Path, http: ClientSession
) -> None:
    """Nothing is lost, not while the drain begins either; and both serve again when it is taken back."""
    async with AsyncExitStack() as stack:
        shared = stack.enter_context(listening())
        environ = plane.gateway_environ(ADMIN_TOKEN=ADMIN_TOKEN)
        names = ("drained", "other")
        gateways = [
            await stack.enter_async_context(own_process("gateway", environ, tmp_path / f"{name}.log", shared))
            for name in names
        ]
        for gateway in gateways:
            await gateway.ready(http)
        drained, other = (Admin(http, gateway) for gateway in gateways)
        dialled = refused = 0

        async def dial() -> None:
            """Comes in, or is told to come again; anything else ends the test."""
            nonlocal dialled, refused
            dialled += 1
            try:
                async with connect(f"{gateways[0].url.replace('http', 'ws')}/ws?token={token_for('x')}") as socket:
                    await socket.recv()
            except InvalidStatus as error:
                assert error.response.status_code == 503
                refused += 1

        async def dial_on(drains: asyncio.Event) -> None:
            while not drains.is_set():
                await dial()

        drains = asyncio.Event()
        dialling = [asyncio.create_task(dial_on(drains)) for _ in range(4)]
        await drained.reaches(epoch=0)
        await eventually(lambda: dialled > 100)
        await drained.order("/drain", rate=FAST)
        drains.set()
        await asyncio.gather(*dialling)
        before, at_the_other = await drained.left(0), await other.stats()
        assert before["accepted"] > 0 and at_the_other["accepted"] > 0
        assert before["accepted"] + at_the_other["accepted"] + refused == dialled
        assert refused == before["refused"] <= 4  # who was being let in

        for _ in range(100):
            await dial()
        assert (await drained.stats())["accepted"] == before["accepted"]
        assert (await other.stats())["accepted"] == at_the_other["accepted"] + 100

        await drained.order("/undrain")
        await other.order("/drain", rate=FAST)
        for _ in range(20):
            await dial()
        assert (await drained.stats())["accepted"] == before["accepted"] + 20
