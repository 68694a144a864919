"""A stand-in for GitHub: the page where a person says yes or no, and the three routes that are asked afterwards. As
strict as GitHub is: codes are good once, with the same redirect_uri, the client's secret, and the PKCE verifier."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

CLIENT_ID: Final = "github-client"
CLIENT_SECRET: Final = "the secret that GitHub gave us"


def address(email: str, *, verified: bool = True, primary: bool = True) -> dict[str, Any]:
    return {"email": email, "verified": verified, "primary": primary, "visibility": "private"}


@dataclass
class GitHubPeer:
    """`people`: login → (`/user`, `/user/emails`). `answer`: what all API routes answer instead, if anything;
    `hold`: what they wait for. `secrets`: every code and token that it gave."""

    people: dict[str, tuple[Any, Any]]
    url: str = ""
    answer: Callable[[], web.Response] | None = None
    hold: asyncio.Event | None = None
    secrets: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        chosen = query.pop("as", None)
        if chosen is None:
            yes = [(one, f"Continue as {one}") for one in self.people]
            links = "".join(
                f'<p><a href="?{escape(urlencode({**query, "as": one}))}">{escape(label)}</a></p>'
                for one, label in [*yes, ("", "Cancel")]
            )
            return web.Response(text=f"<h1>GitHub</h1>{links}", content_type="text/html")
        told = {"error": "access_denied"} if chosen == "" else {"code": self._code(chosen, query)}
        location = f"{query['redirect_uri']}?{urlencode({**told, 'state': query['state']})}"
        return web.Response(status=302, headers={"Location": location})

    def _code(self, login: str, query: dict[str, str]) -> str:
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(10)
        self.codes[code] = {**query, "login": login}
        self.secrets.append(code)
        return code

    async def access_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        begun = self.codes.pop(str(form.get("code")), None)
        verifier = str(form.get("code_verifier"))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        good = (
            begun is not None
            and (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
            and form.get("redirect_uri") == begun["redirect_uri"]
            and challenge == begun["code_challenge"]
        )
        if begun is None or not good:  # GitHub says so with status 200
            return web.json_response({"error": "bad_verification_code", "error_description": "incorrect or expired"})
        token = f"gho_{secrets.token_hex(18)}"
        self.tokens[token] = begun["login"]
        self.secrets.append(token)
        return web.json_response({"access_token": token, "scope": "read:user,user:email", "token_type": "bearer"})

    async def user(self, request: web.Request) -> web.Response:
        return await self._told(request, 0)

    async def emails(self, request: web.Request) -> web.Response:
        return await self._told(request, 1)

    async def elsewhere(self, _: web.Request) -> web.Response:
        """What only who follows a redirect is told."""
        return web.json_response({"id": 1})

    async def _told(self, request: web.Request, which: int) -> web.Response:
        self.asked.append(request.path)
        if self.hold is not None:
            await self.hold.wait()
        login = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if login is None:
            return web.json_response({"message": "Bad credentials"}, status=401)
        if self.answer is not None:
            return self.answer()
        return web.json_response(self.people[login][which])


@asynccontextmanager
async def github_peer(people: dict[str, tuple[Any, Any]]) -> AsyncIterator[GitHubPeer]:
    peer = GitHubPeer(people)
    app = web.Application()
    app.router.add_get("/login/oauth/authorize", peer.authorize)
    app.router.add_post("/login/oauth/access_token", peer.access_token)
    app.router.add_get("/elsewhere", peer.elsewhere)
    app.router.add_get("/api/user", peer.user)
    app.router.add_get("/api/user/emails", peer.emails)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    try:
        await site.start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield peer
    finally:
        await runner.cleanup()
