"""What Prometheus and Grafana are given: nothing unless asked, and then of this PushCluster alone."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.unit.operator.manifests import cluster

from push_operator.cluster.kubernetes.kinds import OPTIONAL, kind_of
from push_operator.model import SERVICES
from push_operator.plan.build import build
from push_operator.render.alerts import RUNBOOKS, groups
from push_operator.render.build import render
from push_operator.render.dashboards import dashboards
from push_operator.render.objectives import BURNS, OBJECTIVES, WINDOWS
from push_operator.render.objects import COMPONENT, INSTANCE, Images, Object, Owner

ROOT = Path(__file__).parents[3]
OWNER = Owner("apps", "chat", "0000-1111")
OTHER = Owner("apps", "other", "2222-3333")
IMAGES = Images("push/workload", "nats:2", "valkey:9", "cassandra:5")
ASKED = {"serviceMonitor": "PodMonitor", "rules": "PrometheusRule", "dashboards": "ConfigMap"}


def _render(owner: Owner = OWNER, **monitoring: Any) -> tuple[Object, ...]:
    return render(owner, build(cluster(monitoring=monitoring)), IMAGES)


def _added(**monitoring: Any) -> list[Object]:
    """What is there because of it."""
    plain = {(one["kind"], one["metadata"]["name"]) for one in _render()}
    return [one for one in _render(**monitoring) if (one["kind"], one["metadata"]["name"]) not in plain]


def _rules(owner: Owner = OWNER) -> list[Object]:
    return [rule for group in groups(owner, 330) for rule in group["rules"]]


ALERTS = [rule for rule in _rules() if "alert" in rule]


@pytest.mark.parametrize("fields", [set(some) for size in range(4) for some in combinations(ASKED, size)], ids=str)
def test_each_is_made_when_it_is_asked_for(fields: set[str]) -> None:
    added = _added(**dict.fromkeys(fields, True))
    assert {one["kind"] for one in added} == {ASKED[field] for field in fields}


def test_no_pod_changes_and_no_unit_is_begun_anew_by_it() -> None:
    plain, asked = build(cluster()), build(cluster(monitoring=dict.fromkeys(ASKED, True)))
    assert plain.workloads == asked.workloads


def test_traces_are_of_the_processes_themselves() -> None:
    plain, asked = build(cluster()), build(cluster(monitoring={"tracing": {"endpoint": "http://c"}}))
    pairs = zip(plain.workloads, asked.workloads, strict=True)
    assert {one.component for one, other in pairs if one.revision != other.revision} == {"gateway", "message"}


def test_the_kinds_that_a_cluster_may_lack_are_known_as_that() -> None:
    kinds = {kind_of(one) for one in _added(**dict.fromkeys(ASKED, True))}
    assert {kind.kind for kind in kinds & OPTIONAL.keys()} == {"PodMonitor", "PrometheusRule"}


def test_labels_go_on_all_of_them_beside_the_operators_own() -> None:
    for one in _added(labels={"release": "prometheus"}, **dict.fromkeys(ASKED, True)):
        labels = one["metadata"]["labels"]
        assert labels["release"] == "prometheus"
        assert labels[INSTANCE] == "chat"
        assert labels.get("grafana_dashboard") == ("1" if one["kind"] == "ConfigMap" else None)


def test_the_pod_monitor_finds_the_five_services_and_their_admin_port() -> None:
    (monitor,) = _added(serviceMonitor=True)
    spec = monitor["spec"]
    (expression,) = spec["selector"]["matchExpressions"]
    deployments = [one for one in _render() if one["kind"] in ("Deployment", "StatefulSet")]
    found = set()
    for one in deployments:
        labels = one["spec"]["template"]["metadata"]["labels"]
        if spec["selector"]["matchLabels"].items() <= labels.items() and labels[COMPONENT] in expression["values"]:
            ports = [port["name"] for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]]
            assert spec["podMetricsEndpoints"][0]["port"] in ports
            found.add(labels[COMPONENT])
    assert found == set(SERVICES)


def test_with_it_the_policies_let_pods_read_the_admin_port_of_services_and_of_nothing_else() -> None:
    def open_ports(**monitoring: Any) -> dict[str, list[Any]]:
        return {
            one["metadata"]["name"]: [port["port"] for rule in one["spec"]["ingress"] for port in rule["ports"]]
            for one in _render(**monitoring)
            if one["kind"] == "NetworkPolicy"
        }

    plain, asked = open_ports(), open_ports(serviceMonitor=True)
    services = {f"chat-{service}" for service in SERVICES}
    assert {name for name in plain if plain[name] != asked[name]} == services
    for name in services:
        assert asked[name] == [*plain[name], "admin"]


def test_rules_and_queries_name_this_cluster_wherever_they_name_its_numbers() -> None:
    texts = [rule["expr"] for rule in _rules()]
    texts += [query for board in dashboards(OWNER).values() for query in _queries(board)]
    for text in texts:
        for name, matchers in re.findall(r"\b((?:push|pushcluster|process|up)[a-z0-9_:]*)\{([^}]*)\}", text):
            if not name.startswith("push_operator_"):
                where = "pushcluster_namespace" if name.startswith("push_cluster_") else "namespace"
                assert matchers.startswith(f'{where}="apps",pushcluster="chat"'), text
        assert "push_cluster" not in re.sub(r"push_cluster_\w+\{", "", text)


def test_two_clusters_have_nothing_in_common_that_must_be_one() -> None:
    for first, second in ((OWNER, OTHER), (OWNER, Owner("more", "chat", "4"))):
        assert not {one["name"] for one in groups(first, 330)} & {one["name"] for one in groups(second, 330)}
        uids = [{board["uid"] for board in dashboards(owner).values()} for owner in (first, second)]
        assert not uids[0] & uids[1]


def test_an_objective_is_recorded_for_each_window_that_an_alert_looks_at() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    used = {name for rule in ALERTS for name in re.findall(r"pushcluster:\w+:\w+", rule["expr"])}
    assert used == recorded == {one.recorded(window) for one in OBJECTIVES for window in WINDOWS}


def test_budgets_are_what_an_objective_leaves() -> None:
    assert [one.budget for one in OBJECTIVES] == [0.001, 0.001, 0.01]
    assert list(BURNS) == ["critical", "warning"]


def test_a_drain_is_overdue_after_the_time_that_the_manifest_gives_it() -> None:
    (rule,) = [one for one in ALERTS if one["alert"] == "PushDrainOverdue"]
    assert rule["expr"].endswith(f"> {330 + 300}")


# Runbooks -------------------------------------------------------------------------------------------------------------

HEADINGS = ["## What it means", "## What users see", "## How to look", "## How to mend"]
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / RUNBOOKS).glob("*.md")}


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert set(PAGES) == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_is_wrong_and_links_its_page(rule: Object) -> None:
    page = ROOT / rule["annotations"]["runbook_url"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {rule['alert']}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert rule["annotations"]["summary"]
    severity = rule["labels"]["severity"]
    assert rule["labels"] == {"namespace": "apps", "pushcluster": "chat", "severity": severity}
    assert severity in BURNS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_only_metrics_that_rules_or_dashboards_know(name: str) -> None:
    known = " ".join([rule["expr"] for rule in _rules()] + [json.dumps(board) for board in dashboards(OWNER).values()])
    for metric in re.findall(r"\bpush_[a-z]+_[a-z_]+", PAGES[name]):
        assert metric in known, metric


# Dashboards -----------------------------------------------------------------------------------------------------------


def _queries(board: Object) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("name", ["overview", "gateways", "messages", "operator"])
def test_a_dashboard_is_whole(name: str) -> None:
    board = dashboards(OWNER)[name]
    assert json.loads(json.dumps(board)) == board
    panels = board["panels"]
    assert [one["id"] for one in panels] == list(range(1, len(panels) + 1))
    taken = [
        (column, line)
        for one in panels
        for column in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
        for line in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < 24
    assert len({one["title"] for one in panels if one["type"] != "row"}) > 6
    assert len(json.dumps(board)) < 100_000  # a ConfigMap has 1 MiB
