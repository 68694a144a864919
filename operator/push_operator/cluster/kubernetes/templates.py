"""The pod template of each revision, written once: an operator that would render another one changes no pod. Pure.

It is kept in a ControllerRevision, as a StatefulSet keeps its own, and goes by the revision: what a unit was started
from, whichever operator rendered it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from push_operator.cluster.kubernetes.kinds import CONTROLLER_REVISIONS, DEPLOYMENTS, STATEFUL_SETS
from push_operator.cluster.kubernetes.owned import is_owned
from push_operator.cluster.kubernetes.sets import is_set
from push_operator.cluster.kubernetes.units import component_of
from push_operator.render.objects import REVISION, Object, Owner, made

KEPT_EACH: Final = 2  # of a component: the wanted one, and the one before it, for a way back
_RUNS_PODS: Final = (DEPLOYMENTS.kind, STATEFUL_SETS.kind)


@dataclass(frozen=True, slots=True)
class Settled:
    """`objects`: what to apply, each set followed by the ControllerRevision with its template. `outdated`: components
    that would be rendered otherwise now."""

    objects: tuple[Object, ...]
    outdated: tuple[str, ...]


def settled(owner: Owner, wanted: Iterable[Object], live: Sequence[Object]) -> Settled:
    """What was rendered, with the templates that are kept in place of those; `live` is all that is there."""
    objects: list[Object] = []
    outdated: list[str] = []
    kept = _kept(owner, live)
    sets = {one["metadata"]["name"]: one for one in live if runs_pods(one)}
    for one in wanted:
        if not runs_pods(one):
            objects.append(one)
            continue
        template = _template(one, sets.get(one["metadata"]["name"]), kept[component_of(one)])
        if template != one["spec"]["template"]:
            outdated.append(component_of(one))
        objects.append({**one, "spec": {**one["spec"], "template": template}})
        # After its set: a template that the API server refuses is not kept. If it ends in between, the set has it.
        objects.append(_keeping(owner, one, template, kept[component_of(one)]))
    return Settled(tuple(objects), tuple(outdated))


def needed(owner: Owner, live: Sequence[Object]) -> frozenset[str]:
    """The names of the ControllerRevisions without which something could not be made again as it is, or go back."""
    running = {(component_of(one), _revision(one)) for one in live if runs_pods(one) and is_owned(owner, one)}
    return frozenset(
        one["metadata"]["name"] for found in _kept(owner, live).values() for one in _needed(found, running)
    )


def runs_pods(one: Object) -> bool:
    return one["kind"] in _RUNS_PODS


def _needed(found: list[Object], running: set[tuple[str, str]]) -> Iterator[Object]:
    """Of one component, the latest first; none where nothing of it runs."""
    used = [one for one in found if (component_of(one), _revision(one)) in running]
    spare = [one for one in found if one not in used] if used else []
    yield from used
    yield from spare[: max(0, KEPT_EACH - len(used))]


def _kept(owner: Owner, live: Iterable[Object]) -> dict[str, list[Object]]:
    """By component, the latest first. A StatefulSet's own look much the same, and belong to it."""
    found: dict[str, list[Object]] = defaultdict(list)
    for one in live:
        if one["kind"] == CONTROLLER_REVISIONS.kind and is_owned(owner, one):
            found[component_of(one)].append(one)
    for revisions in found.values():
        revisions.sort(key=lambda one: (-one["revision"], one["metadata"]["name"]))
    return found


def _template(wanted: Object, live: Object | None, kept: list[Object]) -> Object:
    """As it was written; else as the pods that are there have it, which an operator made that did not write it."""
    for one in kept:
        if _revision(one) == _revision(wanted):
            written: Object = one["data"]
            return written
    if live is not None and _of_template(live) == _revision(wanted):
        found: Object = live["spec"]["template"]
        return found
    rendered: Object = wanted["spec"]["template"]
    return rendered


def _keeping(owner: Owner, wanted: Object, template: Object, kept: list[Object]) -> Object:
    """The wanted one has the highest number, also when it is wanted again."""
    revision, name = _revision(wanted), wanted["metadata"]["name"]
    latest = kept[0]["revision"] if kept else 0
    one = made(
        owner, CONTROLLER_REVISIONS.api_version, CONTROLLER_REVISIONS.kind,
        name if is_set(wanted) else f"{name}-{revision}", component_of(wanted),
        data=template, revision=latest if kept and _revision(kept[0]) == revision else latest + 1,
    )  # fmt: skip
    one["metadata"]["labels"][REVISION] = revision
    return one


def _revision(one: Object) -> str:
    return str(one["metadata"].get("labels", {}).get(REVISION, ""))


def _of_template(live: Object) -> str:
    return _revision(live["spec"]["template"])
