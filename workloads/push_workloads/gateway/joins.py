"""The channels that one client has joined beside its inbox, and the replays of all that it reads."""

from __future__ import annotations

import asyncio
from functools import partial

from push_workloads.common.tasks import Spawner
from push_workloads.gateway.actions import Recover
from push_workloads.gateway.catchup import CatchUp, Reader
from push_workloads.gateway.hub import Channel, Hub, Member
from push_workloads.gateway.reading import Reading
from push_workloads.gateway.session import Session


class Joins:
    """Both by the channel's name."""

    __slots__ = ("_channels", "_hub", "_replays")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._channels: dict[str, Channel] = {}
        self._replays: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._channels)

    def join(self, member: Member, reading: Reading) -> Channel:
        """The channel of a reading, joined unless it is already."""
        if reading.channel not in self._channels:
            self._channels[reading.channel] = self._hub.join(member, reading.channel, reading.subject)
        return self._channels[reading.channel]

    def replay(
        self, catchup: CatchUp, spawner: Spawner, reader: Reader, session: Session, channel: Channel, request: Recover
    ) -> None:
        """In place of one that is under way."""
        self._stop(channel.name)
        self._replays[channel.name] = task = spawner.spawn(catchup.run(reader, session, channel, request))
        task.add_done_callback(partial(self._ended, channel.name))

    def leave(self, member: Member, name: str) -> None:
        channel = self._channels.pop(name, None)
        if channel is not None:
            self._hub.leave(member, channel)
        self._stop(name)

    def close(self, member: Member) -> None:
        for name in {*self._channels, *self._replays}:
            self.leave(member, name)

    def _stop(self, name: str) -> None:
        replay = self._replays.pop(name, None)
        if replay is not None:
            replay.cancel()

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._replays.get(name) is task:
            del self._replays[name]
