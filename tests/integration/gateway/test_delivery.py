"""The delivery checker, small: nothing that was acknowledged is lost, doubled or out of order, whatever breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.delivery.run import Plan, check

PLANS = [
    Plan("quiet", devices=30, seconds=3, churn=3.0),
    Plan("cuts", devices=40, seconds=8, cut_every=1.5, offline=0.5, churn=3.0),
    Plan("crashes", devices=30, seconds=8, churn=2.0),
]


@pytest.mark.parametrize("plan", PLANS, ids=[plan.kind for plan in PLANS])
async def test_every_acknowledged_message_is_seen_once_and_in_order(plan: Plan, tmp_path: Path) -> None:
    verdict = await check(plan, tmp_path)
    assert verdict.good, str(verdict)
    assert verdict.acked > 100
    assert verdict.changes > 2
    if plan.kind == "quiet":  # who is connected is shown its removal
        assert verdict.cut_short == verdict.repeats == 0
    if plan.kind == "cuts":
        assert verdict.told["recovered"] > plan.devices
