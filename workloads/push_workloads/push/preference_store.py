"""Where users' preferences are kept: the port, its twin in memory, and how they are changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from push_workloads.common.errors import Unavailable
from push_workloads.push.preferences import Preferences

ATTEMPTS: Final = 8


class Held(NamedTuple):
    """`version`: what a change is tied to; None while nothing is kept of the user."""

    preferences: Preferences = Preferences()
    version: int | None = None


class PreferenceStore(Protocol):
    """Each method may raise Unavailable; a write that returned survives a crash."""

    async def of_user(self, user_id: str) -> Preferences: ...

    async def held(self, user_id: str) -> Held:
        """The same, for who means to change them."""

    async def replace(self, user_id: str, preferences: Preferences, version: int | None) -> bool:
        """Whether the version was still that one; if not, nothing was changed. May be asked again after Unavailable:
        what it means to write is then there already, under another version."""

    async def forget(self, user_id: str) -> None: ...


async def change(store: PreferenceStore, user_id: str, made: Callable[[Preferences], Preferences]) -> Preferences:
    """What `made` makes of them is kept; raises what it raises. It is asked again when another change came between."""
    for _ in range(ATTEMPTS):
        held = await store.held(user_id)
        wanted = made(held.preferences)
        if wanted == held.preferences or await store.replace(user_id, wanted, held.version):
            return wanted
    raise Unavailable("your preferences are being changed by others; try again", retry_after_ms=1000)


class MemoryPreferences:
    """For tests."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    async def of_user(self, user_id: str) -> Preferences:
        return (await self.held(user_id)).preferences

    async def held(self, user_id: str) -> Held:
        return self._held.get(user_id, Held())

    async def replace(self, user_id: str, preferences: Preferences, version: int | None) -> bool:
        if (await self.held(user_id)).version != version:
            return False
        self._held[user_id] = Held(preferences, (version or 0) + 1)
        return True

    async def forget(self, user_id: str) -> None:
        self._held.pop(user_id, None)
