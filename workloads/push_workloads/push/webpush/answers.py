"""What the answer of a push service means (RFC 8030 §5, and what the large ones say). Pure."""

from __future__ import annotations

from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent
from push_workloads.push.retry_after import retry_after


def answer_of(status: int, header: str | None, now: float) -> Answer:
    """`header`: of Retry-After; `now` in Unix seconds. What the push service calls the message is an address by which
    it can be taken back, so it is kept nowhere."""
    if 200 <= status < 300:
        return Sent()
    reason = f"http_{status}"
    if status in (404, 410):
        return Dead(reason)
    if status >= 500 or status in (408, 425):
        return Later(reason, retry_after(header, now))
    if status == 429:
        return Later(reason, retry_after(header, now), ours=True)
    if status in (401, 403):  # not our key, or not our clock: no fault of the subscription's
        return Later(reason, retry_after(header, now), ours=True)
    return Refused(reason)
