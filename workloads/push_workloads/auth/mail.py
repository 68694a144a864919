"""Mails: how they are handed to a server, and what is done when it does not take them.

Whoever asks for one is answered before anything is looked up: how long it takes tells nobody whether there is such an
account.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter

from push_workloads.common.errors import PushError, Unavailable
from push_workloads.common.tasks import Spawner

SMTP_SECONDS: Final = 10.0  # each answer of the server
MAX_WAITING: Final = 1000  # mails; over it they are dropped and counted
AT_ONCE: Final = 4
PAUSES_SECONDS: Final = (1.0, 5.0, 30.0)  # between the tries of one mail
LOG: Final = "log:"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MailConfig:
    """`url`: smtp://HOST:PORT (TLS by STARTTLS where the server offers it), smtps://HOST:PORT, or LOG for development.
    `reset_url`: the app's page that sets a new password."""

    url: str
    sender: str
    reset_url: str
    user: str | None
    password: str | None


class Letter(NamedTuple):
    to: str
    subject: str
    text: str


class MailError(Exception):
    """The server did not take it."""


class Mailer(Protocol):
    async def send(self, letter: Letter) -> None:
        """Raises MailError."""


class LogMailer:
    """For development: what opens an account is then in the log, where everybody who reads logs finds it."""

    async def send(self, letter: Letter) -> None:
        _log.warning("a mail, which nobody is sent: %s", letter.text, extra={"subject": letter.subject})


class SmtpMailer:
    """One connection a mail (RFC 5321), in a thread: the standard library's client blocks."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config
        parts = urlsplit(config.url)
        self._tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "", parts.port or (465 if self._tls else 587)
        self._context = ssl.create_default_context()

    async def send(self, letter: Letter) -> None:
        try:
            await asyncio.to_thread(self._send, _message(letter, self._config.sender))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise MailError(_cause(error)) from error

    def _send(self, message: EmailMessage) -> None:
        server = self._connected()
        try:
            self._log_in(server)
            server.send_message(message)
        finally:
            server.close()  # no QUIT: what comes of that must not make a mail that was taken go out again

    def _log_in(self, server: smtplib.SMTP) -> None:
        secure = self._tls
        if not secure and server.has_extn("starttls"):
            server.starttls(context=self._context)
            server.ehlo()
            secure = True
        if self._config.user and self._config.password:
            if not secure:
                raise MailError("it offers no TLS: a password is not sent without")
            server.login(self._config.user, self._config.password)

    def _connected(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=SMTP_SECONDS, context=self._context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=SMTP_SECONDS)
        server.ehlo()
        return server


def mailer_of(config: MailConfig) -> Mailer:
    return LogMailer() if config.url == LOG else SmtpMailer(config)


class Post:
    """Writes and sends mails beside the requests that ask for them: bounded, and tried several times."""

    def __init__(
        self, mailer: Mailer, registry: CollectorRegistry, pauses_seconds: tuple[float, ...] = PAUSES_SECONDS
    ) -> None:
        self._mailer = mailer
        self._pauses_seconds = pauses_seconds
        self._spawner = Spawner()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._outcomes = Counter("push_auth_mails", "Mails by outcome", ["outcome"], registry=registry)

    def soon(self, write: Callable[[], Awaitable[Letter | None]]) -> None:
        """Takes on a mail, which `write` gives when its turn comes; None: there is none to be sent."""
        if self._waiting >= MAX_WAITING:
            self._outcomes.labels("dropped").inc()
            return
        self._waiting += 1
        self._spawner.spawn(self._deliver(write))

    async def close(self) -> None:
        await self._spawner.close()

    async def _deliver(self, write: Callable[[], Awaitable[Letter | None]]) -> None:
        try:
            async with self._turn:
                letter = await write()
            if letter is not None:
                await self._try(letter)
        except PushError as error:
            self._outcomes.labels(error.code).inc()
        finally:
            self._waiting -= 1

    async def _try(self, letter: Letter) -> None:
        """The cause is logged; neither to whom it goes, nor what is in it."""
        for pause in (*self._pauses_seconds, None):
            try:
                async with self._turn:
                    await self._mailer.send(letter)
                self._outcomes.labels("ok").inc()
                return
            except MailError as error:
                _log.warning("the mail server does not take a mail: %s", error)
                if pause is None:
                    self._outcomes.labels("failed").inc()
                    return
            await asyncio.sleep(pause)


@asynccontextmanager
async def posting(config: MailConfig | None, registry: CollectorRegistry) -> AsyncIterator[Post | None]:
    """Sends mails while the context is open; those that wait then are lost, and can be asked for again."""
    if config is None:
        yield None
        return
    post = Post(mailer_of(config), registry)
    try:
        yield post
    finally:
        await post.close()


def no_mailer() -> Unavailable:
    return Unavailable("this platform sends no mails: set `mail` in its manifest to have passwords reset")


def _message(letter: Letter, sender: str) -> EmailMessage:
    """Raises ValueError for what cannot stand in a header."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered to it
    message.set_content(letter.text)
    return message


def _cause(error: Exception) -> str:
    """Without what an answer may repeat of addresses."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    return type(error).__name__
