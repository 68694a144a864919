"""Which tokens are good no more although they have not expired: what every process remembers of it. Pure."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.issuers import NOT_VALID
from push_workloads.common.tokens import Identity


class Revocation(Struct, frozen=True, omit_defaults=True, gc=False):
    """The tokens of one session; `session_id` None: all of the user's that were issued until `before`. It counts until
    `until`, when the last of them has expired. Both in Unix seconds."""

    user_id: str
    session_id: str | None
    until: int
    before: int = 0


class Revocations:
    """Some 200 bytes for each session that was ended before its token expired: with tokens of 15 minutes, for as many
    as end in 15 minutes. `complete`: all that there were at the start were added."""

    def __init__(self) -> None:
        self.complete = False
        self._sessions: dict[str, int] = {}
        self._users: dict[str, tuple[int, int]] = {}  # issued until, counts until

    def __len__(self) -> int:
        return len(self._sessions) + len(self._users)

    def add(self, one: Revocation) -> bool:
        """False: it was known."""
        if one.session_id is not None:
            known = self._sessions.get(one.session_id, 0)
            self._sessions[one.session_id] = max(known, one.until)
            return not known
        before, until = self._users.get(one.user_id, (-1, 0))
        self._users[one.user_id] = (max(before, one.before), max(until, one.until))
        return one.before > before

    def hold(self, user_id: str, session_id: str | None, issued_at: int) -> bool:
        """Is a token revoked that was issued to this user, in that session, then (Unix seconds)?"""
        if session_id in self._sessions:
            return True
        before, _ = self._users.get(user_id, (-1, 0))
        return issued_at <= before

    def sweep(self, now: int) -> None:
        """Forgets what counts no more; `now` in Unix seconds."""
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        self._users = {key: (before, until) for key, (before, until) in self._users.items() if until > now}


class Verifier(Protocol):
    def verify(self, text: str | None) -> Identity:
        """The identity behind a token; raises Unauthorized."""


class Unrevoked:
    """Tokens that are valid and not revoked. Nobody is let in before it is known which are: Unavailable."""

    def __init__(self, tokens: Verifier, revocations: Revocations) -> None:
        self._tokens = tokens
        self.revocations = revocations

    def verify(self, text: str | None) -> Identity:
        identity = self._tokens.verify(text)
        if not self.revocations.complete:
            raise Unavailable("which tokens are revoked is not known yet; try again", retry_after_ms=1000)
        if self.revocations.hold(identity.user_id, identity.session_id, identity.issued_at):
            raise Unauthorized(NOT_VALID)
        return identity
