"""Logins by providers over HTTP: GitHub's stand-in and a certified OpenID provider, with people who mean no good."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pytest
from aiohttp import ClientSession, CookieJar, web
from tests.support.github import CLIENT_ID, CLIENT_SECRET, GitHubPeer, address, github_peer
from tests.support.npm import NoPackages
from tests.support.oidc_provider import OidcProvider
from tests.support.servers import Valkey, running
from tests.support.services import InProcess, environ_for, in_process
from yarl import URL

from push_workloads.auth.oauth.attempts import challenge_of

APP: Final = "https://chat.example.com/"
PUBLIC: Final = "http://localhost:1"  # what the providers know us by
OTHER_APP: Final = "com.example.app:/login"
PASSWORD: Final = "a long enough password"
OIDC_SECRET: Final = "the secret that the provider gave us"
PEOPLE: Final[dict[str, tuple[Any, Any]]] = {
    "ada": ({"id": 1, "name": "Ada", "login": "ada"}, [address("Ada@Example.com")]),
    "bob": ({"id": 2, "name": None, "login": "bob"}, [address("bob@example.com")]),
    "shy": ({"id": 3, "name": "Shy", "login": "shy", "email": "shy@example.com"}, []),
    "eve": ({"id": 4, "name": "Eve", "login": "eve"}, [address("ada@example.com", verified=False)]),
}
ACCOUNTS: Final = {
    "ada": {"email": "ada@example.com", "email_verified": True, "name": "Ada L."},
    "eve": {"email": "ada@example.com", "email_verified": False, "name": "Eve"},
    "carl": {"name": "Carl"},
}


@dataclass
class Browser:
    """One browser: its cookies, and where it was sent."""

    auth: InProcess
    http: ClientSession
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    async def get(self, url: str) -> tuple[int, str]:
        """The status, and where it sends on (or the text). What goes to PUBLIC an ingress would hand to us."""
        url = self.auth.url + url.removeprefix(PUBLIC) if url.startswith(PUBLIC) else url
        async with self.http.get(url, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location") or await answer.text()

    async def begin(self, provider: str = "github", *, bound: bool = True, **query: str) -> str:
        """The provider's login page."""
        challenge = {"code_challenge": challenge_of(self.verifier)} if bound else {}
        status, url = await self.get(f"{self.auth.url}/oauth/{provider}?{urlencode({**challenge, **query})}")
        assert status == 303, url
        return url

    async def agree(self, url: str, login: str) -> str:
        """Where GitHub sends the browser after its person said yes; no, for an empty one."""
        status, back = await self.get(f"{url}&{urlencode({'as': login})}")
        assert status == 302
        return back

    async def come_back(self, url: str) -> dict[str, str]:
        """What the app is told."""
        status, to = await self.get(url)
        assert status == 303, to
        assert to.startswith(APP), to
        return dict(parse_qsl(urlsplit(to).query))

    async def code(self, login: str, *, bound: bool = True) -> str:
        told = await self.come_back(await self.agree(await self.begin(bound=bound), login))
        return told["code"]

    async def post(self, path: str, token: str | None = None, **body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.post(self.auth.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def exchange(self, code: str) -> tuple[int, Any]:
        return await self.post("/auth/oauth", code=code, code_verifier=self.verifier)

    async def log_in(self, login: str) -> tuple[int, Any]:
        return await self.exchange(await self.code(login))

    async def identities(self, token: str) -> list[Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.get(f"{self.auth.url}/auth/identities", headers=headers) as answer:
            assert answer.status == 200
            return list((await answer.json())["identities"])


@asynccontextmanager
async def another(browser: Browser) -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        yield Browser(browser.auth, http)


@pytest.fixture
async def github() -> AsyncIterator[GitHubPeer]:
    async with github_peer(PEOPLE) as peer:
        yield peer


@asynccontextmanager
async def browsing(valkey: Valkey, folder: Path, **environ: str) -> AsyncIterator[Browser]:
    given = environ_for(
        REDIS_URL=valkey.url, SQLITE_PATH=str(folder / "accounts.db"), OAUTH_RETURN_URLS=f"{APP},{OTHER_APP}", **environ
    )
    async with in_process("auth", given) as auth, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        await auth.ready()
        yield Browser(auth, http)


def github_environ(peer: GitHubPeer) -> dict[str, str]:
    return {
        "OAUTH_GITHUB_CLIENT_ID": CLIENT_ID, "OAUTH_GITHUB_CLIENT_SECRET": CLIENT_SECRET,
        "OAUTH_GITHUB_URL": peer.url, "OAUTH_GITHUB_API_URL": f"{peer.url}/api",
        "OAUTH_GITHUB_REDIRECT_URL": f"{PUBLIC}/oauth/github/callback",
    }  # fmt: skip


@pytest.fixture
async def browser(github: GitHubPeer, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browsing(valkey_server, tmp_path, **github_environ(github)) as made:
        yield made


async def test_a_person_logs_in_and_comes_again(browser: Browser) -> None:
    status, first = await browser.log_in("ada")
    assert status == 200
    assert first.keys() == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert (first["user"]["email"], first["user"]["name"]) == ("ada@example.com", "Ada")
    status, again = await browser.log_in("ada")
    assert (status, again["user"]) == (200, first["user"])
    (one,) = await browser.identities(again["access_token"])
    assert (one["provider"], one["subject"], one["email"]) == ("github", "1", "ada@example.com")
    status, bob = await browser.log_in("bob")
    assert (status, bob["user"]["id"] == first["user"]["id"]) == (200, False)


async def test_the_session_is_one_like_any_other(browser: Browser) -> None:
    _, made = await browser.log_in("ada")
    status, renewed = await browser.post("/auth/refresh", refresh_token=made["refresh_token"])
    assert (status, renewed["user"]) == (200, made["user"])


async def test_what_github_is_asked_and_what_the_browser_keeps(browser: Browser) -> None:
    url = f"{browser.auth.url}/oauth/github?code_challenge={challenge_of(browser.verifier)}"
    async with browser.http.get(url, allow_redirects=False) as answer:
        asked = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        (cookie,) = answer.headers.getall("Set-Cookie")
    assert asked["redirect_uri"] == f"{PUBLIC}/oauth/github/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["code_challenge"] != challenge_of(browser.verifier)  # the app's is between the app and us
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Max-Age=600" in cookie
    assert "Secure" not in cookie  # on loopback
    assert asked["state"] not in cookie


async def test_where_there_is_tls_the_cookie_is_this_hosts_alone(
    github: GitHubPeer, valkey_server: Valkey, tmp_path: Path
) -> None:
    environ = github_environ(github) | {"OAUTH_GITHUB_REDIRECT_URL": "https://chat.example.com/oauth/github/callback"}
    async with (
        browsing(valkey_server, tmp_path, **environ) as browser,
        browser.http.get(f"{browser.auth.url}/oauth/github", allow_redirects=False) as answer,
    ):
        (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("__Host-push-oauth-")
    parts = cookie.split("; ")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(parts)
    assert not [part for part in parts if part.startswith("Domain")]


async def test_the_providers_are_listed(browser: Browser) -> None:
    status, text = await browser.get(f"{browser.auth.url}/oauth")
    assert (status, text) == (200, '{"providers":[{"name":"github","label":"GitHub"}]}')
    status, _ = await browser.get(f"{browser.auth.url}/oauth/google")
    assert status == 404


# Who means no good ----------------------------------------------------------------------------------------------------


async def test_a_state_is_good_once(browser: Browser) -> None:
    back = await browser.agree(await browser.begin(), "ada")
    jar, at = browser.http.cookie_jar, URL(browser.auth.url)
    kept = {name: morsel.value for name, morsel in jar.filter_cookies(at).items()}
    assert len(kept) == 1
    assert "code" in await browser.come_back(back)
    assert not jar.filter_cookies(at)
    jar.update_cookies(kept, at)
    status, text = await browser.get(back)
    assert (status, "begun in this browser" in text) == (400, True)


async def test_another_browser_cannot_end_a_login(browser: Browser) -> None:
    """As who sends somebody a link with which they would log in as the sender."""
    back = await browser.agree(await browser.begin(), "eve")
    async with another(browser) as victim:
        await victim.begin()
        status, _ = await victim.get(back)
        assert status == 400
    assert "code" in await browser.come_back(back)  # whose it is, it serves


@pytest.mark.parametrize("change", ["state=", "state=made-up", ""])
async def test_a_state_that_is_none(browser: Browser, change: str) -> None:
    await browser.begin()
    status, _ = await browser.get(f"{PUBLIC}/oauth/github/callback?code=x&{change}")
    assert status == 400


async def test_our_code_is_good_once(browser: Browser) -> None:
    code = await browser.code("ada")
    answers = await asyncio.gather(*(browser.exchange(code) for _ in range(10)))
    assert sorted(status for status, _ in answers) == [200] + [400] * 9
    assert (await browser.exchange("made-up"))[0] == 400


async def test_our_code_is_nothing_without_the_apps_verifier(browser: Browser) -> None:
    code = await browser.code("ada")
    assert (await browser.post("/auth/oauth", code=code))[0] == 400
    assert (await browser.exchange(code))[0] == 400  # and a wrong guess uses it up
    code = await browser.code("ada")
    assert (await browser.post("/auth/oauth", code=code, code_verifier="v" * 43))[0] == 400
    code = await browser.code("ada", bound=False)
    assert (await browser.exchange(code))[0] == 400  # somebody took the challenge off
    code = await browser.code("ada", bound=False)
    assert (await browser.post("/auth/oauth", code=code))[0] == 200


async def test_the_providers_code_of_another_login(browser: Browser) -> None:
    """Eve takes her own code from the address and puts it into Ada's answer: PKCE binds it to Eve's login."""
    eves = dict(parse_qsl(urlsplit(await browser.agree(await browser.begin(), "eve")).query))
    adas = dict(parse_qsl(urlsplit(await browser.agree(await browser.begin(), "ada")).query))
    told = await browser.come_back(
        f"{PUBLIC}/oauth/github/callback?{urlencode({'code': eves['code'], 'state': adas['state']})}"
    )
    assert told == {"error": "provider_failed"}


async def test_the_providers_code_again(browser: Browser) -> None:
    used = dict(parse_qsl(urlsplit(back := await browser.agree(await browser.begin(), "ada")).query))
    await browser.come_back(back)
    fresh = dict(parse_qsl(urlsplit(await browser.begin()).query))
    query = urlencode({"code": used["code"], "state": fresh["state"]})
    assert await browser.come_back(f"{PUBLIC}/oauth/github/callback?{query}") == {"error": "provider_failed"}


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", f"{APP}more", f"{APP}?x=1", "//evil.example", "javascript:alert(1)", "", APP.rstrip("/"),
     f"{APP}@evil.example", "https://chat.example.com.evil.example/"],
)  # fmt: skip
async def test_a_login_returns_nowhere_else(browser: Browser, to: str) -> None:
    status, text = await browser.get(f"{browser.auth.url}/oauth/github?{urlencode({'return_to': to})}")
    assert (status, "return_to" in text) == (400, True)


async def test_a_login_returns_where_it_was_asked_to(browser: Browser) -> None:
    back = await browser.agree(await browser.begin(return_to=OTHER_APP), "ada")
    status, to = await browser.get(back)
    assert (status, to.startswith(f"{OTHER_APP}?code=")) == (303, True)


@pytest.mark.parametrize("challenge", ["", "short", "x" * 44, "é" * 43, "=" * 43])
async def test_a_challenge_that_is_none(browser: Browser, challenge: str) -> None:
    status, _ = await browser.get(f"{browser.auth.url}/oauth/github?{urlencode({'code_challenge': challenge})}")
    assert status == 400


async def test_somebody_says_no(browser: Browser) -> None:
    assert await browser.come_back(await browser.agree(await browser.begin(), "")) == {"error": "access_denied"}
    counted = {"provider": "github", "outcome": "access_denied"}
    assert browser.auth.metric("push_auth_provider_logins_total", **counted) == 1


async def test_an_account_without_a_verified_address_gets_none_here(browser: Browser) -> None:
    for login in ("shy", "eve"):
        status, told = await browser.log_in(login)
        assert (status, told["error"]["code"]) == (403, "email_required")


async def test_an_account_by_password_is_not_taken_over_and_takes_nobody_over(browser: Browser) -> None:
    """Whoever registered ada@example.com first may be anybody, and so may who comes second."""
    _, registered = await browser.post("/auth/register", email="ada@example.com", password=PASSWORD)
    status, told = await browser.log_in("ada")
    assert (status, told["error"]["code"]) == (409, "account_exists")
    assert await browser.identities(registered["access_token"]) == []


async def test_linking_takes_both_logins(browser: Browser) -> None:
    _, registered = await browser.post("/auth/register", email="someone@example.com", password=PASSWORD)
    token = registered["access_token"]
    code = await browser.code("ada")
    status, told = await browser.post("/auth/identities", code=code, code_verifier=browser.verifier)
    assert status == 401  # and the code is not used up by who is nobody
    status, one = await browser.post("/auth/identities", token, code=code, code_verifier=browser.verifier)
    assert (status, one["subject"]) == (200, "1")
    status, signed = await browser.log_in("ada")
    assert (status, signed["user"]["id"]) == (200, registered["user"]["id"])
    _, bob = await browser.log_in("bob")
    code = await browser.code("ada")
    status, told = await browser.post(
        "/auth/identities", bob["access_token"], code=code, code_verifier=browser.verifier
    )
    assert (status, told["error"]["code"]) == (409, "conflict")


async def test_a_code_that_anybody_may_have_sent_links_nothing(browser: Browser) -> None:
    """Eve ends a login up to our code, and sends Ada to Ada's own app with it."""
    _, registered = await browser.post("/auth/register", email="someone@example.com", password=PASSWORD)
    code = await browser.code("bob", bound=False)
    status, _ = await browser.post(
        "/auth/identities", registered["access_token"], code=code, code_verifier=browser.verifier
    )
    assert status == 400
    assert await browser.identities(registered["access_token"]) == []


async def test_unlinking(browser: Browser) -> None:
    _, registered = await browser.post("/auth/register", email="someone@example.com", password=PASSWORD)
    token = registered["access_token"]
    await browser.post("/auth/identities", token, code=await browser.code("ada"), code_verifier=browser.verifier)

    async def unlink(token: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with browser.http.delete(f"{browser.auth.url}/auth/identities/{path}", headers=headers) as answer:
            return answer.status

    _, bob = await browser.log_in("bob")
    assert await unlink(bob["access_token"], "github/1") == 404
    assert await unlink(bob["access_token"], "github/2") == 409  # the only way in
    assert await unlink(token, "github/1") == 204
    assert await unlink(token, "github/1") == 404
    status, made = await browser.log_in("ada")
    assert (status, made["user"]["id"] == registered["user"]["id"]) == (200, False)


async def test_a_login_goes_with_its_account(browser: Browser) -> None:
    _, first = await browser.log_in("ada")
    headers = {"Authorization": f"Bearer {first['access_token']}"}
    async with browser.http.post(f"{browser.auth.url}/auth/delete", json={}, headers=headers) as answer:
        assert answer.status == 204  # who has just logged in needs no password, and has none
    status, second = await browser.log_in("ada")
    assert (status, second["user"]["id"] == first["user"]["id"]) == (200, False)


async def test_two_first_logins_at_once_are_one_account(browser: Browser) -> None:
    codes = [await browser.code("ada") for _ in range(5)]
    answers = await asyncio.gather(*map(browser.exchange, codes))
    assert [status for status, _ in answers] == [200] * 5
    assert len({told["user"]["id"] for _, told in answers}) == 1


# A provider that is not well ------------------------------------------------------------------------------------------

BAD: Final = {
    "an error": lambda: web.Response(status=500),
    "no JSON": lambda: web.Response(text="<html>"),
    "another shape": lambda: web.json_response([1]),
    "no id": lambda: web.json_response({"id": "1"}),
    "too much": lambda: web.json_response({"id": 1, "padding": "x" * 300_000}),
    "somewhere else": lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_an_answer_that_makes_no_sense(browser: Browser, github: GitHubPeer, bad: Any) -> None:
    github.answer = bad
    assert await browser.come_back(await browser.agree(await browser.begin(), "ada")) == {"error": "provider_failed"}


async def test_a_provider_that_is_slow(browser: Browser, github: GitHubPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("push_workloads.auth.oauth.wire.ALL_SECONDS", 0.3)
    back = await browser.agree(await browser.begin(), "ada")
    github.hold = asyncio.Event()
    assert await browser.come_back(back) == {"error": "provider_failed"}
    assert github.asked == ["/api/user"]
    github.hold.set()


async def test_without_redis_nobody_comes_in(browser: Browser, valkey_server: Valkey) -> None:
    back = await browser.agree(await browser.begin(), "ada")
    await valkey_server.kill()
    status, _ = await browser.get(back)
    assert status == 503
    assert (await browser.exchange("made-up"))[0] == 503


# OpenID Connect -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[OidcProvider]:
    client = {
        "client_id": "platform", "client_secret": OIDC_SECRET,
        "redirect_uris": [f"{PUBLIC}/oauth/acme/callback", f"{PUBLIC}/oauth/google/callback"],
    }  # fmt: skip
    try:
        made = OidcProvider(tmp_path / "oidc", {"clients": [client], "accounts": ACCOUNTS})
    except NoPackages as missing:
        pytest.skip(f"no login by OpenID Connect is tested here: {missing}")
    async with running(made):
        yield made


@pytest.fixture
async def member(
    provider: OidcProvider, github: GitHubPeer, valkey_server: Valkey, tmp_path: Path
) -> AsyncIterator[Browser]:
    """A browser in front of a platform with GitHub and two providers that are the same one, under different names."""
    own = {
        f"OAUTH_{name}_{key}": value
        for name in ("ACME", "GOOGLE")
        for key, value in {
            "ISSUER": provider.issuer, "CLIENT_ID": "platform", "CLIENT_SECRET": OIDC_SECRET,
            "REDIRECT_URL": f"{PUBLIC}/oauth/{name.lower()}/callback",
        }.items()
    }  # fmt: skip
    environ = {**github_environ(github), **own, "OAUTH_PROVIDERS": "acme"}
    async with browsing(valkey_server, tmp_path, **environ) as made:
        yield made


_FORM: Final = re.compile(r'<form[^>]*action="([^"]+)"')
_PROMPT: Final = re.compile(r'name="prompt" value="([^"]+)"')
_ABORT: Final = re.compile(r'href="([^"]+/abort)"')


async def signed_in(url: str, login: str, *, consents: bool = True) -> str:
    """Through the provider's pages, in a browser of its own; where it then sends the browser."""
    data: dict[str, str] | None = None
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        for _ in range(20):
            method = "POST" if data else "GET"
            async with http.request(method, url, data=data, allow_redirects=False) as answer:
                page = await answer.text()
                if answer.status in (302, 303):
                    url, data = urljoin(url, answer.headers["Location"]), None
                    if url.startswith(PUBLIC):
                        return url
                    continue
                assert answer.status == 200, page
            form, prompt, abort = _FORM.search(page), _PROMPT.search(page), _ABORT.search(page)
            assert form and prompt and abort, page
            if not consents:
                url, data = urljoin(url, abort[1]), None
            else:
                url, data = urljoin(url, form[1]), {"prompt": prompt[1], "login": login, "password": "any"}
    raise AssertionError("the pages of the provider do not come to an end")


async def told_to_app(member: Browser, login: str, name: str = "acme") -> dict[str, str]:
    return await member.come_back(await signed_in(await member.begin(name), login))


async def test_a_member_logs_in_and_comes_again(member: Browser) -> None:
    status, first = await member.exchange((await told_to_app(member, "ada"))["code"])
    assert status == 200, first
    assert (first["user"]["email"], first["user"]["name"]) == ("ada@example.com", "Ada L.")
    status, again = await member.exchange((await told_to_app(member, "ada"))["code"])
    assert (status, again["user"]) == (200, first["user"])


async def test_two_providers_that_have_verified_one_address_are_one_account(member: Browser) -> None:
    _, first = await member.log_in("ada")
    status, second = await member.exchange((await told_to_app(member, "ada"))["code"])
    assert (status, second["user"]) == (200, first["user"])
    assert [one["provider"] for one in await member.identities(first["access_token"])] == ["github", "acme"]


async def test_an_address_that_the_provider_has_not_verified_is_nobodys(member: Browser) -> None:
    await member.log_in("ada")
    status, told = await member.exchange((await told_to_app(member, "eve"))["code"])
    assert (status, told["error"]["code"]) == (403, "email_required")


async def test_whose_id_token_has_no_address_is_asked_about_once_more(member: Browser, provider: OidcProvider) -> None:
    status, told = await member.exchange((await told_to_app(member, "carl"))["code"])
    assert (status, told["error"]["code"]) == (403, "email_required")
    assert await provider.asked(member.http, "/me") == 1


async def test_a_member_does_not_consent(member: Browser) -> None:
    back = await signed_in(await member.begin("acme"), "ada", consents=False)
    assert await member.come_back(back) == {"error": "access_denied"}


async def test_answers_of_providers_are_not_mixed_up(member: Browser) -> None:
    """The state of one provider at the address of another."""
    back = await signed_in(await member.begin("acme"), "ada")
    for other in ("google", "github"):
        status, _ = await member.get(back.replace("/acme/", f"/{other}/"))
        assert status == 400
    assert "code" in await member.come_back(back)


@pytest.mark.parametrize("issuer", ["https://evil.example", "", None])
async def test_an_answer_that_is_another_providers(member: Browser, issuer: str | None) -> None:
    """By its `iss`, which this one has said that it always sends (RFC 9207); all else in it is as it should be."""
    back = await signed_in(await member.begin("acme"), "ada")
    query = dict(parse_qsl(urlsplit(back).query))
    assert query.pop("iss").startswith("http://127.0.0.1:")
    query |= {"iss": issuer} if issuer is not None else {}
    told = await member.come_back(f"{PUBLIC}/oauth/acme/callback?{urlencode(query)}")
    assert told == {"error": "provider_failed"}


async def test_keys_that_were_changed_are_asked_for_once(
    member: Browser, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "code" in await told_to_app(member, "ada")
    await provider.publish(member.http, "second-RS256")
    assert await told_to_app(member, "ada") == {"error": "provider_failed"}  # just asked: not again so soon
    monkeypatch.setattr("push_workloads.auth.oauth.oidc.ASK_AGAIN_SECONDS", -1.0)
    assert "code" in await told_to_app(member, "ada")
    assert await provider.asked(member.http, "/.well-known/openid-configuration") == 1


async def test_a_provider_that_is_away_sends_the_browser_back(member: Browser, provider: OidcProvider) -> None:
    await provider.kill()
    status, to = await member.get(f"{PUBLIC}/oauth/acme")
    assert (status, to) == (303, f"{APP}?error=provider_failed")
    await provider.start()
    status, to = await member.get(f"{PUBLIC}/oauth/acme")
    assert (status, to.startswith(f"{provider.issuer}/auth?")) == (303, True)
