"""Templates: which text a device gets, and what its fields come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.errors import BadRequest, Unavailable
from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push.books.memory import MemoryBooks
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.rendering import Plain
from push_workloads.push.templated import SETTLE_MS, TemplateBook, Templated, worded
from push_workloads.push.templates import (
    BUILT_IN,
    MAX_LOCALES,
    SILENT,
    Template,
    Text,
    Values,
    check,
    checked_name,
    filled,
    text_for,
)

EN, DE, CH = Text("en"), Text("de"), Text("ch")
TEMPLATE = Template(EN, {"de": DE, "de-CH": CH})
VALUES = Values(
    "ann", "hi", "user:ann", "text", {"order": "A1", "to": {"city": "Bern", "no": 3}, "list": [1], "b": True}
)


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        (None, EN), ("", EN), ("en", EN), ("de", DE), ("de-AT", DE), ("de-CH", CH), ("de_CH", CH), ("DE-ch", CH),
        ("de-CH-1996", CH), ("de-Latn-AT-x", DE), ("d", EN), ("den", EN), ("-de", EN), ("-", EN),
    ],
)  # fmt: skip
def test_the_nearest_locale(locale: str | None, text: Text) -> None:
    assert text_for(TEMPLATE, locale) == text


@pytest.mark.parametrize(
    ("pattern", "comes_to"),
    [
        ("{sender}: {text}", "ann: hi"),
        ("{conversation}/{kind}", "user:ann/text"),
        ("Order {data.order}", "Order A1"),
        ("{data.to.city} {data.to.no}", "Bern 3"),
        ("[{data.none}{data.order.x}{data.to}{data.list}{data.b}]", "[]"),
        ("{{sender}} {sender}", "{sender} ann"),
        ("{sender.__class__}{text!r}{text:>9}{data}{0}{}", ""),
        ("no field", "no field"),
        (" {data.none} ", ""),
    ],
)
def test_fields_are_filled_in(pattern: str, comes_to: str) -> None:
    assert filled(pattern, VALUES, 100) == comes_to


@pytest.mark.parametrize("text", ["{sender}", "{{", "}", "{data.order}", "{0.__class__}"])
def test_what_is_filled_in_is_not_looked_at_again(text: str) -> None:
    assert filled("{text}", Values(text=text), 100) == text


def test_signs_that_steer_a_screen_are_left_out() -> None:
    assert filled("{text}", Values(text="a\x00b\x1b[2Jc\u202ed\r\ne\ud800"), 100) == "ab[2Jcd\ne"
    family = "👨\u200d👩\u200d👧"
    assert filled("{text}", Values(text=family), 100) == family


def test_a_long_text_is_cut() -> None:
    assert filled("{text}", Values(text="a" * 50), 10) == "a" * 9 + "…"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 40))
def test_nothing_raises_and_nothing_is_longer(pattern: str, text: str, limit: int) -> None:
    assert len(filled(pattern, Values(text=text), limit)) <= limit


@given(st.text(max_size=30))
def test_what_is_taken_is_all_filled_in(pattern: str) -> None:
    try:
        check(Template(Text("x", pattern)))
    except BadRequest:
        return
    braces = filled(pattern, Values(), 1000)
    assert "{" not in braces or "{{" in pattern


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (Template(), "default: a title, a body or both"),
        (Template(Text("{user}")), "default.title: {user} is no field"),
        (Template(Text("a", "{sender.name}")), "default.body: {sender.name} is no field"),
        (Template(Text("{data}")), "{data} is no field"),
        (Template(Text("{data.}")), "is no field"),
        (Template(Text("{data.a.b.c.d.e}")), "is no field"),
        (Template(Text("{text:>10}")), "is no field"),
        (Template(Text("{")), "a single {: write {{"),
        (Template(Text("a}")), "a single }: write }}"),
        (Template(EN, {"german": DE}), "'german' is no locale"),
        (Template(EN, {"de-CH": DE, "de-ch": CH}), "de-ch is there twice"),
        (Template(EN, {"de": Text()}), "locales.de: a title, a body or both"),
        (Template(EN, {f"a{chr(97 + n // 26)}{chr(97 + n % 26)}": DE for n in range(MAX_LOCALES + 1)}), "at most 50"),
        (Template(EN, silent=True), "silent: shows no text"),
    ],
)
def test_faults_are_named(template: Template, told: str) -> None:
    with pytest.raises(BadRequest) as raised:
        check(template)
    assert told in raised.value.message


@pytest.mark.parametrize("template", [*BUILT_IN.values(), TEMPLATE, Template(Text("{{{sender}}}", "{data.a.b-c.d_e}"))])
def test_good_ones(template: Template) -> None:
    check(template)


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 65, "ä", "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(BadRequest):
        checked_name(name)


PLAIN = Notification("m1", Show.ALERT, 99, title="plain", body="plain", badge=3)


def _job(kind: str = "text", hint: Hint | None = None, content: Any = "hi") -> PushJob:
    return PushJob("j1", "bob", "m1", "user:bob", 1, "ann", 5, content, hint, conversation="user:ann", kind=kind)


def test_a_message_in_the_words_of_its_template() -> None:
    made = worded(PLAIN, _job(), None, BUILT_IN["text"])
    assert (made.title, made.body, made.badge) == ("ann", "hi", 3)
    made = worded(PLAIN, _job("reaction", content="👍"), "de-AT", BUILT_IN["reaction"])
    assert made.body == "Hat mit 👍 reagiert"
    assert worded(PLAIN, _job(content={}), None, BUILT_IN["text"]).body is None


def test_the_senders_own_words_come_first() -> None:
    made = worded(PLAIN, _job(hint=Hint(title="{sender}")), "de", TEMPLATE)
    assert (made.title, made.body) == ("{sender}", None)
    assert worded(PLAIN, _job("edit", Hint(body="see")), None, SILENT).body == "see"


def test_data_comes_from_the_hint() -> None:
    template = Template(Text("Order {data.order}"))
    assert worded(PLAIN, _job(hint=Hint(data={"order": "A1"})), None, template).title == "Order A1"


def test_an_edit_shows_nothing() -> None:
    made = worded(PLAIN, _job("edit"), None, BUILT_IN["edit"])
    assert (made.show, made.title, made.body, made.badge) == (Show.BADGE, None, None, 3)


def test_nothing_to_say_shows_nothing() -> None:
    made = worded(PLAIN, _job("system", content={}), None, BUILT_IN["system"])
    assert (made.show, made.title, made.body) == (Show.BADGE, None, None)


async def test_a_template_that_was_just_made_elsewhere_is_waited_for() -> None:
    books, now = MemoryBooks(), 0
    book = TemplateBook(books)
    renderer = Templated(Plain(), book, lambda: now)
    phone = Device("bob", "phone", "fcm", "t", None, None, None, 1, 1, "de-AT")
    job = _job("offer", content=None)
    await books.put_template("offer", Template(Text("Offer"), {"de": Text("Angebot")}))
    with pytest.raises(Unavailable):
        renderer.render(job, phone, None)
    await book.read()
    assert renderer.render(job, phone, None).title == "Angebot"
    await books.remove_template("offer")
    await book.read()
    now = job.sent_at + SETTLE_MS
    assert renderer.render(job, phone, None).show is Show.BADGE
    assert renderer.render(_job(), phone, None).title == "ann"


def test_a_call_has_its_words_and_rings_without() -> None:
    rings = Notification("m1", Show.VOIP, 99)
    made = worded(rings, _job(), None, Template(Text("{sender} calls")))
    assert (made.show, made.title) == (Show.VOIP, "ann calls")
    for template in (SILENT, BUILT_IN["system"]):
        assert worded(rings, _job("system", content={}), None, template) == rings


@pytest.mark.parametrize("show", [Show.BACKGROUND, Show.BADGE])
def test_what_shows_no_words_gets_none(show: Show) -> None:
    silent = Notification("m1", show, 99)
    assert worded(silent, _job(), None, BUILT_IN["text"]) is silent
