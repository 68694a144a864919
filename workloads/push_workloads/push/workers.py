"""Who works the queue off: the decider, the group worker, and a sender for each platform that somebody carries to.

Each has a consumer of its own, and in a sender each send has a place of its own: a slow provider keeps nobody waiting
but its own, and a slow send no more than its place.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Final

from push_workloads.common import push_jobs
from push_workloads.common.bus import Bus
from push_workloads.common.consumer import Consumer, Source
from push_workloads.common.flow import Flow
from push_workloads.common.measures import Consumed
from push_workloads.push import sends
from push_workloads.push.carrier import Carrier
from push_workloads.push.dead import DeadLetters
from push_workloads.push.decider import Decider
from push_workloads.push.devices import Platform
from push_workloads.push.entries import Entries
from push_workloads.push.grouping import Grouping
from push_workloads.push.ports import Ports
from push_workloads.push.rendering import Renderer
from push_workloads.push.sender import Sender

PLACES: Final = 64  # sends at once, of each platform; as many as a carrier has connections
JOBS: Final = Source(push_jobs.STREAM, push_jobs.JOBS, push_jobs.CONSUMER, batch=32, max_ack_pending=256)
GROUPS: Final = Source(
    push_jobs.STREAM, push_jobs.GROUPS, push_jobs.GROUP_CONSUMER, batch=4, max_ack_pending=16, label="PUSH/groups"
)


def workers(
    bus: Bus,
    ports: Ports,
    dead: DeadLetters,
    renderer: Renderer,
    carriers: Mapping[Platform, Carrier],
    hold_off_seconds: float,
    consumed: Consumed,
) -> list[Consumer]:
    """The first is the decider's. All of them are to be run."""
    client, metrics, now_ms = bus.client, ports.metrics, ports.now_ms
    decider = Decider(ports, renderer, carriers.keys(), hold_off_seconds)
    jobs = Entries("jobs", push_jobs.decode, decider.handle, client, dead, metrics, now_ms)
    grouping = Grouping(bus, ports.queue)
    groups = Entries("groups", push_jobs.decode_group, grouping.handle, client, dead, metrics, now_ms)
    made = [Consumer(client, JOBS, jobs.batch, consumed), Consumer(client, GROUPS, groups.batch, consumed)]
    for platform, carrier in carriers.items():
        sender = Sender(ports, carrier, random.random)
        entries = Entries(platform, sends.decode, sender.handle, client, dead, metrics, now_ms)
        made.append(Flow(client, sends_of(platform), entries.batch, consumed, PLACES))
    return made


def sends_of(platform: Platform) -> Source:
    """`ack_wait_seconds` is longer than any carrier takes: what comes again before is taken for a worker's crash."""
    return Source(
        push_jobs.STREAM, sends.ALL.format(platform=platform), sends.CONSUMER.format(platform=platform), batch=16,
        ack_wait_seconds=60, max_ack_pending=1024, label=f"PUSH/{platform}",
    )  # fmt: skip


def waiting(consumers: Iterable[Consumer]) -> str | None:
    """A readiness check: None while all of them can fetch."""
    return next((reason for one in consumers if (reason := one.waiting())), None)
