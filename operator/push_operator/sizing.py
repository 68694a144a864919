"""How many of each service a manifest asks for, and who says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from push_operator.fields import Node
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, LagScaling, Mode, Window
from push_operator.schedule import LINE, is_upward

MAX_REPLICAS: Final = 1000
MAX_WINDOWS: Final = 20
_LINE_MEANS: Final = "a cron line of five fields (minute hour day month weekday, in UTC) such as 0 8 * * 1-5"

# The product's own scaling table: small up to 10k connections, medium 100k, large 1M.
SIZES: Final[Mapping[str, Mapping[str, int]]] = {
    "small": {"auth": 1, "message": 1, "presence": 1, "push": 1},
    "medium": {"auth": 2, "message": 3, "presence": 2, "push": 2},
    "large": {"auth": 5, "message": 10, "presence": 5, "push": 5},
}
GATEWAYS: Final[Mapping[str, tuple[int, int]]] = {"small": (1, 2), "medium": (3, 10), "large": (20, 100)}
"""The least and the most of them that the operator runs, unless the manifest says."""
TARGET_LAG: Final[Mapping[str, int]] = {"message": 5000, "push": 1000}  # the two that read a stream


def gateway_scaling_of(node: Node, size: str) -> GatewayScaling:
    """What `spec.gateway` says of it; the caller reads the rest of the fields."""
    mode = _mode(node.child("scaling"))
    replicas = node.integer("replicas", 1, 1, MAX_REPLICAS)
    made = GatewayScaling(
        mode=mode,
        replicas=None if mode is Mode.OPERATOR else replicas,
        autoscaling=_autoscaling(node.child("autoscaling"), *GATEWAYS[size]),
        drain=_drain(node.child("drain")),
    )
    if mode is Mode.OPERATOR:
        _fits_operator(node, made)
    else:
        _fits_others(node)
    return made


def _mode(node: Node) -> Mode:
    made = Mode(node.choice("mode", Mode.FIXED, tuple(Mode)))
    node.done()
    return made


def _fits_operator(node: Node, made: GatewayScaling) -> None:
    if node.has("replicas"):
        bounds = "autoscaling.minReplicas and maxReplicas are its bounds"
        node.fault("replicas", f"must not be given when scaling.mode is Operator: {bounds}")
    most = made.drain.reconnects_per_second * made.drain.timeout_seconds
    if made.autoscaling.target_connections > most:
        product = f"drain.reconnectsPerSecond times drain.timeoutSeconds ({most})"
        node.fault("autoscaling.targetConnections",
                   f"must not be more than {product}: more than that no gateway gets rid of in time")  # fmt: skip


def _fits_others(node: Node) -> None:
    if not node.has("replicas"):
        node.fault(
            "replicas", f"required unless scaling.mode is Operator: how many gateways to run, 1 to {MAX_REPLICAS}"
        )
    if node.has("autoscaling"):
        node.fault("autoscaling", "goes with scaling.mode Operator")


def _autoscaling(node: Node, least: int, most: int) -> Autoscaling:
    low, high = _bounds(node, least, most)
    down = node.child("scaleDown")
    made = Autoscaling(
        min_replicas=low,
        max_replicas=high,
        target_connections=node.integer("targetConnections", 8000, 1, 100_000),
        headroom_percent=node.integer("headroomPercent", 20, 0, 80),
        accept_rate=node.integer("acceptRatePerPod", 500, 1, 100_000),
        stabilization_seconds=down.integer("stabilizationSeconds", 300, 0, 3600),
        max_concurrent_drains=down.integer("maxConcurrentDrains", 1, 1, 50),
        windows=tuple(_window(one, high) for one in node.children("schedules", MAX_WINDOWS)),
    )
    down.done()
    node.done()
    return made


def _bounds(node: Node, least: int, most: int) -> tuple[int, int]:
    low = node.integer("minReplicas", least, 1, MAX_REPLICAS)
    high = node.integer("maxReplicas", most, 1, MAX_REPLICAS)
    if low > high:
        node.fault("minReplicas", f"must not be more than maxReplicas: {low} are more than {high}")
    return low, high


def _window(node: Node, most: int) -> Window:
    made = Window(
        start=node.text("start", "", f"(?=.{{9,128}}$){LINE}", _LINE_MEANS),
        minutes=node.integer("minutes", 1, 1, 7 * 24 * 60),
        min_replicas=node.integer("minReplicas", 1, 1, MAX_REPLICAS),
    )
    if not is_upward(made.start):
        node.fault("start", "a range goes from its lower end to its higher one")
    if made.min_replicas > most:
        node.fault("minReplicas", f"must not be more than maxReplicas: {made.min_replicas} are more than {most}")
    for name, means in (("start", _LINE_MEANS), ("minutes", "how long it is open"), ("minReplicas", "how many then")):
        if not node.has(name):
            node.fault(name, f"required: {means}")
    node.done()
    return made


def _drain(node: Node) -> Drain:
    made = Drain(
        timeout_seconds=node.integer("timeoutSeconds", 300, 10, 3600),
        reconnects_per_second=node.integer("reconnectsPerSecond", 200, 1, 100_000),
    )
    node.done()
    return made


def lag_scaling_of(node: Node, least: int, target: int) -> LagScaling | None:
    """What `autoscaling` of a service that reads a stream says, None when it says nothing; `least` of it unless it
    says, and one for each `target` messages."""
    child = node.child("autoscaling")
    low, high = _bounds(child, least, MAX_REPLICAS)
    made = LagScaling(low, high, child.integer("targetLag", target, 1, 1_000_000))
    child.done()
    if not child.given:
        return None
    if not child.has("maxReplicas"):
        child.fault("maxReplicas", "required: how many at most")
    if node.has("replicas"):
        node.fault("", "give one of replicas and autoscaling, not both")
    return made
