"""How the platform sends mails, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.fields import Node

LOG: Final = "log:"
_SENDER: Final = r"[!-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,253}"


@dataclass(frozen=True, slots=True)
class Mail:
    """`url`: of a mail server, or LOG for development. `reset_url`: the app's page for a new password. The Secret has
    the keys `username` and `password`."""

    url: str
    sender: str
    reset_url: str
    credentials_secret: str | None


def mail_of(node: Node) -> Mail | None:
    """What `spec.mail` asks for; None: no mails are sent, and nobody's password is reset."""
    url = LOG if node.raw("url") == LOG else node.url("url", ("smtp", "smtps"))
    made = Mail(
        url=url or "",
        sender=node.text("from", "", _SENDER, "an address such as push@example.com"),
        reset_url=node.root("resetUrl") or "",
        credentials_secret=node.name_of("credentialsSecret"),
    )
    if node.given:
        _whole(node)
    node.done()
    return made if node.given else None


def _whole(node: Node) -> None:
    for name, means in (
        ("url", "smtp://HOST:PORT, smtps://HOST:PORT, or log: for development"),
        ("from", "the address that mails come from"),
        ("resetUrl", "your app's page that sets a new password"),
    ):
        if not node.has(name):
            node.fault(name, f"required: {means}")
