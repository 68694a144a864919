"""Logging in at a provider from the demo page, in a real browser: GitHub's stand-in and a certified OpenID provider."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, expect

from push_operator.plan.services import PUBLIC_PORTS
from tests.e2e.browser import Person
from tests.e2e.running import INTERRUPTED, READY_SECONDS, Running
from tests.support.github import CLIENT_ID, CLIENT_SECRET, GitHubPeer, address, github_peer
from tests.support.npm import NoPackages
from tests.support.oidc_provider import OidcProvider
from tests.support.platform import Platform, free_offset
from tests.support.servers import running

OIDC_SECRET: Final = "the secret that the provider gave us"
PEOPLE: Final[dict[str, tuple[Any, Any]]] = {
    "ada": ({"id": 1, "name": "Ada", "login": "ada"}, [address("ada@example.com")]),
    "shy": ({"id": 2, "name": "Shy", "login": "shy"}, []),
}
ACCOUNTS: Final = {"ada": {"email": "ada@example.com", "email_verified": True, "name": "Ada"}}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("windows_closed")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def github() -> AsyncIterator[GitHubPeer]:
    async with github_peer(PEOPLE) as peer:
        yield peer


@pytest.fixture(scope="module")
def offset() -> int:
    return free_offset()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(offset: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OidcProvider]:
    client = {"client_id": "platform", "client_secret": OIDC_SECRET, "redirect_uris": [_redirect(offset, "acme")]}
    try:
        made = OidcProvider(tmp_path_factory.mktemp("oidc"), {"clients": [client], "accounts": ACCOUNTS})
    except NoPackages as missing:
        pytest.skip(f"no login at a provider is tested here: {missing}")
    async with running(made):
        yield made


@pytest.fixture(scope="module")
def platform(offset: int, github: GitHubPeer, provider: OidcProvider) -> Iterator[Running]:
    """`push up` with a manifest that names both, its Secrets beside it."""
    with tempfile.TemporaryDirectory(prefix="push-") as folder:
        manifest = Path(folder) / "chat.yaml"
        manifest.write_text(yaml.safe_dump_all(_documents(offset, github, provider)))
        made = Platform(Path(folder), offset)
        made.up(manifest)
        try:
            made.until_ready(READY_SECONDS)
            yield Running(made)
        finally:
            code = made.end()
        assert code == INTERRUPTED, made.errors


def _documents(offset: int, github: GitHubPeer, provider: OidcProvider) -> list[dict[str, Any]]:
    providers = [
        {"name": "github", "credentialsSecret": "github", "redirectUrl": _redirect(offset, "github"),
         "url": github.url, "apiUrl": f"{github.url}/api"},
        {"name": "acme", "label": "Acme login", "credentialsSecret": "acme", "issuer": provider.issuer,
         "redirectUrl": _redirect(offset, "acme")},
    ]  # fmt: skip
    oauth = {"providers": providers, "returnUrls": [f"http://localhost:{8090 + offset}/"]}
    cluster = {
        "apiVersion": "pushcluster.io/v1alpha1", "kind": "PushCluster", "metadata": {"name": "chat"},
        "spec": {"gateway": {"replicas": 1}, "auth": {"oauth": oauth}},
    }  # fmt: skip
    return [cluster, _secret("github", CLIENT_ID, CLIENT_SECRET), _secret("acme", "platform", OIDC_SECRET)]


def _secret(name: str, client_id: str, client_secret: str) -> dict[str, Any]:
    values = {"CLIENT_ID": client_id, "CLIENT_SECRET": client_secret}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def _redirect(offset: int, name: str) -> str:
    return f"http://localhost:{PUBLIC_PORTS['auth'] + offset}/oauth/{name}/callback"


async def _chooses(person: Person, provider: str) -> None:
    await person.page.get_by_role("button", name=f"Continue with {provider}").click()


async def test_a_person_comes_in_by_github_and_again_by_another_provider(chromium: Browser, platform: Running) -> None:
    """Both have verified the same address: it is one person here."""
    first = await Person.at(chromium, platform.page)
    await _chooses(first, "GitHub")
    await first.page.get_by_role("link", name="Continue as ada").click()
    await first.connected()
    await expect(first.page.locator("#my-name")).to_have_text("Ada")
    assert first.page.url == platform.page  # the code is gone from it
    assert await first.page.context.cookies() == []  # and what bound the login to this browser
    second = await Person.at(chromium, platform.page)
    await _chooses(second, "Acme login")
    await second.page.locator("input[name=login]").fill("ada")
    await second.page.locator("input[name=password]").fill("any")
    await second.page.get_by_role("button", name="Sign-in").click()
    await second.page.get_by_role("button", name="Continue").click()
    await second.connected()
    assert await second.user_id() == await first.user_id()


async def test_what_goes_wrong_is_said_on_the_page(chromium: Browser, platform: Running) -> None:
    person = await Person.at(chromium, platform.page)
    await _chooses(person, "GitHub")
    await person.page.get_by_role("link", name="Cancel").click()
    await expect(person.page.get_by_role("alert")).to_have_text("The login was cancelled.")
    assert person.page.url == platform.page
    await _chooses(person, "GitHub")
    await person.page.get_by_role("link", name="Continue as shy").click()
    await expect(person.page.get_by_role("alert")).to_contain_text("no verified e-mail address")


async def test_another_browser_does_not_get_in_with_a_link_that_was_sent(
    chromium: Browser, platform: Running, github: GitHubPeer
) -> None:
    eve = await Person.at(chromium, platform.page)
    await _chooses(eve, "GitHub")
    link = await eve.page.get_by_role("link", name="Continue as ada").get_attribute("href")
    assert link is not None
    victim = await Person.at(chromium, platform.page)
    answer = await victim.page.goto(f"{github.url}/login/oauth/authorize{link}")
    assert answer is not None
    assert answer.status == 400
    await expect(victim.page.locator("body")).to_contain_text(re.compile("begun in this browser"))
