"""The demo page as people use it, against the platform as `push up` runs it."""

from __future__ import annotations

import json
import os
import re
import signal
from functools import partial

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.browser import PHONE, Person, two_people
from tests.e2e.running import Gateway, Running
from tests.support.waiting import eventually

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script> & <b>bold</b>'

SPOIL_TOKEN = """
const session = JSON.parse(sessionStorage.getItem("push.session"));
sessionStorage.setItem("push.session", JSON.stringify({ ...session, token: `x${session.token}` }));
"""

# One browser for the file, so one event loop too; every person gets a context of their own.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("windows_closed")]


async def test_two_people_talk(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await grace.knows_sent("Hello, Ada!")
    await ada.say("Hello, Grace!")
    await ada.knows_sent("Hello, Grace!")
    await grace.sees("Hello, Grace!")
    assert await ada.texts() == await grace.texts() == ["Hello, Ada!", "Hello, Grace!"]
    assert ada.complaints + grace.complaints == []


async def test_one_sees_who_is_online(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await expect(ada.page.locator("#peer-status")).to_have_text("Online", timeout=15_000)
    await expect(ada.page.locator(".person .avatar")).to_have_attribute("data-status", "online")
    await grace.page.get_by_role("button", name="Log out").click()
    await expect(ada.page.locator("#peer-status")).to_have_text("Offline", timeout=45_000)
    assert ada.complaints + grace.complaints == []


async def test_a_reload_keeps_login_conversation_and_history(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await ada.say("Before the reload")
    await ada.knows_sent("Before the reload")
    await ada.page.reload()
    await ada.connected()
    await ada.sees("Before the reload")
    await grace.say("After it")
    await ada.sees("After it")
    assert await ada.texts() == ["Hello, Ada!", "Before the reload", "After it"]
    assert ada.complaints + grace.complaints == []


async def test_older_messages_come_on_request(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    for number in range(60):
        await grace.say(f"line {number}")
    await grace.knows_sent("line 59")
    await ada.sees("line 59")
    await ada.page.reload()
    older = ada.page.get_by_role("button", name="Load older messages")
    await older.click()
    await expect(older).to_be_hidden()
    assert await ada.texts() == ["Hello, Ada!", *(f"line {number}" for number in range(60))]
    assert ada.complaints + grace.complaints == []


async def test_an_unread_message_is_counted_until_it_is_looked_at(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await ada.page.go_back()
    await expect(ada.page.get_by_text("No conversation is open.")).to_be_visible()
    await grace.say("Are you there?")
    await expect(ada.page.locator(".person .unread")).to_have_text("1")
    await expect(ada.page).to_have_title(re.compile(r"^\(1\) Ada"))
    await ada.page.locator(".person").click()
    await ada.sees("Are you there?")
    await expect(ada.page.locator(".person .unread")).to_be_hidden()


async def test_what_people_write_is_text(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await grace.say(HOSTILE)
    await ada.sees(HOSTILE)
    assert await ada.page.locator(".message :is(img, script, b)").count() == 0
    assert "owned" not in await ada.page.title()
    assert ada.complaints + grace.complaints == []


async def test_keys(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    draft = ada.page.get_by_role("textbox", name="Message")
    await draft.focus()
    await draft.press_sequentially("first")
    await draft.press("Shift+Enter")
    await draft.press_sequentially("second")
    await draft.press("Enter")
    await expect(grace.page.locator(".bubble").last).to_have_text("first\nsecond")
    await expect(draft).to_have_value("")


async def test_a_conversation_by_id(chromium: Browser, platform: Running) -> None:
    ada, grace = await Person.at(chromium, platform.page), await Person.at(chromium, platform.page)
    await ada.register("Ada")
    await grace.register("Grace")
    field = grace.page.get_by_label("New conversation")
    for nobody in ("two words", platform.page, await grace.user_id()):
        await field.fill(nobody)
        await field.press("Enter")
        await expect(grace.page.locator("#new-problem")).to_be_visible()
    await field.fill(await ada.user_id())
    await field.press("Enter")
    await expect(grace.page.locator("#new-problem")).to_be_hidden()
    await grace.page.get_by_role("button", name="Rename").click()
    await grace.page.get_by_label("Call this person").fill("Countess")
    await grace.page.get_by_role("button", name="Save").click()
    await expect(grace.page.get_by_role("heading", name="Countess")).to_be_visible()
    await expect(grace.page.locator(".person .name")).to_have_text("Countess")
    assert ada.complaints + grace.complaints == []


async def test_the_invitation_is_copied(chromium: Browser, platform: Running) -> None:
    ada = await Person.at(chromium, platform.page)
    await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.register("Ada")
    for button, copied in (("Copy id", await ada.user_id()), ("Copy link", await ada.link)):
        await ada.page.get_by_role("button", name=button).click()
        await expect(ada.page.get_by_role("button", name="Copied")).to_be_visible()
        assert await ada.page.evaluate("navigator.clipboard.readText()") == copied
        await expect(ada.page.get_by_role("button", name="Copied")).to_be_hidden()


async def test_what_cannot_be_sent_says_so_and_can_be_tried_again(chromium: Browser, platform: Running) -> None:
    ada, _ = await two_people(chromium, platform)
    await ada.say("x" * 70_000)
    failed = ada.page.locator(".message[data-state=failed]")
    await expect(failed).to_contain_text("Not sent: the message is over the limit")
    await failed.get_by_role("button", name="Try again").click()
    await expect(failed).to_contain_text("Not sent")
    await ada.say("shorter")
    await ada.knows_sent("shorter")


async def test_the_platform_is_shown(chromium: Browser, platform: Running) -> None:
    ada = await Person.at(chromium, platform.page)
    await ada.register("Ada")
    await expect(ada.page.locator("#health")).to_have_text("All ready")
    await ada.page.locator("#health").click()
    gateway = ada.page.get_by_role("row", name="gateway")
    await expect(gateway).to_contain_text("2 / 2")
    await ada.page.keyboard.press("Escape")
    await expect(gateway).to_be_hidden()


async def test_on_a_phone_one_pane_at_a_time(chromium: Browser, platform: Running) -> None:
    ada = await Person.at(chromium, platform.page)
    await ada.register("Ada")
    grace = await Person.at(chromium, await ada.link, PHONE)
    await grace.register("Grace")
    people, open_conversation = grace.page.locator(".people"), grace.page.locator("#open")
    await expect(open_conversation).to_be_visible()
    await expect(people).to_be_hidden()
    await grace.say("From my phone")
    await grace.knows_sent("From my phone")
    await grace.page.get_by_role("button", name="Back to conversations").click()
    await expect(people).to_be_visible()
    await expect(open_conversation).to_be_hidden()
    await grace.page.locator(".person").click()
    await grace.sees("From my phone")
    wider = await grace.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wider, "something is wider than the screen"
    assert grace.complaints == []


async def test_a_wrong_password_is_said_in_words(chromium: Browser, platform: Running) -> None:
    ada = await Person.at(chromium, platform.page)
    await ada.register("Ada")
    await ada.page.get_by_role("button", name="Log out").click()
    await ada.log_in("not the password")
    problem = ada.page.locator("#entrance-problem")
    await expect(problem).to_be_visible()
    assert "password" in (await problem.inner_text()).lower()
    await ada.log_in()
    await ada.connected()
    # The browser itself reports the 401 of the wrong password, and nothing else.
    assert len(ada.complaints) == 1
    assert "401" in ada.complaints[0]


async def test_the_token_is_in_no_address_and_no_lasting_storage(chromium: Browser, platform: Running) -> None:
    ada, _ = await two_people(chromium, platform)
    session = json.loads(await ada.page.evaluate("sessionStorage.getItem('push.session')"))
    kept = await ada.page.evaluate("JSON.stringify(localStorage) + document.cookie + document.body.outerHTML")
    assert session["token"] not in kept + ada.page.url


async def test_a_session_that_ended_leads_to_the_login(chromium: Browser, platform: Running) -> None:
    ada, _ = await two_people(chromium, platform)
    await ada.page.evaluate(SPOIL_TOKEN)
    await ada.page.reload()
    await expect(ada.page.locator("#entrance-problem")).to_contain_text("session has ended")
    await ada.log_in()
    await ada.sees("Hello, Ada!")


async def test_gateways_restart_and_nothing_is_lost_or_doubled(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    said = ["Hello, Ada!"]
    for gateway in await platform.gateways():
        os.kill(gateway.pid, signal.SIGTERM)
        for _ in range(10):  # while it leaves, and while the page is on its way to another
            said.append(f"message {len(said)}")
            await (ada if len(said) % 2 else grace).say(said[-1])
        await eventually(partial(_replaced, platform, gateway), within=60)
    for person in (ada, grace):
        await person.connected()
        assert person.sockets > 1, "both gateways were replaced, so each window had to connect again"
        for text in said:
            await person.sees(text)
            await person.knows_sent(text)
    assert sorted(await ada.texts()) == sorted(await grace.texts()) == sorted(said)
    await ada.page.reload()
    await ada.sees(said[-1])
    assert sorted(await ada.texts()) == sorted(said)


async def _replaced(platform: Running, gone: Gateway) -> bool:
    """All gateways are ready, and none of them is the one that was ended."""
    now = await platform.gateways()
    return len(now) == 2 and all(gateway.ready and gateway.pid != gone.pid for gateway in now)
