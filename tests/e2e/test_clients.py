"""The protocol's promise, kept to clients that we did not write: Python's `websockets` and Node's own WebSocket."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from push_client import Api, ApiError, Endpoints, Message
from push_client import Client as PushClient
from tests.e2e.running import PASSWORD, ROOT, Account, Running, new_email
from tests.support.chat import Client, Frame
from tests.support.waiting import eventually

FOLDER: Final = Path(__file__).parent
NODE_SECONDS: Final = 60.0


@asynccontextmanager
async def connected(platform: Running, token: str, **query: str) -> AsyncIterator[Client]:
    """A socket whose welcome has come."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    async with connect(f"{platform.socket}?token={token}{more}") as socket:
        client = Client(socket)
        client.welcome = await client.expect("welcome")
        yield client


async def test_register_log_in_and_me(platform: Running, http: ClientSession) -> None:
    credentials = {"email": new_email(), "password": PASSWORD}
    async with http.post(platform.url("auth", "/auth/register"), json=credentials | {"name": "Ada"}) as answer:
        registered = await answer.json()
        assert answer.status == 201
    async with http.post(platform.url("auth", "/auth/login"), json=credentials) as answer:
        logged_in = await answer.json()
        assert answer.status == 200
    assert registered["user"] == logged_in["user"]
    assert {"access_token", "refresh_token", "token_type", "expires_in"} <= logged_in.keys()
    authorization = {"Authorization": f"Bearer {logged_in['access_token']}"}
    async with http.get(platform.url("auth", "/auth/me"), headers=authorization) as answer:
        assert answer.status == 200


async def test_a_message_and_its_ack(platform: Running, http: ClientSession) -> None:
    alice, bob = await platform.register(http), await platform.register(http)
    async with connected(platform, alice.token) as sender, connected(platform, bob.token) as recipient:
        assert sender.welcome["user_id"] == alice.user_id
        await sender.send(type="send_message", id="1", recipient_id=bob.user_id, content="Hello!")
        ack = await sender.expect("ack", id="1")
        message = await recipient.expect("message")
        assert message["content"] == "Hello!"
        assert message["message_id"] == ack["message_id"]
        assert (message["from"], message["recipient_id"]) == (alice.user_id, bob.user_id)
        assert message["conversation"] == alice.user_id
        assert (ack["channel"], message["channel"]) == (f"user:{alice.user_id}", f"user:{bob.user_id}")
        assert await sender.nothing_but_pong() == []
        assert await recipient.nothing_but_pong() == []
    history = await eventually(lambda: _history(platform, http, bob, alice))
    assert [(one["message_id"], one["content"]) for one in history] == [(ack["message_id"], "Hello!")]


async def _history(platform: Running, http: ClientSession, who: Account, other: Account) -> list[Frame]:
    url = platform.url("message", f"/conversations/{other.user_id}/messages?limit=50")
    async with http.get(url, headers={"Authorization": f"Bearer {who.token}"}) as answer:
        assert answer.status == 200
        messages: list[Frame] = (await answer.json())["messages"]
        return messages


async def test_whichever_gateway_each_is_on(platform: Running, http: ClientSession) -> None:
    """Both users hold sockets on both gateways, and every socket gets every message once."""
    alice, bob = await platform.register(http), await platform.register(http)
    async with AsyncExitStack() as stack:
        of_alice, of_bob = await _on_both_gateways(platform, http, stack, alice, bob)
        sent = []
        for number, socket in enumerate(of_alice):
            await socket.send(type="send_message", id=str(number), recipient_id=bob.user_id, content=number)
            ack = await socket.expect("ack", id=str(number))
            sent.append(ack["message_id"])
        for socket in of_bob:
            heard = [await socket.expect("message") for _ in sent]
            assert [frame["message_id"] for frame in heard] == sent
            assert [frame["content"] for frame in heard] == list(range(len(sent)))
            assert [frame["seq"] for frame in heard] == sorted({frame["seq"] for frame in heard})
        for number, socket in enumerate(of_alice):  # the other devices of the sender show what it sent
            others = [message_id for place, message_id in enumerate(sent) if place != number]
            assert [(await socket.expect("message"))["message_id"] for _ in others] == others
            assert await socket.nothing_but_pong() == []


async def _on_both_gateways(
    platform: Running, http: ClientSession, stack: AsyncExitStack, alice: Account, bob: Account
) -> tuple[list[Client], list[Client]]:
    """Opens sockets for each until each has one on both gateways: the kernel decides which gateway accepts."""

    async def open_for(account: Account) -> list[Client]:
        before = await platform.open_sockets(http)
        opened: list[Client] = []
        for _ in range(40):
            opened.append(await stack.enter_async_context(connected(platform, account.token)))
            after = await platform.open_sockets(http)
            if len(after) == 2 and all(after[pid] > before.get(pid, 0) for pid in after):
                return opened
        raise AssertionError(f"40 sockets, all accepted by one gateway: {before} became {after}")

    return await open_for(alice), await open_for(bob)


async def test_the_same_dedup_id_is_one_message(platform: Running, http: ClientSession) -> None:
    alice, bob = await platform.register(http), await platform.register(http)
    frame: Frame = {
        "type": "send_message",
        "dedup_id": secrets.token_hex(16),
        "recipient_id": bob.user_id,
        "content": {"any": ["JSON", 1, None]},
    }
    async with connected(platform, alice.token) as sender, connected(platform, bob.token) as recipient:
        await sender.send(**frame, id="first")
        first = await sender.expect("ack", id="first")
        await sender.send(**frame, id="second")
        second = await sender.expect("ack", id="second")
        assert second == first | {"id": "second", "duplicate": True}
        await sender.send(**frame | {"content": "something else"}, id="third")
        assert (await sender.expect("error", id="third"))["code"] == "conflict"
        assert (await recipient.expect("message"))["content"] == frame["content"]
        assert await recipient.nothing_but_pong() == []


BAD_TOKENS: Final = {
    "missing": "",
    "empty": "?token=",
    "not a token": "?token=nonsense",
    "unsigned": "?token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
}


@pytest.mark.parametrize("query", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_a_bad_token_is_refused_in_the_handshake(platform: Running, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{platform.socket}{query}")
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["Content-Type"].startswith("application/json")
    error = json.loads(response.body or b"")["error"]
    assert error["code"] == "unauthorized"
    assert "sign" not in error["message"], "the reason gives nothing away"


async def test_a_token_that_was_changed_is_refused(platform: Running, http: ClientSession) -> None:
    account = await platform.register(http)
    head, body, signature = account.token.split(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{platform.socket}?token={head}.{body}.{changed}")
    assert refused.value.response.status_code == 401


BAD_FRAMES: Final[dict[str, tuple[str, str]]] = {
    "not JSON": ("hello", "bad_frame"),
    "not an object": ("[1, 2]", "bad_frame"),
    "no type": ("{}", "bad_frame"),
    "unknown type": ('{"type": "dance"}', "unknown_type"),
    "no recipient": ('{"type": "send_message", "content": "x"}', "bad_frame"),
    "wrong field": ('{"type": "send_message", "recipient_id": 7, "content": "x"}', "bad_frame"),
    "a recipient that is no id": ('{"type": "send_message", "recipient_id": "", "content": "x"}', "bad_frame"),
    "a short dedup_id": ('{"type": "send_message", "recipient_id": "x", "content": 1, "dedup_id": "1"}', "bad_frame"),
    "another's channel": ('{"type": "received", "channel": "user:someone", "seq": 1}', "not_found"),
    "too large": (json.dumps({"type": "send_message", "recipient_id": "x", "content": "x" * 70_000}), "too_large"),
}


@pytest.mark.parametrize(("text", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_a_bad_frame_is_answered_and_the_socket_lives(
    platform: Running, http: ClientSession, text: str, code: str
) -> None:
    account = await platform.register(http)
    async with connected(platform, account.token) as client:
        await client.socket.send(text)
        error = await client.expect("error")
        assert error["code"] == code
        assert error["message"]
        assert await client.nothing_but_pong() == []


async def test_from_node(platform: Running, http: ClientSession) -> None:
    """Node's own WebSocket, bare; then the page's client on top of it."""
    alice, bob = await platform.register(http), await platform.register(http)
    given = {"gateway": platform.socket, "alice": _person(alice), "bob": _person(bob)}
    code, out = await _node("client.mjs", given=given)
    steps: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert code == 0, out
    assert [step["step"] for step in steps] == ["bare", "client", "done"]


def _person(account: Account) -> dict[str, str]:
    return {"id": account.user_id, "token": account.token}


SAID: Final = {
    "js": (
        ["Hello! 👍"],
        ["Alice's message is safe: yes", "Bob received: Hello!"],
    ),
    "python": (
        ["Alice received: Hello to you!", "Hello! True ['👍']", "Hello to you! False []"],
        ["Bob received: Hello!", "The same message: True True", "In the history: ['Hello!']"],
        [
            "Sent twice, two messages: True [True, True]",
            "Alice's conversations: True",
            "New for Bob: ['And you?']",
        ],
    ),
}


async def test_the_guides_examples_run(platform: Running, tmp_path: Path) -> None:
    """The programs in docs/clients.md, as they stand there but for the ports."""
    guide = (ROOT / "docs" / "clients.md").read_text()
    moved = re.sub(r"localhost:(\d+)", lambda port: f"localhost:{int(port[1]) + platform.offset}", guide)
    programs = re.findall(r"^```(js|python)\n(.*?)^```", moved, re.DOTALL | re.MULTILINE)
    # Those that are whole: a few lines that show one thing are no program.
    whole = {name: [text for kind, text in programs if kind == name and _is_whole(text)] for name in SAID}
    for text, said in zip(whole["python"], SAID["python"], strict=True):
        (tmp_path / "example.py").write_text(text)
        code, out = await _output(sys.executable, "-W", "error", str(tmp_path / "example.py"))
        assert (code, out.splitlines()) == (0, said), out
    shutil.copy(ROOT / "operator" / "push_operator" / "cli" / "page" / "client.js", tmp_path)
    for text, said in zip(whole["js"], SAID["js"], strict=True):
        (tmp_path / "example.mjs").write_text(text)
        code, out = await _node(str(tmp_path / "example.mjs"))
        assert (code, sorted(out.splitlines())) == (0, said), out


def _is_whole(program: str) -> bool:
    return "register" in program


async def test_the_echo_bot(platform: Running, http: ClientSession, tmp_path: Path) -> None:
    """Started twice: what it was told meanwhile it answers afterwards, and nothing twice."""
    alice = await platform.register(http)
    email = new_email()
    heard: list[object] = []
    async with PushClient(platform.socket, alice.token) as client:
        bot_id = await _with_bot(platform, tmp_path, email, partial(_asked, client, heard, "one"))
        await client.send(to=bot_id, content="two")
        await _with_bot(platform, tmp_path, email, partial(_asked, client, heard, "three"))
    assert heard == ["one", "two", "three"]


async def _with_bot(platform: Running, folder: Path, email: str, work: Callable[[str], Awaitable[None]]) -> str:
    """Runs the bot around `work`, which gets its user id; returns that."""
    bot = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / "echo_bot.py"), email, PASSWORD,
        "--port-offset", str(platform.offset), "--state", str(folder / "bot.json"), stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert bot.stdout is not None
        async with asyncio.timeout(NODE_SECONDS):
            ready, bot_id = (await bot.stdout.readline()).decode().split()
            assert ready == "ready"
            await work(bot_id)
    finally:
        bot.send_signal(signal.SIGINT)
        await bot.wait()
    assert bot.returncode == 0
    return bot_id


async def _asked(client: PushClient, heard: list[object], text: str, bot_id: str) -> None:
    """Says it to the bot, and listens until that is answered."""
    await client.send(to=bot_id, content=text)
    async for event in client.events():
        if isinstance(event, Message) and event.sender == bot_id:
            heard.append(event.content)
            if event.content == text:
                return


async def test_the_python_librarys_http_side(platform: Running) -> None:
    async with Api(Endpoints.local(platform.offset)) as api:
        ann, bob = [await api.register(new_email(), PASSWORD) for _ in range(2)]
        api.token = ann.access_token
        group = await api.create_group("Team", [bob.user_id], dedup_id=secrets.token_hex(16))
        group_id = group["group_id"]
        await api.rename_group(group_id, "The team")
        await api.set_role(group_id, bob.user_id, "admin")
        assert [(one["name"], one["role"]) for one in await api.groups()] == [("The team", "owner")]
        members = {one["user_id"]: one["role"] for one in (await api.members(group_id)).items}
        assert members == {ann.user_id: "owner", bob.user_id: "admin"}
        await api.block(bob.user_id)
        assert await api.blocks() == [bob.user_id]
        await api.unblock(bob.user_id)
        async with PushClient(platform.socket, ann.access_token, listen=False) as client:
            for number in range(3):
                await client.send(channel=f"group:{group_id}", content=number)

        async def said() -> list[object]:
            history = api.all_history(f"group:{group_id}", page=2)
            return [one.content async for one in history if one.kind == "text"]

        await eventually(lambda: _equal(said, [2, 1, 0]))
        (line,) = (await api.conversations()).items
        assert (line["channel"], line["unread"]) == (f"group:{group_id}", 0)
        await api.remove_member(group_id, bob.user_id)
        await api.delete_group(group_id)
        assert await api.groups() == []
        with pytest.raises(ApiError) as raised:
            await api.group(group_id)
        assert raised.value.status == 404


async def _equal(ask: Callable[[], Awaitable[list[object]]], wanted: list[object]) -> bool:
    return await ask() == wanted


async def test_the_pages_client_alone() -> None:
    """Reconnecting, resending and all that, on a clock of its own."""
    code, out = await _node("--test", "client_core.mjs")
    assert code == 0, out


async def _node(*arguments: str, given: object = None) -> tuple[int | None, str]:
    """Exit code and output of a Node program of this folder, which reads `given` as JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("THE JAVASCRIPT CLIENT IS NOT TESTED: there is no `node` here")
    major = int((await _output(node, "--version"))[1].lstrip("v").partition(".")[0])
    # Node 20 has the WebSocket, and modules in files named .js, behind flags; from 22 on they are simply there.
    flags = ["--experimental-websocket", "--experimental-detect-module"] if major < 22 else []
    return await _output(node, "--no-warnings", *flags, *arguments, given=json.dumps(given))


async def _output(*command: str, given: str = "") -> tuple[int | None, str]:
    program = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(NODE_SECONDS):
        out, _ = await program.communicate(given.encode())
    return program.returncode, out.decode()
