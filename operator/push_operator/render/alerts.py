"""Alerts of one PushCluster: what users feel first, then what is broken and not yet felt. Pure.

`docs/runbooks` has a page for each, by its name; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from push_operator.render.objectives import BURNS, OBJECTIVES, burning, recordings
from push_operator.render.objects import Object, Owner

RUNBOOKS: Final = "docs/runbooks"
PENDING_MAX: Final = 10_000
LAG_MAX_SECONDS: Final = 1
ERRORS_MAX: Final = 0.05
FAULTS_MAX: Final = 0.5
DRAIN_MARGIN_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Alert:
    """`expr` holds for `minutes` before it is told. `summary` may use Prometheus' own templates."""

    name: str
    severity: str
    minutes: int
    expr: str
    summary: str


def matchers(owner: Owner) -> tuple[str, str]:
    """What finds the numbers of the cluster's own pods, and those that the operator has of it."""
    names = f'pushcluster="{owner.name}"'
    return f'namespace="{owner.namespace}",{names}', f'pushcluster_namespace="{owner.namespace}",{names}'


def groups(owner: Owner, drain_seconds: int) -> list[Object]:
    """The groups of a PrometheusRule. `drain_seconds`: after which a gateway should be empty."""
    own, told = matchers(owner)
    labels = {"namespace": owner.namespace, "pushcluster": owner.name}
    place = f"{owner.namespace}.{owner.name}"
    return [
        {"name": f"{place}.objectives", "interval": "30s", "rules": recordings(own, labels)},
        {"name": f"{place}.burning", "rules": [_rule(one, labels) for one in _burning(own)]},
        {"name": f"{place}.broken", "rules": [_rule(one, labels) for one in _broken(own)]},
        {"name": f"{place}.operator", "rules": [_rule(one, labels) for one in _operators(told, drain_seconds)]},
    ]


def _rule(alert: Alert, labels: Object) -> Object:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": f"{alert.minutes}m",
        "labels": {**labels, "severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook_url": f"{RUNBOOKS}/{alert.name}.md"},
    }


def _burning(own: str) -> Iterator[Alert]:
    for one in OBJECTIVES:
        for severity in BURNS:
            minutes = 2 if severity == "critical" else 15
            yield Alert(one.alert, severity, minutes, burning(one, severity, own), one.summary)


def _broken(own: str) -> list[Alert]:
    gateway, pod = f'{own},component="gateway"', "namespace, pod"
    failed = f'sum by (component) (rate(push_http_requests_total{{{own},status="5xx"}}[10m]))'
    asked = f"sum by (component) (rate(push_http_requests_total{{{own}}}[10m]))"
    handled, again = (
        f"sum by (stream) (increase(push_consumer_{one}_total{{{own}}}[10m]))" for one in ("handled", "failed")
    )
    answers = "sum by (platform) (rate(push_push_answers_total{%s}[15m]))"
    ours = answers % f'{own},ours="true"'
    return [
        Alert("PushNoGateway", "critical", 2, f"(sum(push_ready{{{gateway}}}) or vector(0)) == 0",
              "No gateway takes clients"),
        Alert("PushNotReady", "warning", 10,
              f"(push_ready{{{own}}} == 0 unless on ({pod}) push_gateway_draining{{{own}}} == 1) or up{{{own}}} == 0",
              "{{ $labels.pod }} ({{ $labels.component }}) cannot serve, or does not answer Prometheus"),
        Alert("PushGatewayDeaf", "warning", 2,
              f'max by ({pod}) (push_waiting{{{gateway},check=~"nats|log"}}) == 1'
              f" or max by ({pod}) (push_gateway_loop_lag_seconds{{{own}}}) > {LAG_MAX_SECONDS}",
              "{{ $labels.pod }} holds clients and hears nothing for them"),
        Alert("PushGatewayOverloaded", "warning", 5, f"max by ({pod}) (push_gateway_pressure{{{own}}}) == 2",
              "{{ $labels.pod }} takes no new clients: it has more to do than it can"),
        Alert("PushServiceErrors", "warning", 5, f"{failed} / clamp_min({asked}, 20 / 600) > {ERRORS_MAX}",
              "{{ $labels.component }} answers {{ $value | humanizePercentage }} of requests with an error of its own"),
        Alert("PushLogLag", "warning", 10, f"max by (stream) (push_consumer_pending{{{own}}}) > {PENDING_MAX}",
              "{{ $value }} messages of {{ $labels.stream }} wait for their service"),
        Alert("PushConsumerStuck", "warning", 10, f"{again} > 0 unless {handled} > 0",
              "Nothing of {{ $labels.stream }} is handled; the same messages come again and again"),
        Alert("PushDeadLetters", "warning", 1,
              f"sum by (queue) (increase(push_push_dead_letters_total{{{own}}}[15m])) > 0",
              "Pushes of the queue {{ $labels.queue }} were given up"),
        Alert("PushProviderFaults", "warning", 5, f"{ours} / {answers % own} > {FAULTS_MAX}",
              "{{ $labels.platform }} takes no pushes, for a fault of ours: a key, a topic, a quota"),
    ]  # fmt: skip


def _operators(told: str, drain_seconds: int) -> list[Alert]:
    deadline = drain_seconds + DRAIN_MARGIN_SECONDS
    condition = f"push_cluster_condition{{{told},type="
    stalled = f'{condition}"Stalled",status="True"}} == 1'
    return [
        Alert("PushOperatorNotLeading", "warning", 5, "(max(push_operator_leading) or vector(0)) == 0",
              "No operator acts: nothing is scaled, healed or rolled"),
        Alert("PushOperatorFails", "warning", 15,
              'sum(rate(push_operator_reconciles_total{result="failed"}[10m]))'
              " / sum(rate(push_operator_reconciles_total[10m])) > 0.5",
              "{{ $value | humanizePercentage }} of the operator's reconciles fail"),
        Alert("PushClusterStalled", "warning", 5, stalled, "Nothing can be done before a person changes something"),
        Alert("PushClusterNotReady", "warning", 15,
              f'{condition}"Ready",status="True"}} == 0 unless on (pushcluster, pushcluster_namespace) {stalled}',
              "Less runs than the manifest asks for"),
        Alert("PushRolloutStopped", "warning", 1, f'push_cluster_rollout{{{told},state="Stopped"}} == 1',
              "The rollout of the gateways stands: the new ones did not do well"),
        Alert("PushAutoscalerOnHold", "warning", 10, f"push_cluster_autoscaler_held{{{told}}} == 1",
              "The operator does not scale: it has no numbers to do it by"),
        Alert("PushDrainOverdue", "warning", 5,
              f"time() - push_cluster_oldest_drain_timestamp_seconds{{{told}}} > {deadline}",
              "A gateway is being emptied for {{ $value | humanizeDuration }}"),
    ]  # fmt: skip
