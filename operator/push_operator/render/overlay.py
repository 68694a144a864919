"""A pod template with a manifest's `podTemplate` laid over it: named things are added by name, and ours stay ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from push_operator.overlay import Overlay
from push_operator.render.objects import Object

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"  # annotation: which one `kubectl logs` shows
_BY_NAME: Final = ("imagePullSecrets", "volumes", "initContainers")
_BESIDE_OURS: Final = ("env", "envFrom", "volumeMounts")
# What every container of these pods is held to; our own is so by itself.
_UNPRIVILEGED: Final[Object] = {"allowPrivilegeEscalation": False}
_NO_CAPABILITIES: Final[Object] = {"drop": ["ALL"]}


def laid_over(template: Object, overlay: Overlay, selector: Object, located: Callable[[str], str]) -> Object:
    """`selector` finds the pods of the component; `located` gives an image's reference as a node is given it."""
    if not overlay:
        return template
    extra = _confined(overlay.get("spec", {}), located)
    own = template["spec"]["containers"][0]["name"]
    meta = _metadata(template["metadata"], overlay.get("metadata", {}), own)
    return {**template, "metadata": meta, "spec": _spec(template["spec"], extra, own, selector)}


def _metadata(ours: Object, theirs: Mapping[str, Any], own: str) -> Object:
    annotations = {DEFAULT_CONTAINER: own, **theirs.get("annotations", {}), **ours.get("annotations", {})}
    return {**ours, "labels": {**theirs.get("labels", {}), **ours["labels"]}, "annotations": annotations}


def _spec(ours: Object, theirs: Object, own: str, selector: Object) -> Object:
    merged = {**theirs, **ours}
    for name in _BY_NAME:
        if name in merged:
            merged[name] = _joined(ours.get(name, []), theirs.get(name, []))
    merged["securityContext"] = {**ours["securityContext"], **theirs.get("securityContext", {})}
    merged["topologySpreadConstraints"] = _spreads(
        ours["topologySpreadConstraints"], theirs.get("topologySpreadConstraints", []), selector
    )
    added = {one["name"]: one for one in theirs.get("containers", [])}
    mine = _beside(ours["containers"][0], added.pop(own, {}))
    return {**merged, "containers": [mine, *added.values()]}


def _joined(ours: list[Object], theirs: list[Object]) -> list[Object]:
    """By name; what both name is ours."""
    names = {one["name"] for one in ours}
    return [*ours, *(one for one in theirs if one["name"] not in names)]


def _spreads(ours: list[Object], theirs: list[Object], selector: Object) -> list[Object]:
    """Theirs in place of ours over the same domains. One without a selector would count nobody: it means these pods."""
    keys = {one["topologyKey"] for one in theirs}
    told = [{"labelSelector": {"matchLabels": selector}, **one} for one in theirs]
    return [*told, *(one for one in ours if one["topologyKey"] not in keys)]


def _beside(ours: Object, theirs: Mapping[str, Any]) -> Object:
    return {**ours, **{name: [*ours.get(name, []), *theirs[name]] for name in _BESIDE_OURS if name in theirs}}


def _confined(spec: Mapping[str, Any], located: Callable[[str], str]) -> Object:
    """With their containers held to what ours is. The service's own has no image here, and is left as it is."""
    lists = {name: spec[name] for name in ("initContainers", "containers") if name in spec}
    return {
        **spec,
        **{name: [_confined_one(one, located) if "image" in one else one for one in items]
           for name, items in lists.items()},
    }  # fmt: skip


def _confined_one(container: Object, located: Callable[[str], str]) -> Object:
    said = container.get("securityContext", {})
    security = {**_UNPRIVILEGED, **said, "capabilities": {**said.get("capabilities", {}), **_NO_CAPABILITIES}}
    return {**container, "image": located(container["image"]), "securityContext": security}
