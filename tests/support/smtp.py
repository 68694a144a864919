"""A mail server for tests: takes every mail and keeps it, or refuses as it is told to."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from tests.support.waiting import eventually


class MailServer:
    """RFC 5321, as far as a client needs it. `refusals`: how many mails it refuses before it takes one."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.refusals = 0
        self.asked_to_log_in = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def mail(self, number: int = 1) -> EmailMessage:
        """That one, once it has come."""
        await eventually(lambda: len(self.mails) >= number)
        return self.mails[number - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        try:
            while line := (await reader.readline()).upper().strip():
                writer.write(await self._answer(line, reader, writer))
                if line == b"QUIT":
                    break
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-test\r\n250 AUTH PLAIN\r\n"
        if line.startswith(b"AUTH"):
            self.asked_to_log_in += 1
            return b"235 in\r\n"
        if line.startswith(b"MAIL") and self.refusals:
            self.refusals -= 1
            return b"451 later\r\n"
        if line == b"QUIT":
            return b"221 bye\r\n"
        if line != b"DATA":
            return b"250 ok\r\n"
        writer.write(b"354 go\r\n")
        raw = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
        self.mails.append(email.message_from_bytes(raw, policy=email.policy.default))
        return b"250 taken\r\n"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    made = MailServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made
