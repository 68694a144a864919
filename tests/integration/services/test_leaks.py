"""No token and no secret is in anything that a run leaves behind: logs at their lowest level, traces, the stores."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aiohttp import ClientSession, CookieJar, web
from tests.support.github import CLIENT_ID, CLIENT_SECRET, GitHubPeer, address, github_peer
from tests.support.servers import PASSWORDS, Nats, Valkey
from tests.support.services import SECRET, OwnProcess, environ_for, own_process
from tests.support.waiting import eventually
from websockets.asyncio.client import connect

from push_workloads.auth.oauth.attempts import challenge_of

PUBLIC: Final = "http://localhost:1"
APP: Final = "https://chat.example.com/"
PASSWORD: Final = "a password that nobody else has"
ON_THE_BUS: Final = ("gateway", "message", "presence", "push")
SERVICES: Final = ("auth", *ON_THE_BUS)
PEOPLE: Final[dict[str, tuple[Any, Any]]] = {"ada": ({"id": 1, "name": "Ada"}, [address("ada@example.com")])}


@dataclass
class Run:
    """Everything that ran, and every secret that was used: name → text."""

    services: dict[str, OwnProcess]
    http: ClientSession
    used: dict[str, str] = field(default_factory=dict)

    def url(self, service: str, path: str) -> str:
        return self.services[service].url + path

    def keep(self, what: str, text: str) -> str:
        self.used[f"{what} {len(self.used)}"] = text
        return text

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        async with self.http.post(self.url("auth", path), json=body) as answer:
            made: dict[str, Any] = await answer.json(content_type=None) if answer.status != 204 else {}
        for name in ("access_token", "refresh_token"):
            if name in made:
                self.keep(name, made[name])
        return made


async def test_nothing_of_them_is_left_behind(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> None:
    spans: list[bytes] = []
    async with (
        github_peer(PEOPLE) as github,
        _collector(spans) as collector,
        _running(operators_nats_server, valkey_server, tmp_path, github, collector) as run,
    ):
        signed = await _accounts(run)
        await _provider(run, github)
        await _sockets(run, signed["access_token"])
        await eventually(lambda: spans)
        run.used |= {f"GitHub's {number}": text for number, text in enumerate(github.secrets)}
    run.used |= {"the key": SECRET, "GitHub's secret": CLIENT_SECRET, "the password": PASSWORD}
    run.used |= {f"NATS {name}": password for name, password in PASSWORDS.items()}
    left = _left_in(tmp_path)
    assert {f"{name}.log" for name in SERVICES} <= left.keys()
    assert any(b"push.db" in name.encode() for name in left)
    left["the traces"] = b"".join(spans)
    found = [(what, where) for what, text in run.used.items() for where, raw in left.items() if _is_in(text, raw)]
    assert found == []
    assert len(run.used) > 25


def _left_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _is_in(text: str, raw: bytes) -> bool:
    """As it is, as it stands in an address, or its most telling part: a token's signature."""
    forms = {text, quote(text), text.rpartition(".")[2] if text.count(".") >= 2 else text}
    return any(form.encode() in raw for form in forms)


async def _accounts(run: Run) -> dict[str, Any]:
    """Registered, logged in and out, refreshed; with a password that is wrong, and in bodies that are."""
    await run.post("/auth/register", email="ann@example.com", password=PASSWORD)
    await run.post("/auth/login", email="ann@example.com", password=run.keep("a wrong password", "not her password"))
    made = await run.post("/auth/login", email="ann@example.com", password=PASSWORD)
    body = f'{{"email": "ann@example.com", "password": "{PASSWORD}", "device": 1}}'
    async with run.http.post(run.url("auth", "/auth/login"), data=body) as answer:
        assert answer.status == 400
        assert PASSWORD not in await answer.text()
    ended = await run.post("/auth/login", email="ann@example.com", password=PASSWORD)
    renewed = await run.post("/auth/refresh", refresh_token=ended["refresh_token"])
    await run.post("/auth/logout", refresh_token=renewed["refresh_token"])
    await run.post("/auth/refresh", refresh_token=renewed["refresh_token"])
    return made


async def _provider(run: Run, github: GitHubPeer) -> None:
    """A login at GitHub that goes well, one whose answer comes twice, and one that GitHub refuses."""
    for number in range(3):
        verifier = run.keep("verifier", secrets.token_urlsafe(48))
        query = urlencode({"code_challenge": challenge_of(verifier)})
        async with run.http.get(run.url("auth", f"/oauth/github?{query}"), allow_redirects=False) as answer:
            (cookie,) = answer.cookies.values()
            run.keep("cookie", cookie.value)
            login_page = answer.headers["Location"]
        run.keep("state", dict(parse_qsl(urlsplit(login_page).query))["state"])
        async with run.http.get(f"{login_page}&as=ada", allow_redirects=False) as answer:
            back = answer.headers["Location"].replace(PUBLIC, run.url("auth", ""), 1)
        if number == 2:
            github.codes.clear()
        async with run.http.get(back, allow_redirects=False) as answer:
            told = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        async with run.http.get(back, allow_redirects=False) as answer:
            assert answer.status == 400
        if "code" in told:
            signed = await run.post("/auth/oauth", code=run.keep("code", told["code"]), code_verifier=verifier)
            assert signed["user"]["email"] == "ada@example.com"
            await run.post("/auth/oauth", code=told["code"], code_verifier=verifier)


async def _sockets(run: Run, token: str) -> None:
    """Tokens where browsers have to put them: in the address; with good ones and with bad ones."""
    base = run.url("gateway", "").replace("http", "ws", 1)
    async with connect(f"{base}/ws?token={token}") as socket:
        await socket.recv()
        await socket.send('{"type":"send_message","id":"1","recipient_id":"bob","content":"hello"}')
        await socket.recv()
    async with run.http.get(f"{run.services['gateway'].sse_url}/sse?token={token}") as stream:
        assert stream.status == 200
        await stream.content.readany()
    bad = run.keep("a bad token", f"{token[:-6]}AAAAAA")
    for url in (run.url("gateway", "/ws"), f"{run.services['gateway'].sse_url}/sse"):
        async with run.http.get(f"{url}?token={bad}") as answer:
            assert answer.status in (400, 401)
    headers = {"Authorization": f"Bearer {token}"}
    for service, path in (("message", "/conversations"), ("presence", "/presence?user_ids=bob"), ("push", "/devices")):
        for given in (headers, {"Authorization": f"Bearer {bad}"}):
            async with run.http.get(run.url(service, path), headers=given) as answer:
                assert answer.status in (200, 401)


@asynccontextmanager
async def _running(nats: Nats, valkey: Valkey, folder: Path, github: GitHubPeer, collector: str) -> AsyncIterator[Run]:
    """All five as processes of their own, their logs as talkative as they get."""
    async with AsyncExitStack() as stack, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        run = Run({}, http)
        for name in SERVICES:
            environ = environ_for(
                REDIS_URL=valkey.url, SQLITE_PATH=str(folder / f"{name}.db"), LOG_LEVEL="debug",
                LOG_MAX_BYTES=str(64 * 1024**2), TRACING_ENDPOINT=collector, TRACING_RATIO="1",
                OAUTH_GITHUB_CLIENT_ID=CLIENT_ID, OAUTH_GITHUB_CLIENT_SECRET=CLIENT_SECRET,
                OAUTH_GITHUB_REDIRECT_URL=f"{PUBLIC}/oauth/github/callback", OAUTH_RETURN_URLS=APP,
                OAUTH_GITHUB_URL=github.url, OAUTH_GITHUB_API_URL=f"{github.url}/api",
                **(nats.environ_of(name) if name in ON_THE_BUS else {}),
            )  # fmt: skip
            run.services[name] = await stack.enter_async_context(own_process(name, environ, folder / f"{name}.log"))
        for service in run.services.values():
            await service.ready(http)
        yield run
        for service in run.services.values():
            assert await service.stop() == 0


@asynccontextmanager
async def _collector(spans: list[bytes]) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        spans.append(await request.read())
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
