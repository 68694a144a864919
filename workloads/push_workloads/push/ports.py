"""What both the decider and the senders need, together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from push_workloads.push.cancels import Cancels
from push_workloads.push.claims import Claims
from push_workloads.push.deliveries import DeliveryLog
from push_workloads.push.facts import FactSource
from push_workloads.push.measures import PushMetrics
from push_workloads.push.preference_store import PreferenceStore
from push_workloads.push.queue import Queue
from push_workloads.push.store import DeviceStore


class Ports(NamedTuple):
    """`now_ms` is the clock on the wall."""

    devices: DeviceStore
    facts: FactSource
    preferences: PreferenceStore
    deliveries: DeliveryLog
    claims: Claims
    queue: Queue
    cancels: Cancels
    metrics: PushMetrics
    now_ms: Callable[[], int]
