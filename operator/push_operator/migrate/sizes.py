"""How many of each service, and how much of the machine each may take. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from push_operator.migrate.old import Old, Spec
from push_operator.migrate.stack import Service
from push_operator.model import SERVICES
from push_operator.quantities import exceeds
from push_operator.sizing import GATEWAYS, SIZES

# What the operator asks for when a manifest says nothing: with less memory than that ours are killed, while the old
# programs may have done with it.
LEAST_MEMORY: Final[Mapping[str, str]] = {
    "gateway": "256Mi", "auth": "192Mi", "message": "96Mi", "presence": "96Mi", "push": "96Mi",
}  # fmt: skip
_FIXED: Final = (
    "spec.gateway.scaling.mode is Fixed, so that as many gateways run as did; once you trust the new platform, let the "
    "operator find the number: mode Operator instead of replicas, with bounds in spec.gateway.autoscaling"
)
_ORDINARY: Final[Mapping[str, int]] = {"gateway": GATEWAYS["small"][1], **SIZES["small"]}
"""How many there are where the stack does not say."""


def services(old: Old) -> dict[str, Spec]:
    """`spec.gateway` and the others, as many as ran."""
    for kind in SERVICES:
        if kind not in old.services:
            old.report.left("", f"the stack has no {kind}: {_ORDINARY[kind]} of it, as in any small platform")
    return {kind: _service(kind, one, old) for kind, one in old.services.items()}


def _service(kind: str, service: Service, old: Old) -> Spec:
    made: Spec = {"replicas": _replicas(kind, service, old)}
    if kind == "gateway":
        made["scaling"] = {"mode": "Fixed"}
        old.report.todo("", _FIXED)
    return made | _resources(kind, service, old)


def _replicas(kind: str, service: Service, old: Old) -> int:
    field = f"spec.{kind}.replicas"
    if service.replicas is None:
        number = _ORDINARY[kind]
        old.report.todo(f"{service.path}.deploy.mode", f"global was one on each node, and nodes say nothing here: "
                        f"{field} is {number}; choose the number of nodes that there were")  # fmt: skip
        return number
    if service.replicas == 0:
        old.report.todo(
            f"{service.path}.deploy.replicas", f"was switched off by 0, which is not possible: {field} is 1"
        )
        return 1
    old.report.taken(f"{service.path}.deploy.replicas", f"{field} is {service.replicas}")
    return service.replicas


def _resources(kind: str, service: Service, old: Old) -> Spec:
    limits, requests = dict(service.limits), dict(service.requests)
    least, path = LEAST_MEMORY[kind], f"{service.path}.deploy.resources"
    if "memory" in limits and exceeds(least, limits["memory"]):
        old.report.left(path, f"{limits['memory']} of memory was enough for the old program; ours asks for {least}, "
                        "and gets what the operator gives one that says nothing")  # fmt: skip
        limits, requests = _without_memory(limits), _without_memory(requests)
    if not limits and not requests:
        return {}
    old.report.taken(path, f"spec.{kind}.resources has {_shown(limits, requests)}")
    old.report.todo("", "what each may use was measured on the old programs: compare it with what ours use "
                    "(`kubectl top pod`), and leave out what you do not need")  # fmt: skip
    return {"resources": {name: one for name, one in (("requests", requests), ("limits", limits)) if one}}


def _without_memory(amounts: Mapping[str, str]) -> dict[str, str]:
    return {name: amount for name, amount in amounts.items() if name != "memory"}


def _shown(limits: Mapping[str, str], requests: Mapping[str, str]) -> str:
    given = (("requests", requests), ("limits", limits))
    return "; ".join(
        f"{name} {', '.join(f'{key} {amount}' for key, amount in amounts.items())}"
        for name, amounts in given
        if amounts
    )
