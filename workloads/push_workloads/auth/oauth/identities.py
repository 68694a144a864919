"""Identities: which person at which provider is which user here. The port, and its twin in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from push_workloads.common.errors import Conflict

TAKEN: Final = "that login belongs to an account here already"


@dataclass(frozen=True, slots=True)
class Identity:
    """`email`: the verified one that the provider told when it was linked. `founding`: the account was made by it.
    `linked_at` is Unix milliseconds."""

    provider: str
    subject: str
    user_id: str
    email: str | None
    founding: bool
    linked_at: int


class Identities(Protocol):
    """Each method may raise Unavailable."""

    async def add(self, identity: Identity) -> None:
        """Raises Conflict when that person is somebody's already; of several at once, exactly one is added."""

    async def find(self, provider: str, subject: str) -> Identity | None: ...

    async def of_user(self, user_id: str) -> list[Identity]: ...

    async def remove(self, identity: Identity) -> bool:
        """False: that user did not have it."""


class MemoryIdentities:
    """For tests."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Identity] = {}

    async def add(self, identity: Identity) -> None:
        key = (identity.provider, identity.subject)
        if self._held.setdefault(key, identity) is not identity:
            raise Conflict(TAKEN)

    async def find(self, provider: str, subject: str) -> Identity | None:
        return self._held.get((provider, subject))

    async def of_user(self, user_id: str) -> list[Identity]:
        return [one for one in self._held.values() if one.user_id == user_id]

    async def remove(self, identity: Identity) -> bool:
        key = (identity.provider, identity.subject)
        held = self._held.get(key)
        if held is None or held.user_id != identity.user_id:
            return False
        del self._held[key]
        return True
