"""The rules, judged by promtool: each alert fires for what it names, alone, and none when all is well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.prometheus import promtool

from push_operator.render.alerts import groups
from push_operator.render.objects import Owner

GROUPS = groups(Owner("apps", "chat", "0000-1111"), 330)
ALERTS = {rule["alert"] for group in GROUPS for rule in group["rules"] if "alert" in rule}
OWN, TOLD = 'namespace="apps",pushcluster="chat"', 'pushcluster_namespace="apps",pushcluster="chat"'
CRITICAL, WARNING = "critical", "warning"
DAYS = 2 * 24 * 12  # steps of five minutes; any other number is one of minutes
Series = dict[str, str]


def _gateway(name: str, more: str = "", pod: str = "chat-gateway-1") -> str:
    extra = f",{more}" if more else ""
    return f'{name}{{{OWN},component="gateway",pod="{pod}"{extra}}}'


def _steady(value: float, length: int) -> str:
    return f"{value}+0x{length}"


def _grows(step: float, length: int) -> str:
    return f"0+{step}x{length}"


def _well(length: int) -> Series:
    """A cluster that fares well: ten a second of everything, of faults none."""
    grow, stay, none, one = _grows(600, length), _grows(0, length), _steady(0, length), _steady(1, length)
    conditions = {
        f'push_cluster_condition{{{TOLD},type="{kind}",status="True"}}': one if holds else none
        for kind, holds in (("Ready", True), ("Stalled", False))
    }
    return {
        _gateway("push_gateway_accepted_total"): grow,
        _gateway("push_gateway_refused_total", 'status="503"'): stay,
        _gateway("push_gateway_ack_seconds_count"): grow,
        _gateway("push_gateway_errors_total", 'code="unavailable"'): stay,
        _gateway("push_gateway_delivery_seconds_count"): grow,
        _gateway("push_gateway_delivery_seconds_bucket", 'le="1.024"'): grow,
        _gateway("push_gateway_loop_lag_seconds"): none,
        _gateway("push_gateway_pressure"): none,
        _gateway("push_gateway_draining"): none,
        _gateway("push_waiting", 'check="nats"'): none,
        _gateway("push_waiting", 'check="log"'): none,
        _gateway("push_waiting", 'check="presence"'): none,
        _gateway("push_ready"): one,
        _gateway("up"): one,
        f'push_http_requests_total{{{OWN},component="auth",status="2xx"}}': grow,
        f'push_http_requests_total{{{OWN},component="auth",status="4xx"}}': grow,
        f'push_http_requests_total{{{OWN},component="auth",status="5xx"}}': stay,
        f'push_consumer_pending{{{OWN},stream="LOG_0",pod="chat-message-1"}}': none,
        f'push_consumer_handled_total{{{OWN},stream="LOG_0",pod="chat-message-1"}}': grow,
        f'push_consumer_failed_total{{{OWN},stream="LOG_0",pod="chat-message-1"}}': stay,
        'push_operator_leading{pod="push-operator-1"}': one,
        'push_operator_leading{pod="push-operator-2"}': none,
        'push_operator_reconciles_total{result="done"}': _grows(60, length),
        'push_operator_reconciles_total{result="failed"}': stay,
        f'push_cluster_rollout{{{TOLD},state="Stopped"}}': none,
        f"push_cluster_autoscaler_held{{{TOLD}}}": none,
        **conditions,
    }


def _condition(kind: str) -> str:
    return f'push_cluster_condition{{{TOLD},type="{kind}",status="True"}}'


REFUSED = _gateway("push_gateway_refused_total", 'status="503"')
UNAVAILABLE = _gateway("push_gateway_errors_total", 'code="unavailable"')
IN_TIME = _gateway("push_gateway_delivery_seconds_bucket", 'le="1.024"')
PENDING = f'push_consumer_pending{{{OWN},stream="LOG_0",pod="chat-message-1"}}'
HANDLED, FAILED = (
    f'push_consumer_{one}_total{{{OWN},stream="LOG_0",pod="chat-message-1"}}' for one in ("handled", "failed")
)


def _answers(platform: str, ours: str) -> str:
    return f'push_push_answers_total{{{OWN},platform="{platform}",ours="{ours}"}}'


OLDEST = f"push_cluster_oldest_drain_timestamp_seconds{{{TOLD}}}"

# What differs from a cluster that is well, for how many steps, and what then fires.
CASES: dict[str, tuple[Series, int, set[tuple[str, str]]]] = {
    "all is well": ({}, 90, set()),
    "all is well for days": ({}, DAYS, set()),
    "clients are refused, fast": (
        {REFUSED: _grows(30, 90)}, 90, {("PushConnectErrors", CRITICAL), ("PushConnectErrors", WARNING)}),
    "clients are refused, slowly": ({REFUSED: _grows(2.4, DAYS)}, DAYS, {("PushConnectErrors", WARNING)}),
    "clients were refused, and are no more": ({REFUSED: "0+60x20 1200+0x70"}, 90, {("PushConnectErrors", WARNING)}),
    "one client of few is refused": (
        {REFUSED: "0x80 1x10", _gateway("push_gateway_accepted_total"): "0x80 2x10"}, 90, set()),
    "messages fail, fast": (
        {UNAVAILABLE: _grows(30, 90)}, 90, {("PushSendErrors", CRITICAL), ("PushSendErrors", WARNING)}),
    "messages fail, slowly": ({UNAVAILABLE: _grows(2.4, DAYS)}, DAYS, {("PushSendErrors", WARNING)}),
    "messages are late, fast": (
        {IN_TIME: _grows(480, 90)}, 90, {("PushSlowDelivery", CRITICAL), ("PushSlowDelivery", WARNING)}),
    "messages are late, slowly": ({IN_TIME: _grows(576, DAYS)}, DAYS, {("PushSlowDelivery", WARNING)}),
    "as many are late as may be": ({IN_TIME: _grows(596, DAYS)}, DAYS, set()),
    "no gateway is ready": (
        {_gateway("push_ready"): _steady(0, 9)}, 9, {("PushNoGateway", CRITICAL)}),
    "no gateway is read": (
        {_gateway("push_ready"): "_x9", _gateway("up"): "_x9"}, 9, {("PushNoGateway", CRITICAL)}),
    "one of two gateways is not ready": (
        {_gateway("push_ready", pod="two"): _steady(0, 30)}, 30, {("PushNotReady", WARNING)}),
    "one of two gateways is emptied": (
        {_gateway("push_ready", pod="two"): _steady(0, 30),
         _gateway("push_gateway_draining", pod="two"): _steady(1, 30)}, 30, set()),
    "one does not answer Prometheus": ({_gateway("up", pod="two"): _steady(0, 30)}, 30, {("PushNotReady", WARNING)}),
    "one is not ready for a moment": (
        {_gateway("push_ready", pod="two"): "1x20 0x5 1x5"}, 30, set()),
    "NATS is lost": ({_gateway("push_waiting", 'check="nats"'): _steady(1, 9)}, 9, {("PushGatewayDeaf", WARNING)}),
    "the log is lost": ({_gateway("push_waiting", 'check="log"'): _steady(1, 9)}, 9, {("PushGatewayDeaf", WARNING)}),
    "presence is lost": ({_gateway("push_waiting", 'check="presence"'): _steady(1, 9)}, 9, set()),
    "the loop is late": (
        {_gateway("push_gateway_loop_lag_seconds"): _steady(1.5, 9)}, 9, {("PushGatewayDeaf", WARNING)}),
    "the loop is hardly late": ({_gateway("push_gateway_loop_lag_seconds"): _steady(0.9, 9)}, 9, set()),
    "a gateway is overloaded": (
        {_gateway("push_gateway_pressure"): _steady(2, 9)}, 9, {("PushGatewayOverloaded", WARNING)}),
    "a gateway is pressed": ({_gateway("push_gateway_pressure"): _steady(1, 9)}, 9, set()),
    "a service fails": (
        {f'push_http_requests_total{{{OWN},component="auth",status="5xx"}}': _grows(80, 30)}, 30,
        {("PushServiceErrors", WARNING)}),
    "the log waits": ({PENDING: _steady(10_001, 30)}, 30, {("PushLogLag", WARNING)}),
    "the log waits for a moment": ({PENDING: "0x5 20000x6 0x19"}, 30, set()),
    "a consumer is stuck": (
        {HANDLED: _steady(7, 30), FAILED: _grows(5, 30)}, 30, {("PushConsumerStuck", WARNING)}),
    "pushes are given up": (
        {f'push_push_dead_letters_total{{{OWN},queue="fcm"}}': "0x5 1x25"}, 9, {("PushDeadLetters", WARNING)}),
    "pushes were given up an hour ago": (
        {f'push_push_dead_letters_total{{{OWN},queue="fcm"}}': "0x5 1x60"}, 60, set()),
    "a provider takes nothing from us": (
        {_answers("apns", "true"): _grows(1, 30), _answers("apns", "false"): _steady(0, 30),
         _answers("fcm", "true"): _steady(0, 30), _answers("fcm", "false"): _grows(100, 30)}, 30,
        {("PushProviderFaults", WARNING)}),
    "a provider is busy": (
        {_answers("apns", "true"): _steady(0, 30), _answers("apns", "false"): _grows(9, 30)}, 30, set()),
    "a provider takes one for each that it turns away": (
        {_answers("fcm", "true"): "0x9 1x21", _answers("fcm", "false"): "0x9 1x21"}, 30, set()),
    "nothing is sent": ({_answers("fcm", one): _steady(7, 30) for one in ("true", "false")}, 30, set()),
    "one message cannot be handled": ({FAILED: _grows(1, 30)}, 30, set()),
    "nobody leads": (
        {'push_operator_leading{pod="push-operator-1"}': _steady(0, 30)}, 30, {("PushOperatorNotLeading", WARNING)}),
    "no operator is read": (
        {f'push_operator_leading{{pod="push-operator-{one}"}}': "_x30" for one in (1, 2)}, 30,
        {("PushOperatorNotLeading", WARNING)}),
    "reconciles fail": (
        {'push_operator_reconciles_total{result="failed"}': _grows(61, 40)}, 40, {("PushOperatorFails", WARNING)}),
    "a manifest is refused": (
        {_condition("Stalled"): _steady(1, 30), _condition("Ready"): _steady(0, 30)}, 30,
        {("PushClusterStalled", WARNING)}),
    "less runs than wanted": ({_condition("Ready"): _steady(0, 30)}, 30, {("PushClusterNotReady", WARNING)}),
    "a rollout stands": (
        {f'push_cluster_rollout{{{TOLD},state="Stopped"}}': _steady(1, 9)}, 9, {("PushRolloutStopped", WARNING)}),
    "no numbers to scale by": (
        {f"push_cluster_autoscaler_held{{{TOLD}}}": _steady(1, 30)}, 30, {("PushAutoscalerOnHold", WARNING)}),
    "a drain takes too long": ({OLDEST: _steady(60, 30)}, 30, {("PushDrainOverdue", WARNING)}),
    "one drain after another": ({OLDEST: " ".join(str(60 * 10 * (at // 10)) for at in range(31))}, 30, set()),
    "another cluster is in trouble": (
        {REFUSED.replace("chat", "other"): _grows(90, 90),
         _condition("Stalled").replace("chat", "other"): _steady(1, 90),
         _gateway("push_ready", pod="other-gateway-1").replace('"chat"', '"other"'): _steady(0, 90)}, 90, set()),
}  # fmt: skip


def _test(case: tuple[Series, int, set[tuple[str, str]]]) -> dict[str, Any]:
    changed, steps, firing = case
    step = 5 if steps == DAYS else 1
    series = {**_well(steps), **changed}
    expected = [
        {"labels": f'{{alertname="{name}",severity="{severity}"}}', "value": 1} for name, severity in sorted(firing)
    ]
    return {
        "interval": f"{step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{
            "expr": 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
            "eval_time": f"{steps * step}m", "exp_samples": expected,
        }],
    }  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": GROUPS}), encoding="utf-8")
    return file


def test_promtool_takes_the_rules(rules: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))


@pytest.mark.parametrize("name", CASES)
def test_what_fires(rules: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "test.yaml"
    test = _test(CASES[name])
    made = {"rule_files": [str(rules)], "evaluation_interval": test["interval"], "tests": [test]}
    file.write_text(yaml.safe_dump(made), encoding="utf-8")
    promtool("test", "rules", str(file))


def test_every_alert_is_seen_to_fire() -> None:
    assert {name for _, _, firing in CASES.values() for name, _ in firing} == ALERTS


def test_a_fire_says_what_and_where(rules: Path, tmp_path: Path) -> None:
    """The texts of alerts are templates, which only Prometheus can fill in."""
    alerts = [{"alertname": "PushLogLag", "eval_time": "30m", "exp_alerts": [{
        "exp_labels": {"severity": "warning", "namespace": "apps", "pushcluster": "chat", "stream": "LOG_0"},
        "exp_annotations": {"summary": "10001 messages of LOG_0 wait for their service",
                            "runbook_url": "docs/runbooks/PushLogLag.md"},
    }]}]  # fmt: skip
    test = {**_test(CASES["the log waits"]), "alert_rule_test": alerts}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", str(file))


def test_every_metric_of_the_rules_is_one_that_a_case_has() -> None:
    used = {
        name for group in GROUPS for rule in group["rules"]
        for name in re.findall(r"\b(?:push_[a-z_]+|up)(?=\{|\[|\))", rule["expr"])
    }  # fmt: skip
    cases = {name.partition("{")[0] for changed, *_ in CASES.values() for name in {**_well(1), **changed}}
    assert used == cases
