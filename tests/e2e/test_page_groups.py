"""The demo page beyond two people: groups, ticks, typing, changes of messages, blocks."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.browser import Person, two_people
from tests.e2e.running import Running

# One browser for the file, so one event loop too; every person gets a context of their own.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("windows_closed")]


async def a_group(chromium: Browser, platform: Running) -> tuple[Person, Person]:
    """Ada's group, with Grace in it; it is open in both windows."""
    ada, grace = await two_people(chromium, platform)
    await ada.page.get_by_label("New group").fill("Engines")
    await ada.page.get_by_role("button", name="Create", exact=True).click()
    await expect(ada.page.get_by_role("heading", name="Engines")).to_be_visible()
    await ada.page.get_by_role("button", name="Members").click()
    await ada.page.get_by_label("Add somebody").fill(await grace.user_id())
    await ada.page.get_by_role("button", name="Add", exact=True).click()
    await expect(ada.page.locator("#group-members .member")).to_have_count(2)
    await ada.page.get_by_role("button", name="Members").click()
    await grace.page.locator(".person", has_text="Engines").click()
    await expect(grace.page.get_by_role("heading", name="Engines")).to_be_visible()
    return ada, grace


async def test_a_group_talks(chromium: Browser, platform: Running) -> None:
    ada, grace = await a_group(chromium, platform)
    await grace.say("Hello, all!")
    await grace.knows_sent("Hello, all!")
    await ada.sees("Hello, all!")
    await ada.say("Hello, Grace!")
    await grace.sees("Hello, Grace!")
    assert await ada.texts() == await grace.texts() == ["Hello, all!", "Hello, Grace!"]
    await expect(grace.page.locator("#messages .day", has_text="added")).to_be_visible()
    await ada.page.reload()
    await ada.sees("Hello, Grace!")
    await expect(ada.page.get_by_role("heading", name="Engines")).to_be_visible()
    assert ada.complaints + grace.complaints == []


async def test_what_is_unread_in_a_group_is_counted_and_outlives_a_reload(chromium: Browser, platform: Running) -> None:
    ada, grace = await a_group(chromium, platform)
    await ada.page.locator(".person").filter(has_not_text="Engines").click()
    for text in ("one", "two"):
        await grace.say(text)
    unread = ada.page.locator(".person", has_text="Engines").locator(".unread")
    await expect(unread).to_have_text("2")
    await ada.page.reload()
    await expect(unread).to_have_text("2")
    await ada.page.locator(".person", has_text="Engines").click()
    await ada.sees("two")
    await expect(unread).to_be_hidden()
    await expect(grace.message("two")).to_have_attribute("data-mark", "read")


async def test_a_group_is_renamed_and_left(chromium: Browser, platform: Running) -> None:
    ada, grace = await a_group(chromium, platform)
    await ada.page.get_by_role("button", name="Members").click()
    await ada.page.get_by_label("Name of the group").fill("Difference engines")
    await ada.page.get_by_role("button", name="Rename", exact=True).click()
    await expect(grace.page.get_by_role("heading", name="Difference engines")).to_be_visible()
    await grace.page.get_by_role("button", name="Members").click()
    await expect(grace.page.get_by_label("Add somebody")).to_be_hidden()
    await grace.page.get_by_role("button", name="Leave the group").click()
    await expect(grace.page.locator(".person", has_text="Difference engines")).to_have_count(0)
    await expect(ada.page.locator("#group-members .member")).to_have_count(1)
    await expect(ada.page.locator("#messages .day", has_text="left")).to_be_visible()
    assert ada.complaints + grace.complaints == []


async def test_who_is_removed_is_told(chromium: Browser, platform: Running) -> None:
    ada, grace = await a_group(chromium, platform)
    await ada.page.get_by_role("button", name="Members").click()
    await ada.page.locator(".member").get_by_role("button", name="Remove").click()
    await expect(grace.page.locator("#banner-text")).to_contain_text("You are not in “Engines” any more")
    await expect(grace.page.locator("#nothing")).to_be_visible()
    await ada.page.get_by_role("button", name="Delete the group").click()
    await expect(ada.page.locator(".person", has_text="Engines")).to_have_count(0)


async def test_ticks_say_sent_delivered_and_read(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await expect(grace.message("Hello, Ada!")).to_have_attribute("data-mark", "read")
    await ada.page.go_back()
    await grace.say("Are you there?")
    await expect(grace.message("Are you there?")).to_have_attribute("data-mark", "delivered")
    await ada.page.locator(".person").click()
    await expect(grace.message("Are you there?")).to_have_attribute("data-mark", "read")
    await grace.page.reload()
    await expect(grace.message("Are you there?")).to_have_attribute("data-mark", "read")
    assert ada.complaints + grace.complaints == []


async def test_one_sees_who_types(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await grace.page.get_by_role("textbox", name="Message").press_sequentially("Hel")
    await expect(ada.page.locator("#peer-status")).to_have_text("typing…")
    await expect(ada.page.locator("#peer-status")).not_to_have_text("typing…")


async def test_a_message_is_edited_reacted_to_and_deleted(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await grace.opens_menu_of("Hello, Ada!")
    await grace.page.get_by_role("button", name="Edit", exact=True).click()
    await grace.say("Good morning, Ada!")
    await ada.sees("Good morning, Ada!")
    await expect(ada.message("Good morning, Ada!").locator(".edited")).to_be_visible()

    await ada.opens_menu_of("Good morning, Ada!")
    await expect(ada.page.locator("#menu-edit")).to_be_hidden()
    await ada.page.get_by_role("button", name="React with 🎉").click()
    chip = grace.message("Good morning, Ada!").locator(".reaction")
    await expect(chip).to_have_text("🎉 1")
    await chip.click()
    await expect(ada.message("Good morning, Ada!").locator(".reaction")).to_have_text("🎉 2")
    await ada.page.reload()
    await expect(ada.message("Good morning, Ada!").locator(".reaction")).to_have_text("🎉 2")

    await grace.opens_menu_of("Good morning, Ada!")
    await grace.page.get_by_role("button", name="Delete", exact=True).click()
    await ada.sees("This message was deleted")
    assert await ada.texts() == ["This message was deleted"]
    assert ada.complaints + grace.complaints == []


async def test_who_is_blocked_is_told_and_may_write_again_afterwards(chromium: Browser, platform: Running) -> None:
    ada, grace = await two_people(chromium, platform)
    await ada.page.get_by_role("button", name="Block", exact=True).click()
    await expect(ada.page.get_by_role("button", name="Unblock")).to_be_visible()
    await grace.say("Hello?")
    await expect(grace.message("Hello?")).to_contain_text("Not sent")
    await ada.page.get_by_role("button", name="Unblock").click()
    await expect(ada.page.get_by_role("button", name="Block", exact=True)).to_be_visible()
    await grace.message("Hello?").get_by_role("button", name="Try again").click()
    await ada.sees("Hello?")
