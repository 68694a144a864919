"""What becomes of one job at one device. Pure.

Senders come later: until then a device that would be told is counted as `no_sender`.
"""

from __future__ import annotations

from enum import StrEnum

from push_workloads.common.push_jobs import PushJob
from push_workloads.push.devices import Device


class Outcome(StrEnum):
    """The label under which a decision is counted."""

    NO_DEVICE = "no_device"
    EXPIRED = "expired"
    NO_SENDER = "no_sender"


def decide(job: PushJob, device: Device, now_ms: int) -> Outcome:
    """`ttl_s` counts from the message, not from the job: the queue's delay is part of it."""
    ttl_s = job.hint.ttl_s if job.hint else None
    # A clock may differ from the sender's by more than a short ttl: a job from the future is not expired.
    if ttl_s is not None and now_ms - job.sent_at > max(0, ttl_s) * 1000:
        return Outcome.EXPIRED
    return Outcome.NO_SENDER
