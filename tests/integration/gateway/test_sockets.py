"""What a socket may do to the gateway: the handshake, framing, limits; spoken byte by byte where a client would not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.support.chat import Plane, token_for
from tests.support.services import InProcess
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40


@pytest.fixture
async def gateway(plane: Plane) -> InProcess:
    return await plane.gateway(
        MAX_FRAME_BYTES="1024", MAX_CONNECTIONS="3", ALLOWED_ORIGINS="https://chat.example", HEARTBEAT_SECONDS="1"
    )


class Wire:
    """A socket after the handshake, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, gateway: InProcess, user_id: str = "ann") -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(token=token_for(user_id)))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        wire = cls(reader, writer)
        assert (await wire.frame())["type"] == "welcome"
        return wire

    def send(self, opcode: int, payload: bytes, *, flags: int = FIN, masked: bool = True) -> None:
        size = len(payload)
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)
        if size > 0xFFFF:
            length = b"\x7f" + struct.pack(">Q", size)
        mask = os.urandom(4)
        body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        first = bytes([flags | opcode])
        if masked:
            self._writer.write(first + bytes([length[0] | 0x80]) + length[1:] + mask + body)
        else:
            self._writer.write(first + length + payload)

    async def read(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            return first & 0x0F, await self._reader.readexactly(size)

    async def frame(self) -> dict[str, Any]:
        opcode, payload = await self.read()
        assert opcode == TEXT, (opcode, payload)
        decoded: dict[str, Any] = json.loads(payload)
        return decoded

    async def close_code(self) -> int:
        opcode, payload = await self.read()
        assert opcode == CLOSE, (opcode, payload)
        return int.from_bytes(payload[:2], "big")

    def hang_up(self) -> None:
        self._writer.transport.abort()


Dial = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens sockets and hangs them up at the end of the test."""
    wires: list[Wire] = []

    async def open_one(gateway: InProcess, user_id: str = "ann") -> Wire:
        wires.append(await Wire.open(gateway, user_id))
        return wires[-1]

    yield open_one
    for wire in wires:
        wire.hang_up()


def request(*, path: str = "/ws", token: str | None = None, more: str = "") -> bytes:
    query = f"?token={token}" if token is not None else ""
    return (
        f"GET {path}{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


async def refused(gateway: InProcess, query: str, **headers: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{gateway.port}{query}", additional_headers=headers)
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, json.loads(response.body)["error"]


# The handshake


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        token_for("ann")[:-2],
        token_for("ann", ttl_seconds=-60),
        token_for("x" * 129),
        "%00",
        "x" * 5000,
    ],
)
async def test_every_bad_token_gets_the_same_401(gateway: InProcess, token: str) -> None:
    status, error = await refused(gateway, f"/ws?token={token}")
    assert (status, error) == (401, {"code": "unauthorized", "message": "the access token is missing or not valid"})


async def test_no_token_and_a_bad_header_are_401_too(gateway: InProcess) -> None:
    assert (await refused(gateway, "/ws"))[0] == 401
    assert (await refused(gateway, "/ws", Authorization="Basic abc"))[0] == 401


@pytest.mark.parametrize("device_id", ["", "a%20b", "x" * 65, "é", "a/b"])
async def test_a_bad_device_id_is_400_and_says_what_is_allowed(gateway: InProcess, device_id: str) -> None:
    status, error = await refused(gateway, f"/ws?token={token_for('ann')}&device_id={device_id}")
    assert (status, error["code"]) == (400, "bad_request")
    assert "device_id is 1 to 64" in error["message"]


async def test_other_paths_and_plain_requests_are_told(gateway: InProcess) -> None:
    assert (await refused(gateway, f"/?token={token_for('ann')}"))[0] == 404
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert b" 400 " in answer and b"send an upgrade request" in answer


@pytest.mark.parametrize(
    "raw", [b"\x00" * 64 + b"\r\n\r\n", b"POST /ws HTTP/1.1\r\n\r\n", b"GET /ws\r\n\r\n", b"x" * 70_000]
)
async def test_what_is_no_http_ends_the_connection_and_nothing_else(gateway: InProcess, dial: Dial, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(raw)
    async with asyncio.timeout(8):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    await dial(gateway)


async def test_a_token_in_the_header_a_device_and_the_subprotocol(gateway: InProcess) -> None:
    headers = {"Authorization": f"Bearer {token_for('ann')}", "Origin": "https://chat.example"}
    url = f"ws://127.0.0.1:{gateway.port}/ws?device_id=my-phone_1"
    async with connect(url, additional_headers=headers, subprotocols=["push.v1"]) as socket:  # type: ignore[list-item]
        welcome = json.loads(await socket.recv())
        assert socket.subprotocol == "push.v1"
    assert (welcome["user_id"], welcome["device_id"], welcome["heartbeat_s"]) == ("ann", "my-phone_1", 1)
    assert (welcome["max_frame_bytes"], sorted(welcome["inbox"])) == (1024, ["epoch", "seq"])


async def test_an_origin_that_is_not_allowed_is_403(gateway: InProcess) -> None:
    status, error = await refused(gateway, f"/ws?token={token_for('ann')}", Origin="https://evil.example")
    assert (status, error["code"]) == (403, "forbidden")


async def test_a_full_gateway_says_503_and_takes_the_next_when_one_leaves(gateway: InProcess, dial: Dial) -> None:
    wires = [await dial(gateway, f"user{number}") for number in range(3)]
    status, error = await refused(gateway, f"/ws?token={token_for('ann')}")
    assert (status, error["code"]) == (503, "unavailable")
    wires[0].hang_up()
    await eventually(lambda: gateway.metric("push_gateway_connections") == 2)
    await dial(gateway)


# Framing (RFC 6455 §5)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, b"\xff", FIN)], 1007),
        ([(TEXT, b"{}", FIN | RSV1)], 1002),
        ([(CONTINUATION, b"x", FIN)], 1002),
        ([(TEXT, b"a", 0), (TEXT, b"b", FIN)], 1002),
        ([(TEXT, b"\xff", 0), (CONTINUATION, b"x", FIN)], 1007),
        ([(3, b"", FIN)], 1002),
        ([(PING, b"x" * 126, FIN)], 1002),
        ([(TEXT, b"x" * 2049, FIN)], 1009),
        ([(TEXT, b"x" * 1500, 0), (CONTINUATION, b"x" * 600, 0)], 1009),
        ([(TEXT, b"", 0)] + [(CONTINUATION, b"", 0)] * 300, 1009),
    ],
    ids=[
        "not-utf8",
        "rsv",
        "stray",
        "nested",
        "fragment-utf8",
        "opcode",
        "long-ping",
        "too-big",
        "fragments-too-big",
        "too-many-fragments",
    ],
)
async def test_broken_framing_closes_with_its_code(
    gateway: InProcess, dial: Dial, frames: list[tuple[int, bytes, int]], code: int
) -> None:
    wire = await dial(gateway)
    for opcode, payload, flags in frames:
        wire.send(opcode, payload, flags=flags)
    assert await wire.close_code() == code
    wire.hang_up()
    await eventually(lambda: gateway.metric("push_gateway_connections") == 0)


async def test_an_unmasked_frame_closes(gateway: InProcess, dial: Dial) -> None:
    wire = await dial(gateway)
    wire.send(TEXT, b'{"type":"ping"}', masked=False)
    assert await wire.close_code() == 1002


async def test_fragments_pings_and_binary(gateway: InProcess, dial: Dial) -> None:
    wire = await dial(gateway)
    wire.send(TEXT, b'{"type":"pi', flags=0)
    wire.send(PING, b"between")
    wire.send(CONTINUATION, 'ng","id":"é"}'.encode())
    assert await wire.read() == (PONG, b"between")
    assert (await wire.frame())["id"] == "é"
    wire.send(BINARY, b"\x00\x01")
    assert (await wire.frame())["code"] == "bad_frame"
    wire.send(TEXT, b'{"type":"ping","pad":"' + b"x" * 1024 + b'"}')
    assert (await wire.frame())["code"] == "too_large"
    wire.send(TEXT, b'{"type":"ping"}')
    assert (await wire.frame())["type"] == "pong"
    wire.send(CLOSE, struct.pack(">H", 1000))
    assert await wire.close_code() == 1000


async def test_a_close_without_a_code_is_answered_by_one_without(gateway: InProcess, dial: Dial) -> None:
    wire = await dial(gateway)
    wire.send(CLOSE, b"")
    assert await wire.read() == (CLOSE, b"")


async def test_a_deaf_client_is_pinged_then_closed_with_4408(gateway: InProcess, dial: Dial) -> None:
    wire = await dial(gateway)
    assert (await wire.read())[0] == PING
    wire.send(PONG, b"")
    opcodes = []
    while (read := await wire.read())[0] != CLOSE:
        opcodes.append(read[0])
    assert opcodes and set(opcodes) == {PING}
    assert int.from_bytes(read[1][:2], "big") == 4408


async def test_abuse_closes_with_4400(gateway: InProcess, dial: Dial) -> None:
    wire = await dial(gateway)
    for _ in range(25):
        wire.send(TEXT, b"nonsense")
    codes = []
    while (read := await wire.read())[0] == TEXT:
        codes.append(json.loads(read[1])["code"])
    assert set(codes) == {"bad_frame"}
    assert int.from_bytes(read[1][:2], "big") == 4400


async def test_the_token_is_in_no_log(gateway: InProcess, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    token = token_for("ann")
    async with connect(f"ws://127.0.0.1:{gateway.port}/ws?token={token}") as socket:
        await socket.send("nonsense")
        await socket.recv()
    ours = [record for record in caplog.records if not record.name.startswith("websockets")]
    assert token not in "\n".join(record.getMessage() for record in ours)
