"""Answers who may see whose presence (`questions.WATCH`), and keeps what users say of that.

What it costs: for one user who asks about others, three reads, and two more when contacts decide; with Cassandra, up to
four for each of the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from push_workloads.common import questions
from push_workloads.common.http import Call, Route
from push_workloads.common.questions import Watchable, WatchAsked
from push_workloads.common.subjects import token
from push_workloads.common.tasks import together
from push_workloads.message.groups.answers import MAX_BLOCKS
from push_workloads.message.groups.rights_api import Tell
from push_workloads.message.groups.store import GroupStore
from push_workloads.message.groups.visibility import Visibility, setting_of, sight
from push_workloads.message.model import conversation_key
from push_workloads.message.store import HistoryStore


class PrivacyView(Struct):
    """`presence`: to whom the user's is shown, as far as the platform shows anybody's: everyone, contacts (who share a
    group or a conversation with the user) or nobody."""

    presence: Visibility


class Watchers:
    """`policy`: how far presence goes at most."""

    def __init__(self, groups: GroupStore, history: HistoryStore, policy: Visibility) -> None:
        self._groups = groups
        self._history = history
        self._policy: Visibility = policy

    async def answer(self, asked: WatchAsked) -> Watchable:
        by_asker: dict[str, list[str]] = {}
        for asker, other in asked.pairs:
            by_asker.setdefault(asker, []).append(other)
        seen = await together(self._seen(asker, others) for asker, others in by_asker.items())
        by = dict(zip(by_asker, seen, strict=True))
        return Watchable([other in by[asker] for asker, other in asked.pairs])

    async def _seen(self, asker: str, others: Sequence[str]) -> frozenset[str]:
        if self._policy == "nobody":
            return frozenset({asker})
        blocked = {*await self._groups.blocks(asker, MAX_BLOCKS), *await self._groups.blockers(others, asker)}
        found = sight(asker, others, self._policy, await self._groups.visibilities(others), blocked)
        # Where contacts see each other all are looked up, whatever they have set: an answer that came sooner would tell
        # who hides or blocks from who was never there.
        looked_up = {*others} - {asker} if self._policy == "contacts" else found.to_contacts
        return found.shown | (found.to_contacts & await self._contacts(asker, sorted(looked_up)))

    async def _contacts(self, asker: str, others: Sequence[str]) -> frozenset[str]:
        """Those who share a conversation or a group with the asker."""
        if not others:
            return frozenset()
        keys = {conversation_key(asker, other): other for other in others}
        talked = {keys[key] for key in await self._history.latest(list(keys))}
        rest = [other for other in others if other not in talked]
        return frozenset(talked | (await self._groups.sharing(asker, rest) if rest else set()))


def privacy_routes(store: GroupStore, tell: Tell) -> list[Route]:
    async def mine(call: Call) -> PrivacyView:
        return PrivacyView(setting_of((await store.visibilities([call.user_id])).get(call.user_id)))

    async def put(call: Call) -> None:
        wanted: PrivacyView = call.body
        await store.put_visibility(call.user_id, wanted.presence)
        await tell(questions.PRIVACY_CHANGED + token(call.user_id))

    return [
        Route("GET", "/privacy", mine, "To whom the caller's presence is shown", PrivacyView),
        Route("PUT", "/privacy", put, "Shows the caller's presence to these only", None, PrivacyView),
    ]
