"""PodDisruptionBudgets: one pod of a component at a time, where there is more than one."""

from __future__ import annotations

from push_operator.plan.workload import Plan, Workload
from push_operator.render.objects import BY_REVISION, Object, Owner, made, serving_pods


def disruption_objects(owner: Owner, plan: Plan) -> list[Object]:
    """A budget for a single pod would block every node's drain for ever."""
    return [_budget(owner, workload) for workload in plan.workloads if workload.replicas > 1]


def _budget(owner: Owner, workload: Workload) -> Object:
    # A number, and only of the serving ones: with a percentage or all of them, one drain blocks every node's drain.
    by_revision = workload.component in BY_REVISION
    allowed = {"minAvailable": workload.replicas - 1} if by_revision else {"maxUnavailable": 1}
    spec = {"selector": {"matchLabels": serving_pods(owner, workload.component)}, **allowed}
    return made(owner, "policy/v1", "PodDisruptionBudget", workload.name, workload.component, spec=spec)
