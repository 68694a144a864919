"""How preferences are changed while others change them too."""

from __future__ import annotations

import pytest

from push_workloads.common.errors import Conflict, Unavailable
from push_workloads.push.preference_store import ATTEMPTS, Held, MemoryPreferences, change
from push_workloads.push.preferences import FOR_EVER, MAX_MUTES, Preferences, muted


class Contended(MemoryPreferences):
    """Somebody else mutes something before each of the first writes."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self._others = others
        self.writes = 0

    async def replace(self, user_id: str, preferences: Preferences, version: int | None) -> bool:
        self.writes += 1
        if self._others:
            self._others -= 1
            held = await self.held(user_id)
            other = muted(held.preferences, f"user:{self._others}", FOR_EVER, 0)
            assert await super().replace(user_id, other, held.version)
        return await super().replace(user_id, preferences, version)


def _mute(old: Preferences) -> Preferences:
    return muted(old, "user:mine", FOR_EVER, 0)


async def test_a_change_is_made_anew_from_what_there_is() -> None:
    store = Contended(ATTEMPTS - 1)
    made = await change(store, "ann", _mute)
    assert made.mutes.keys() == {"user:mine", *(f"user:{number}" for number in range(ATTEMPTS - 1))}
    assert (await store.held("ann")).preferences == made


async def test_it_does_not_go_on_for_ever() -> None:
    with pytest.raises(Unavailable):
        await change(Contended(ATTEMPTS), "ann", _mute)


async def test_what_changes_nothing_is_not_written() -> None:
    store = Contended(0)
    await change(store, "ann", lambda old: old)
    assert (store.writes, await store.held("ann")) == (0, Held())


async def test_what_is_refused_is_not_written() -> None:
    store = Contended(0)
    await store.replace("ann", Preferences(mutes={f"user:{number}": 0 for number in range(MAX_MUTES)}), None)
    with pytest.raises(Conflict):
        await change(store, "ann", _mute)
    assert store.writes == 1
