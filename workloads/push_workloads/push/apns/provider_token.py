"""Who we are to Apple: a token that we sign ourselves, one for all connections of a key.

Apple takes one for an hour and answers TooManyProviderTokenUpdates to whoever makes new ones more often than every
20 minutes, which a token for each connection would do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jwt
from aioapns.connection import AuthorizationHeaderProvider

from push_workloads.push.apns.config import ApnsConfig

RENEW_SECONDS: Final = 50 * 60
LEAST_SECONDS: Final = 20 * 60


class ProviderToken(AuthorizationHeaderProvider):
    """`clock`: Unix seconds."""

    def __init__(self, config: ApnsConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._header = ""
        self._issued_at = float("-inf")
        self._forced_at = float("-inf")

    def get_header(self) -> str:
        """The value of `authorization`: the same one for 50 minutes. A clock that was set back makes it anew."""
        now = self._clock()
        if not 0 <= now - self._issued_at < RENEW_SECONDS:
            self._issue(now)
        return self._header

    def renew(self, refused: str) -> bool:
        """Apple says that `refused` has expired: whether there is another one to try. However many requests are told
        so at once, one new token is made, and not again for 20 minutes: then it is the clock that is wrong."""
        if self._header != refused:
            return True
        now = self._clock()
        if 0 <= now - self._forced_at < LEAST_SECONDS:
            return False
        self._forced_at = now
        self._issue(now)
        return True

    def _issue(self, now: float) -> None:
        self._issued_at = now
        claims = {"iss": self._config.team_id, "iat": int(now)}
        token = jwt.encode(claims, self._config.key, "ES256", headers={"kid": self._config.key_id})
        self._header = f"bearer {token}"
