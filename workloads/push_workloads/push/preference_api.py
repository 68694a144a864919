"""Preferences over HTTP: quiet hours and mutes, of the caller."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from push_workloads.common.http import Call, Route
from push_workloads.push.preference_store import PreferenceStore, change
from push_workloads.push.preferences import (
    MAX_MUTES,
    Preferences,
    QuietHours,
    lasting,
    muted,
    quieted,
    unmuted,
)


class NewPreferences(Struct):
    """`quiet`: null for no quiet hours. Mutes stay as they are: they have a path of their own."""

    quiet: QuietHours | None


class NewMute(Struct):
    """`until`: Unix milliseconds, 0 for ever."""

    until: int


class PreferencesView(Struct):
    """`mutes`: conversation (`user:ID`, `group:ID`, or `*` for all) → until when, Unix milliseconds, 0 for ever."""

    quiet: QuietHours | None
    mutes: dict[str, int]


def preference_routes(store: PreferenceStore, now_ms: Callable[[], int]) -> list[Route]:
    def shown(preferences: Preferences) -> PreferencesView:
        return PreferencesView(preferences.quiet, lasting(preferences.mutes, now_ms()))

    async def preferences(call: Call) -> PreferencesView:
        return shown(await store.of_user(call.user_id))

    async def put(call: Call) -> PreferencesView:
        asked: NewPreferences = call.body
        return shown(await change(store, call.user_id, lambda old: quieted(old, asked.quiet, now_ms())))

    async def mute(call: Call) -> PreferencesView:
        conversation, until = call.path["conversation"], call.body.until
        return shown(await change(store, call.user_id, lambda old: muted(old, conversation, until, now_ms())))

    async def unmute(call: Call) -> None:
        await change(store, call.user_id, lambda old: unmuted(old, call.path["conversation"], now_ms()))

    path, said = "/preferences", "The caller's quiet hours and mutes"
    one = f"{path}/mutes/{{conversation}}"
    return [
        Route("GET", path, preferences, said, PreferencesView),
        Route("PUT", path, put, "Sets the caller's quiet hours", PreferencesView, NewPreferences),
        Route(
            "PUT",
            one,
            mute,
            f"Sends the caller nothing of a conversation, of at most {MAX_MUTES} of them",
            PreferencesView,
            NewMute,
            errors=(409,),
        ),
        Route("DELETE", one, unmute, "Sends the caller notifications of it again", None, errors=(400,)),
    ]
