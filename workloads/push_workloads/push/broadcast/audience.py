"""The devices that a broadcast goes through, page by page: all there are, or those of a topic's followers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from push_workloads.common import questions
from push_workloads.common.asking import ask
from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import TopicAsked, TopicRights
from push_workloads.common.tasks import together
from push_workloads.push.broadcast.model import NewBroadcast
from push_workloads.push.broadcast.ports import Follower, FollowerStore
from push_workloads.push.broadcast.segments import has
from push_workloads.push.devices import DevicePage
from push_workloads.push.store import DeviceStore

DEVICES: Final = 500  # of a page
FOLLOWERS: Final = 100
KEEP_SECONDS: Final = 60.0


class TopicReading(Protocol):
    async def may_read(self, user_id: str, topic: str) -> bool:
        """Raises Unavailable."""


class TopicRightsOnTheBus:
    """Asks the message service; what holds for everyone is kept for a minute. `clock`: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bus: Bus | None = None
        self._kept: tuple[str, float, bool] = ("", 0.0, False)

    def open(self, bus: Bus) -> None:
        self._bus = bus

    async def may_read(self, user_id: str, topic: str) -> bool:
        name, until, read = self._kept
        if name == topic and until > self._clock():
            return read
        rights = await self._ask(user_id, topic)
        if rights.for_everyone:
            self._kept = (topic, self._clock() + KEEP_SECONDS, rights.read)
        return rights.read

    async def _ask(self, user_id: str, topic: str) -> TopicRights:
        if self._bus is None:
            raise Unavailable("not connected to NATS yet; try again", retry_after_ms=1000)
        return await ask(self._bus.client, questions.TOPIC, TopicAsked(user_id, topic), TopicRights)


class Audience:
    def __init__(self, devices: DeviceStore, followers: FollowerStore, topics: TopicReading) -> None:
        self._devices = devices
        self._followers = followers
        self._topics = topics

    async def page(self, asked: NewBroadcast, place: str | None) -> tuple[DevicePage, int]:
        """The devices that it is for, of the page behind the place; and how many were looked at. Raises Unavailable."""
        if asked.topic is not None:
            return await self._of_topic(asked.topic, place)
        page = await self._devices.scan(place, DEVICES)
        segment = asked.segment
        chosen = [one for one in page.devices if segment is not None and has(segment, one)]
        return DevicePage(chosen, page.after), len(page.devices)

    async def _of_topic(self, topic: str, place: str | None) -> tuple[DevicePage, int]:
        """Whoever may not read the topic any more is left out, though following it still."""
        page = await self._followers.followers(topic, place, FOLLOWERS)
        reading = await together(self._reads(one, topic) for one in page.followers)
        users = [one.user_id for one, reads in zip(page.followers, reading, strict=True) if reads]
        devices = [device for own in await together(self._devices.of_user(one) for one in users) for device in own]
        return DevicePage(devices, page.after), len(devices)

    async def _reads(self, follower: Follower, topic: str) -> bool:
        return follower.granted or await self._topics.may_read(follower.user_id, topic)
