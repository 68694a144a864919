"""The broker's numbers from real servers: alone, in a cluster, away, and from something that is no server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import ServiceUnavailableError
from tests.support.servers import PLAIN_NATS, Nats, free_port, running
from tests.support.waiting import eventually

from push_operator.admin.nats import MAX_PAGES, PAGE, NatsMonitor, nats_monitor
from push_operator.fleet.bus import grown
from push_operator.fleet.values import Bus
from push_workloads.common.bus import connected
from push_workloads.common.config import NatsConfig

PATIENT_SECONDS = 20.0


@pytest.fixture
async def place() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Monitored(Nats):
    """A server with a monitoring port."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", more: str = "", http_port: int | None = None) -> None:
        self.http_port = http_port or free_port()
        super().__init__(folder, f'{PLAIN_NATS}\nhttp: "{host}:{self.http_port}"\n{more}')

    @property
    def monitoring(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


async def _client(place: AsyncExitStack, server: Nats, name: str) -> Client:
    client = await nats.connect(server.url, name=name)
    place.push_async_callback(client.close)
    return client


async def _made(client: Client, stream: str, durable: str, replicas: int = 1) -> Any:
    """A stream of that name, and its consumer."""
    js = client.jetstream(timeout=5)
    await js.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.>"], num_replicas=replicas))
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT)
    return await js.pull_subscribe(f"{stream}.>", durable=durable, stream=stream, config=config)


async def _sent(client: Client, stream: str, messages: int) -> None:
    for _ in range(messages):
        await client.jetstream(timeout=5).publish(f"{stream}.a", b"x")


async def _bus(monitor: NatsMonitor, url: str) -> Bus:
    bus = await monitor.bus(url)
    assert bus is not None
    return bus


async def test_what_waits_is_what_was_not_fetched_and_what_was_not_acknowledged(
    tmp_path: Path, place: AsyncExitStack
) -> None:
    server = Monitored(tmp_path / "nats")
    await place.enter_async_context(running(server))
    client = await _client(place, server, "message")
    async with nats_monitor(lambda: 3.0, seconds=PATIENT_SECONDS, shards=2) as monitor:
        assert (await _bus(monitor, server.monitoring)).lags == {}, "no stream is no lag"
        log = await _made(client, "LOG_0", "history")
        assert (await _bus(monitor, server.monitoring)).lags == {}, "a shard is missing"
        await _made(client, "LOG_1", "history")
        await client.jetstream().add_stream(name="PUSH", subjects=["PUSH.>"])
        await _sent(client, "PUSH", 2)
        assert (await _bus(monitor, server.monitoring)).lags == {"message": 0}, "a stream without its consumer"
        await client.jetstream().pull_subscribe("PUSH.>", durable="push", stream="PUSH")
        await _sent(client, "LOG_0", 5)
        await _sent(client, "LOG_1", 3)
        fetched = await log.fetch(4)
        await fetched[0].ack_sync()
        bus = await _bus(monitor, server.monitoring)
    assert bus.at == 3.0
    assert bus.lags == {"message": 4 + 3, "push": 2}


async def test_gateways_are_listed_by_name_and_a_slow_one_is_counted(tmp_path: Path, place: AsyncExitStack) -> None:
    server = Monitored(tmp_path / "nats", more='write_deadline: "100ms"\nmax_pending: 1MB')
    await place.enter_async_context(running(server))
    for name in ("gateway/a", "gateway/b", "message"):
        await _client(place, server, name)
    sender = await _client(place, server, "sender")
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS) as monitor:
        before = await _bus(monitor, server.monitoring)
        assert before.pending_bytes == {"a": 0, "b": 0}
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        place.callback(writer.close)
        writer.write(b'CONNECT {"name": "gateway/slow", "verbose": false}\r\nSUB much 1\r\nPING\r\n')
        await reader.readuntil(b"PONG\r\n")

        async def slow() -> Bus | None:
            for _ in range(20):
                await sender.publish("much", bytes(256 * 1024))
            await sender.flush()
            bus = await _bus(monitor, server.monitoring)
            return bus if grown(before, bus) else None

        after = await eventually(slow)
        assert after.started == before.started
        await server.kill()
        await server.start()
        anew = await _bus(monitor, server.monitoring)
    assert anew.started != before.started
    assert (anew.slow_consumers, grown(after, anew)) == (0, 0)


async def test_a_gateways_connection_has_its_units_name(tmp_path: Path) -> None:
    server = Monitored(tmp_path / "monitored")
    config = NatsConfig(server.url, None, None, shards=1)
    async with (
        running(server),
        connected(config, "gateway", instance="chat-gateway-1"),
        connected(config, "message"),
        nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS) as monitor,
    ):
        assert (await _bus(monitor, server.monitoring)).pending_bytes == {"chat-gateway-1": 0}


async def test_bytes_that_wait_for_a_gateway_are_its_own(tmp_path: Path, place: AsyncExitStack) -> None:
    server = Monitored(tmp_path / "nats", more='write_deadline: "60s"')
    await place.enter_async_context(running(server))
    sender = await _client(place, server, "sender")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    place.callback(writer.close)
    writer.write(b'CONNECT {"name": "gateway/slow", "verbose": false}\r\nSUB much 1\r\nPING\r\n')
    await reader.readuntil(b"PONG\r\n")
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS) as monitor:

        async def waiting() -> int:
            await sender.publish("much", bytes(512 * 1024))
            await sender.flush()
            return (await _bus(monitor, server.monitoring)).pending_bytes["slow"]

        assert await eventually(waiting) > 0


async def test_three_servers_behind_one_name_are_asked_each_and_leaders_believed(
    tmp_path: Path, place: AsyncExitStack
) -> None:
    """As a headless Service has it: one name and port, an address for each server."""
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    servers = await _cluster(tmp_path, place, hosts)
    client = await _client(place, servers[0], "message")
    for stream, durable, messages in (("LOG_0", "history", 7), ("LOG_1", "history", 5), ("PUSH", "push", 3)):
        await eventually(partial(_made_in_time, client, stream, durable))
        await _sent(client, stream, messages)
    answering = list(hosts)

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("brokers", servers[0].http_port)
        return [*answering, answering[0]]

    url = f"http://brokers:{servers[0].http_port}"
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS, shards=2, resolve=resolve) as monitor:
        whole = {"message": 12, "push": 3}
        bus = await eventually(lambda: _with(monitor, url, whole))
        assert bus.started.count("@") == 3
        parts = []
        for host in hosts:
            answering[:] = [host]
            parts.append((await _bus(monitor, url)).lags)
        assert [part["push"] for part in parts if "push" in part] == [3], "two of the three are followers"
        assert all(part.items() <= whole.items() for part in parts)
        answering[:] = [*hosts, "127.0.0.4"]
        await servers[2].kill()
        assert (await _bus(monitor, url)).started.count("@") == 2


async def _with(monitor: NatsMonitor, url: str, lags: dict[str, int]) -> Bus | None:
    bus = await _bus(monitor, url)
    return bus if bus.lags == lags else None


async def _made_in_time(client: Client, stream: str, durable: str) -> bool:
    """False while the cluster has no leader yet."""
    try:
        await _made(client, stream, durable, replicas=3)
    except (ServiceUnavailableError, nats.errors.TimeoutError, nats.errors.NoRespondersError):
        return False
    return True


async def _cluster(folder: Path, place: AsyncExitStack, hosts: list[str]) -> list[Monitored]:
    ports, http_port = [free_port() for _ in hosts], free_port()
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    made = []
    for number, (host, port) in enumerate(zip(hosts, ports, strict=True)):
        more = f'server_name: n{number}\ncluster {{name: c, listen: "127.0.0.1:{port}", routes: [{routes}]}}'
        made.append(Monitored(folder / str(number), host, more, http_port))
        await place.enter_async_context(running(made[-1]))
    return made


async def test_one_that_is_away_is_not_known(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS) as monitor:
        for _ in range(2):
            assert await monitor.bus(f"http://127.0.0.1:{unused_tcp_port}") is None
        for url in ("", "nowhere", "http://", "http://127.0.0.1:99999", "http://[::", "http://a\x00b:1"):
            assert await monitor.bus(url) is None
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("push_operator")]
    assert len(lines) == 4, "one for each question and one for all names, however often they are asked"


async def test_a_server_that_hangs_costs_no_more_than_the_time_of_one_look(tmp_path: Path) -> None:
    server = Monitored(tmp_path / "nats")
    async with running(server), nats_monitor(lambda: 0.0, seconds=0.3) as monitor:
        assert await eventually(lambda: monitor.bus(server.monitoring))
        server.pause()
        begun = asyncio.get_running_loop().time()
        assert await monitor.bus(server.monitoring) is None
        assert asyncio.get_running_loop().time() - begun < 3
        server.resume()
        assert await eventually(lambda: monitor.bus(server.monitoring))


async def test_a_name_that_does_not_resolve_in_time_is_not_known() -> None:
    async def hang(_: str, __: int) -> Sequence[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with nats_monitor(lambda: 0.0, seconds=0.1, resolve=hang) as monitor:
        assert await monitor.bus("http://brokers:8222") is None


async def _told(place: AsyncExitStack, said: dict[str, Any]) -> tuple[str, list[str]]:
    """A peer that answers each path with something, and the questions it gets."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.headers['Host'].partition(':')[0]} {request.path_qs}")
        page = said[request.path.lstrip("/")]
        return web.json_response(page(request) if callable(page) else page)

    app = web.Application()
    app.router.add_get("/{path}", answer)
    server = await place.enter_async_context(TestServer(app))
    return str(server.make_url("")).replace("127.0.0.1", "brokers"), asked


VARZ = {"server_id": "A", "server_name": "a", "start": "1", "slow_consumers": 4}


async def _loopback(_: str, __: int) -> Sequence[str]:
    return ["127.0.0.1", "127.0.0.1"]  # as getaddrinfo does, for each kind of socket


async def test_connections_are_read_page_by_page_and_not_without_end(place: AsyncExitStack) -> None:
    def page(request: web.Request) -> Any:
        offset = int(request.query["offset"])
        one = {"name": f"gateway/{offset}", "ip": "1", "port": 1, "pending_bytes": offset}
        return {"total": PAGE * 100, "connections": [one]}

    url, asked = await _told(place, {"varz": VARZ, "jsz": {}, "connz": page})
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS, resolve=_loopback) as monitor:
        bus = await _bus(monitor, url)
    assert bus.pending_bytes == {f"{PAGE * number}": PAGE * number for number in range(MAX_PAGES)}
    assert len(asked) == MAX_PAGES + 2
    assert {one.partition(" ")[0] for one in asked} == {"brokers"}, "a proxy may ask for the name"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"jsz": ["no"]}, Bus(0.0, "A@1", 4, {"a": 1}, {})),
        ({"jsz": {"account_details": ["no"]}}, Bus(0.0, "A@1", 4, {"a": 1}, {})),
        ({"connz": {"total": -1}}, Bus(0.0, "A@1", 4, {}, {"push": 3})),
        ({"connz": {"total": 1, "connections": [{"name": "gateway"}]}}, Bus(0.0, "A@1", 4, {}, {"push": 3})),
        ({"varz": {}}, None),
        ({"varz": {**VARZ, "padding": "x" * (5 * 1024 * 1024)}}, None),
    ],
)
async def test_what_a_server_says_wrongly_is_not_known_and_the_rest_is(
    place: AsyncExitStack, wrong: dict[str, Any], expected: Bus | None
) -> None:
    right = {
        "varz": VARZ,
        "connz": {"total": 1, "connections": [{"name": "gateway/a", "ip": "1", "port": 1, "pending_bytes": 1}]},
        "jsz": json.loads(
            '{"account_details": [{"stream_detail": [{"name": "PUSH", "consumer_detail":'
            ' [{"name": "push", "num_pending": 1, "num_ack_pending": 2}]}]}]}'
        ),
    }
    url, _ = await _told(place, {**right, **wrong})
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS, resolve=_loopback) as monitor:
        assert await monitor.bus(url) == expected


async def test_a_password_in_the_address_is_in_no_log(place: AsyncExitStack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url, _ = await _told(place, {"varz": {}, "jsz": {}, "connz": {}})
    async with nats_monitor(lambda: 0.0, seconds=PATIENT_SECONDS, resolve=_loopback) as monitor:
        assert await monitor.bus(url.replace("http://", "http://user:hidden@")) is None
    assert "127.0.0.1" in caplog.text
    assert "hidden" not in caplog.text
