"""What becomes of a job at a device."""

from __future__ import annotations

import pytest

from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push.devices import Device
from push_workloads.push.policy import Outcome, decide

SENT = 1_000_000
DEVICE = Device("u1", "d1", "fcm", "token", None, None, None, 0, 0)


def _job(hint: Hint | None) -> PushJob:
    return PushJob("j1", "u1", "m1", "user:u1", 1, "u2", SENT, hint=hint)


@pytest.mark.parametrize(
    ("hint", "age_ms", "outcome"),
    [
        (None, 10**9, Outcome.NO_SENDER),
        (Hint(title="Hi"), 10**9, Outcome.NO_SENDER),
        (Hint(ttl_s=60), 60_000, Outcome.NO_SENDER),
        (Hint(ttl_s=60), 60_001, Outcome.EXPIRED),
        (Hint(ttl_s=0), 0, Outcome.NO_SENDER),
        (Hint(ttl_s=0), 1, Outcome.EXPIRED),
        (Hint(ttl_s=-5), 1, Outcome.EXPIRED),
        (Hint(ttl_s=60), -5_000, Outcome.NO_SENDER),
    ],
)
def test_decide(hint: Hint | None, age_ms: int, outcome: Outcome) -> None:
    assert decide(_job(hint), DEVICE, SENT + age_ms) == outcome
