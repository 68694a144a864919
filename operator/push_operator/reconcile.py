"""The one reconcile: observe → decide → apply (which prunes) → steer → status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from push_operator.autopilot import Autopilot, again_after, with_desired
from push_operator.cluster.port import Cluster
from push_operator.errors import Rejected, SpecError, Unreachable
from push_operator.model import PushCluster, parse
from push_operator.plan.build import build, with_secrets
from push_operator.plan.events import events
from push_operator.plan.reach import is_due, targets
from push_operator.plan.secrets import Secrets, lacking
from push_operator.plan.status import (
    Status,
    condition,
    generation,
    is_news,
    refused_status,
    running_status,
    stalled_status,
)
from push_operator.plan.workload import Plan

RESYNC_SECONDS = 300.0
UNSETTLED_SECONDS = 2.0
REJECTED_SECONDS = 5.0  # what was missing may be there by then: nobody watches the users' own Secrets and servers
_log = logging.getLogger(__name__)
Now = Callable[[], datetime]
Tell = Callable[[str, Status | None], None]
"""key and status; None: the object is gone"""


async def reconcile(key: str, cluster: Cluster, autopilot: Autopilot, now: Now, tell: Tell = lambda *_: None) -> float:
    """Brings one object one step on. Returns the seconds after which to look again if nothing changes before. `tell`
    hears of each status, also when it is no news."""
    observed = await cluster.observe(key)
    if observed.body is None:
        autopilot.forget(key)
        tell(key, None)
        await cluster.apply(key, Plan())
        return RESYNC_SECONDS
    try:
        wanted = parse(observed.body)
    except SpecError as error:
        status = refused_status(error.faults, observed, _stamp(now))
        tell(key, status)
        await _publish(key, cluster, status, observed.body, now)
        return RESYNC_SECONDS
    plan = build(wanted, observed.origins)
    found = await cluster.secrets(key, plan)
    plan = with_secrets(plan, found)
    view = await autopilot.look(key, observed, wanted, plan)
    plan = with_desired(plan, view)
    if not wanted.paused:
        try:
            await _reach(key, cluster, wanted, observed.body)
            await _apply(key, cluster, plan, found)
        except Rejected as error:
            status = stalled_status(error.reason, str(error), observed, _stamp(now))
            tell(key, status)
            await _publish(key, cluster, status, observed.body, now)
            return REJECTED_SECONDS
        await autopilot.act(key, cluster, observed, view)
        planned, observed = observed.body, await cluster.observe(key)
        if observed.body is None:
            return RESYNC_SECONDS
        if generation(observed.body) != generation(planned):
            return 0  # changed meanwhile: what is there now answers a wish that was not planned yet
    status = running_status(wanted, plan, observed, view, _stamp(now))
    tell(key, status)
    await _publish(key, cluster, status, observed.body or {}, now)
    pause = again_after(wanted, view)
    return pause if _settled(status) else min(pause, UNSETTLED_SECONDS)


async def _reach(key: str, cluster: Cluster, wanted: PushCluster, body: Mapping[str, Any]) -> None:
    """Raises Unreachable when a generation that was not applied yet names a server that is not there."""
    asked = targets(wanted) if is_due(body) else ()
    missed = await cluster.unreachable(key, asked) if asked else ""
    if missed:
        raise Unreachable(missed)


async def _apply(key: str, cluster: Cluster, plan: Plan, found: Secrets) -> None:
    """Raises Rejected when a person must do something first; then nothing of the plan was applied."""
    lack = lacking(plan, found)
    if lack:
        raise Rejected(lack)
    await cluster.apply(key, plan)


async def _publish(key: str, cluster: Cluster, status: Status, body: Mapping[str, Any], now: Now) -> None:
    """Writes only what is news: a status that says the same costs no write and wakes nobody."""
    before = body.get("status") or {}
    if is_news(before, status, now()):
        status["updatedAt"] = _stamp(now)
        await cluster.publish(key, status, events(before, status))


def _settled(status: Status) -> bool:
    ready = condition(status, "Ready")
    return ready is not None and ready["status"] == "True"


def _stamp(now: Now) -> str:
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
