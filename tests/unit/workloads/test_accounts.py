"""Which e-mails, passwords and names are taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth import accounts
from push_workloads.auth.accounts import MAX_EMAIL_BYTES, email_of, given_password, name_of, new_password
from push_workloads.common.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM\n", "ada@example.com"),
        ("a.b+tag@sub.example.co.uk", "a.b+tag@sub.example.co.uk"),
        ("e\u0301@example.com", "\u00e9@example.com"),
        ("STRASSE@example.com", "strasse@example.com"),
        ("stra\u00dfe@example.com", "stra\u00dfe@example.com"),
    ],
)
def test_one_spelling(text: str, email: str) -> None:
    assert email_of(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example",
        "ada@@example.com",
        "ada@example..com",
        "a da@example.com",
        "ada@exam\u200bple.com",
        "ada\x00@example.com",
        '"ada"@example.com',
        "ada@example.com, eve@example.com",
        "<ada@example.com>",
        "a" * 65 + "@example.com",
        "a@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60 + "." + "f" * 60,
        "\ud800@example.com",
    ],
)
def test_no_email(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^email: "):
        email_of(text)


@given(st.text(max_size=300))
def test_an_email_is_refused_or_is_its_own_one_spelling(text: str) -> None:
    try:
        email = email_of(f"{text}@example.com")
    except BadRequest:
        return
    assert email_of(email) == email
    assert len(email.encode()) <= MAX_EMAIL_BYTES


@pytest.mark.parametrize("text", ["", "1234567", "é" * 3, "a" * 1025, "é" * 513, "\ud800" * 10])
def test_no_password(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^password: ") as refused:
        new_password(text)
    assert not text or text not in refused.value.message


@pytest.mark.parametrize("text", ["12345678", "éééé", "a" * 1024, " " * 8])
def test_password(text: str) -> None:
    assert new_password(text) == text.encode()


def test_a_password_is_the_same_however_the_keyboard_composes_it() -> None:
    assert given_password("cafe\u0301 noir") == given_password("caf\u00e9 noir")


def test_a_short_password_at_login_is_only_wrong() -> None:
    assert given_password("x") == b"x"


@pytest.mark.parametrize(
    ("text", "name"), [(None, None), ("", None), ("  ", None), (" Ada ", "Ada"), ("A" * 100, "A" * 100)]
)
def test_name(text: str | None, name: str | None) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize("text", ["A" * 101, "A\x00", "A\nB", "\ud800"])
def test_no_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^name: "):
        name_of(text)


@pytest.mark.parametrize("read", [email_of, given_password, new_password, name_of])
def test_what_is_much_too_long_is_not_even_normalised(
    read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes a time that grows with the square of the length."""
    monkeypatch.setattr(accounts, "unicodedata", None)
    with pytest.raises(BadRequest):
        read("\u0315\u0316" * 10_000)
