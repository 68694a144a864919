"""What an account is, and which e-mails, passwords and names are taken. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from push_workloads.common.errors import BadRequest, PushError

MAX_EMAIL_BYTES = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
MIN_PASSWORD_BYTES, MAX_PASSWORD_BYTES = 8, 1024
MAX_NAME = 100
# Loose on purpose: only sending to an address proves it. What must not pass is what two readers could read differently.
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\\\]]{1,64}@(?:[^\s@.\"(),:;<>\[\\\]]{1,63}\.)+[^\s@.\"(),:;<>\[\\\]]{2,63}")


class BadCredentials(PushError):
    """Unknown e-mail or wrong password: one answer, so that nobody can ask which accounts exist."""

    code = "bad_credentials"
    status = 401


def wrong() -> BadCredentials:
    return BadCredentials("the e-mail or the password is wrong")


@dataclass(frozen=True, slots=True)
class Account:
    """`email` is normalised and unique; `created_at` is Unix milliseconds."""

    id: str
    email: str
    name: str | None
    password_hash: str
    created_at: int


def email_of(text: str) -> str:
    """The one spelling of an e-mail address: NFC, trimmed, lower case. BadRequest when it is none.

    Lower case and not case folding: folding makes `ß` into `ss`, and thereby two people's addresses into one.
    """
    _bounded(text, MAX_EMAIL_BYTES, f"email: at most {MAX_EMAIL_BYTES} bytes")
    email = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).strip().lower())
    if not email.isprintable() or len(email.encode()) > MAX_EMAIL_BYTES or not _EMAIL.fullmatch(email):
        raise BadRequest(f"email: an address such as ada@example.com, at most {MAX_EMAIL_BYTES} bytes")
    return email


def new_password(text: str) -> bytes:
    """A password that may be set, as what is hashed."""
    password = given_password(text)
    if len(password) < MIN_PASSWORD_BYTES:
        raise BadRequest(f"password: {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")
    return password


def given_password(text: str) -> bytes:
    """A password as given at login, as what is hashed: NFC, since keyboards differ in how they compose (RFC 8265)."""
    _bounded(text, MAX_PASSWORD_BYTES, f"password: {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")
    try:
        password = unicodedata.normalize("NFC", text).encode()
    except UnicodeEncodeError as error:
        raise BadRequest("password: must be valid Unicode text") from error
    if len(password) > MAX_PASSWORD_BYTES:
        raise BadRequest(f"password: {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")
    return password


def name_of(text: str | None) -> str | None:
    """A name to show: NFC, trimmed, printable; None when none was given."""
    _bounded(text or "", MAX_NAME, f"name: at most {MAX_NAME} printable characters")
    name = unicodedata.normalize("NFC", text or "").strip()
    if len(name) > MAX_NAME or not name.isprintable():
        raise BadRequest(f"name: at most {MAX_NAME} printable characters")
    return name or None


def _bounded(text: str, most: int, refusal: str) -> None:
    """Before it is normalised, which takes a time that grows with the square of the length; it may shrink by that."""
    if len(text) > 4 * most:
        raise BadRequest(refusal)
