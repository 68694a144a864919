"""Mails go to a server over TLS that is checked, and a password over nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.smtp import certified, mail_server

from push_workloads.auth.mail import Letter, MailConfig, MailError, SmtpMailer

LETTER = Letter("ada@example.com", "Your new password", "Open this: https://chat.example.com/reset#reset_token=é")


def _mailer(scheme: str, port: int) -> SmtpMailer:
    url = f"{scheme}://127.0.0.1:{port}"
    return SmtpMailer(MailConfig(url, "push@example.com", "https://chat.example.com/reset", "push", "secret"))


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_login_goes_over_tls(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    way = {"starttls": context} if scheme == "smtp" else {"tls": context}
    async with mail_server(**way) as server:
        await _mailer(scheme, server.port).send(LETTER)
    assert server.asked_to_log_in == 1
    (mail,) = server.mails
    assert (mail["To"], mail["Subject"], mail.get_content().strip()) == LETTER


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(scheme: str, tmp_path: Path) -> None:
    context, _ = certified(tmp_path)
    way = {"starttls": context} if scheme == "smtp" else {"tls": context}
    async with mail_server(**way) as server:
        with pytest.raises(MailError, match="SSLCertVerificationError"):
            await _mailer(scheme, server.port).send(LETTER)
    assert (server.mails, server.asked_to_log_in) == ([], 0)


@pytest.mark.parametrize("to", ["ada@example.com\nBcc: eve@example.com", "ada@example.com\r\n\r\nhello"])
async def test_nothing_is_smuggled_into_a_header(to: str) -> None:
    async with mail_server() as server:
        with pytest.raises(MailError, match="ValueError"):
            await _mailer("smtp", server.port).send(LETTER._replace(to=to))
    assert server.mails == []


async def test_a_server_that_is_not_there() -> None:
    async with mail_server() as server:
        port = server.port
    with pytest.raises(MailError, match="ConnectionRefusedError"):
        await _mailer("smtp", port).send(LETTER)
