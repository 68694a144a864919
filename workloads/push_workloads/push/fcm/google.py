"""What pyfcm and google-auth do for us: the token of a service account, and the message in FCM's own form. Importing
them costs time and memory: only where FCM is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from pyfcm import FCMNotification

from push_workloads.push.fcm.access import REQUEST_SECONDS, SCOPE, Token
from push_workloads.push.fcm.payload import Words


class ServiceAccount:
    """A Source."""

    def __init__(self, account: Mapping[str, Any]) -> None:
        self.credentials = Credentials.from_service_account_info(account, scopes=[SCOPE])  # type: ignore[no-untyped-call]

    def fetch(self) -> Token:
        """Raises ValueError, with the cause in general words: Google's may repeat what was sent."""
        with requests.Session() as session:
            try:
                self.credentials.refresh(partial(Request(session), timeout=REQUEST_SECONDS))
            except GoogleAuthError as error:
                raise ValueError(f"the token endpoint did not give one ({type(error).__name__})") from error
        expiry = self.credentials.expiry  # of UTC, and naive
        left = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return Token(self.credentials.token, time.monotonic() + left)


def builder(account: ServiceAccount) -> Callable[[Words], bytes]:
    """What makes a message of its words. It sends nothing: pyfcm's own sending blocks, and repeats what it is not sure
    of."""
    built: Callable[..., bytes] = FCMNotification(credentials=account.credentials).parse_payload
    return lambda words: built(**words)
