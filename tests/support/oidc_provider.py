"""A real OpenID provider (npm `oidc-provider`, in `oidc/`) for tests, and a person who logs in at its pages. It takes
Node with npm; the packages are fetched once, pinned by their hashes, and kept under `~/.cache`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

from aiohttp import ClientSession, CookieJar

from tests.support.npm import packages
from tests.support.servers import Server

_HERE: Final = Path(__file__).with_name("oidc")
_FORM: Final = re.compile(r'<form[^>]*action="([^"]+)"')
_PROMPT: Final = re.compile(r'name="prompt" value="([^"]+)"')


class OidcProvider(Server):
    """One process on a port of its own, kept over restarts. `settings`: as `oidc/server.mjs` says. The keys and the
    logins are in memory: a restart forgets them."""

    start_seconds = 30.0

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Raises NoPackages."""
        modules = packages(_HERE, "oidc-provider")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_HERE / "server.mjs", folder)
        (folder / "node_modules").symlink_to(modules)
        greeting = (b"GET /test/counts HTTP/1.0\r\n\r\n", (b"HTTP/1.1 200",))
        command = ["node", str(folder / "server.mjs")]
        super().__init__(lambda _: command, {"OIDC_SETTINGS": json.dumps(settings)}, greeting, folder / "oidc.log")
        self._environ["OIDC_PORT"] = str(self.port)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def publish(self, http: ClientSession, *names: str) -> None:
        """These keys from now on (`NAME-ALGORITHM`); the first of an algorithm signs."""
        async with http.put(f"{self.issuer}/test/keys", json=names) as answer:
            assert answer.status == 200, await answer.text()

    async def asked(self, http: ClientSession, path: str = "/jwks") -> int:
        """How often this path was asked for."""
        async with http.get(f"{self.issuer}/test/counts") as answer:
            counts: dict[str, int] = json.loads(await answer.text())
        return counts.get(path, 0)

    async def log_in(self, account: str, client: Mapping[str, Any], **parameters: str) -> dict[str, Any]:
        """What the token endpoint answers after this person has logged in and agreed, by the code flow with PKCE.
        `parameters` go with the authorization request and the token request, such as `resource`."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        redirect = client["redirect_uris"][0]
        asked = {
            "client_id": client["client_id"], "redirect_uri": redirect, "response_type": "code", "scope": "openid push",
            "code_challenge": challenge, "code_challenge_method": "S256", **parameters,
        }  # fmt: skip
        # A cookie jar that takes an address for a host; a session of its own, as another browser.
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
            code = await self._agree(browser, account, redirect, asked)
            form = {
                "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier,
                "client_id": client["client_id"], "client_secret": client["client_secret"], **parameters,
            }  # fmt: skip
            async with browser.post(f"{self.issuer}/token", data=form) as answer:
                tokens: dict[str, Any] = await answer.json()
                assert answer.status == 200, tokens
        return tokens

    async def _agree(self, browser: ClientSession, account: str, redirect: str, asked: Mapping[str, str]) -> str:
        """Follows the pages as a browser would, up to the client's own address, which is not opened: its `code`."""
        method, url, data = "GET", f"{self.issuer}/auth", None
        query: Mapping[str, str] | None = asked
        for _ in range(20):
            async with browser.request(method, url, params=query, data=data, allow_redirects=False) as answer:
                page, query = await answer.text(), None
                if answer.status in (302, 303):
                    method, url, data = "GET", urljoin(url, answer.headers["Location"]), None
                    if url.startswith(redirect):
                        return parse_qs(urlsplit(url).query)["code"][0]
                    continue
                assert answer.status == 200, page
            form, prompt = _FORM.search(page), _PROMPT.search(page)
            assert form and prompt, page
            method, url = "POST", urljoin(url, form[1])
            data = {"prompt": prompt[1], "login": account, "password": "any"}
        raise AssertionError("the pages of the provider do not come to an end")
