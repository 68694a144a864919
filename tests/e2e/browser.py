"""A person in front of the page, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.e2e.running import PASSWORD, Running, new_email

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE: Final = (1280, 800)
PHONE: Final = (390, 844)
PATIENCE_MS: Final = 15_000
# Chromium reports these as well, but only a page that listens can be sure to hear of them.
_REPORT_VIOLATIONS: Final = """
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`policy violation: ${violatedDirective} ${blockedURI}`));
"""


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"THE PAGE IS NOT TESTED: none of {', '.join(PROGRAMS)} is installed")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield running
        finally:
            await running.close()


@dataclass
class Person:
    """Someone with a window of their own.

    `complaints` is what the browser's console had to say, `sockets` how many WebSockets the page has opened.
    """

    page: Page
    email: str = field(default_factory=new_email)
    complaints: list[str] = field(default_factory=list)
    sockets: int = 0

    @classmethod
    async def at(cls, browser: Browser, address: str, size: tuple[int, int] = WIDE) -> Person:
        """Opens the page in a new context: own storage, as another person's browser has."""
        context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(_REPORT_VIOLATIONS)
        person = cls(await context.new_page())
        person.page.on("console", lambda line: person._note(line.type, line.text))
        person.page.on("pageerror", lambda error: person._note("error", str(error)))
        person.page.on("websocket", lambda _: person._count_socket())
        await person.page.goto(address)
        await expect(person.page.get_by_role("heading", name="PushCluster chat")).to_be_visible()
        return person

    def _count_socket(self) -> None:
        self.sockets += 1

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def register(self, name: str) -> None:
        await self.page.get_by_role("radio", name="New account").check(force=True)  # its label is what shows
        await self.page.get_by_label("Name", exact=True).fill(name)
        await self._enter("Create account", PASSWORD)
        await self.connected()

    async def log_in(self, password: str = PASSWORD) -> None:
        await self.page.get_by_role("radio", name="Log in").check(force=True)
        await self._enter("Log in", password)

    async def _enter(self, button: str, password: str) -> None:
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name=button).click()

    async def connected(self) -> None:
        await expect(self.page.locator("#connection")).to_have_attribute("data-state", "connected")

    @property
    async def link(self) -> str:
        return await self.page.get_by_label("Link that opens a conversation with you").input_value()

    async def user_id(self) -> str:
        return await self.page.locator("#my-id").input_value()

    async def say(self, text: str) -> None:
        draft = self.page.get_by_role("textbox", name="Message")
        await draft.fill(text)
        await draft.press("Enter")

    def message(self, text: str) -> Locator:
        """The line of the conversation that says exactly this."""
        return self.page.locator(".message").filter(has=self.page.locator(".bubble").get_by_text(text, exact=True))

    async def sees(self, text: str) -> None:
        await expect(self.message(text)).to_be_visible()

    async def knows_sent(self, text: str) -> None:
        await expect(self.message(text)).to_have_attribute("data-state", "sent")

    async def opens_menu_of(self, text: str) -> None:
        await self.message(text).hover()
        await self.message(text).get_by_role("button", name="React, edit or delete").click()

    async def texts(self) -> list[str]:
        return await self.page.locator(".message .bubble").all_inner_texts()


async def two_people(chromium: Browser, platform: Running) -> tuple[Person, Person]:
    """Ada, and Grace who came by Ada's link; the conversation is open in both windows."""
    ada = await Person.at(chromium, platform.page)
    await ada.register("Ada")
    grace = await Person.at(chromium, await ada.link)
    await grace.register("Grace")
    await expect(grace.page.get_by_role("heading", name="Ada", exact=True)).to_be_visible()
    await grace.say("Hello, Ada!")
    await ada.page.locator(".person").click()
    await ada.sees("Hello, Ada!")
    return ada, grace
