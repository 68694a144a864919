"""What is laid over pods: it is all there, and nothing of ours has gone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support.overlays import FULL_OVERLAY, full_overlay, overlaid
from tests.unit.operator.manifests import cluster, manifest

from push_operator.model import SERVICES, parse
from push_operator.overlay import OWN_BEGINNINGS, OWN_PATHS, OWN_VARIABLES, OWN_VOLUMES, overlay_of
from push_operator.plan.build import build
from push_operator.render.build import render
from push_operator.render.objects import Images, Object, Owner
from push_operator.render.overlay import laid_over

OWNER = Owner("apps", "chat", "0000-1111")
IMAGES = Images("push/workload", "nats:2", "valkey:9", "cassandra:5", registry="mirror:5000", pull_secrets=("mirror",))


def _template(body: dict[str, Any], service: str = "gateway") -> Object:
    objects = render(OWNER, build(parse(body)), IMAGES)
    return next(
        one["spec"]["template"]
        for one in objects
        if one["kind"] == "Deployment" and one["metadata"]["labels"]["app.kubernetes.io/component"] == service
    )


def _spec(**fields: Any) -> Object:
    return _template(overlaid({"spec": fields}))["spec"]  # type: ignore[no-any-return]  # of an object


PLAIN = _template(manifest())


def _named(items: list[Object]) -> dict[str, Object]:
    return {one["name"]: one for one in items}


def test_ours_would_stay_even_if_a_fault_were_overlooked() -> None:
    hostile = {
        "metadata": {"labels": {"pushcluster.io/serving": "false"}},
        "spec": {"serviceAccountName": "admin", "volumes": [{"name": "scratch", "hostPath": {"path": "/"}}]},
    }
    made = laid_over(PLAIN, hostile, {}, str)
    assert made["metadata"]["labels"] == PLAIN["metadata"]["labels"]
    assert made["spec"]["serviceAccountName"] == PLAIN["spec"]["serviceAccountName"]
    assert made["spec"]["volumes"] == PLAIN["spec"]["volumes"]


def test_the_example_in_the_docs_is_taken() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operator.md").read_text(encoding="utf-8")
    example = page.split("## What is laid over pods")[1].split("```yaml\n")[1].split("```")[0]
    made = _template(manifest(**yaml.safe_load(example)))
    assert [one["name"] for one in made["spec"]["containers"]] == ["gateway", "logs"]


@pytest.mark.parametrize("service", SERVICES)
def test_ours_is_all_there_whatever_is_laid_over(service: str) -> None:
    plain, made = _template(manifest(), service), _template(overlaid(full_overlay(service), service), service)
    labels = made["metadata"]["labels"]
    revision = "pushcluster.io/revision"
    assert {**labels, revision: ""}.items() >= {**plain["metadata"]["labels"], revision: ""}.items()
    for name in ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks",
                 "terminationGracePeriodSeconds"):  # fmt: skip
        assert made["spec"][name] == plain["spec"][name]
    before, own = plain["spec"]["containers"][0], made["spec"]["containers"][0]
    added = {"env", "envFrom", "volumeMounts"}
    assert {name: value for name, value in own.items() if name not in added} == {
        name: value for name, value in before.items() if name not in added
    }
    for name in ("env", "volumeMounts"):
        assert own[name][: len(before[name])] == before[name]
    assert made["spec"]["volumes"][: len(plain["spec"]["volumes"])] == plain["spec"]["volumes"]


def test_all_that_is_laid_over_is_there() -> None:
    made = _template(overlaid(full_overlay("gateway")))
    spec, wanted = made["spec"], FULL_OVERLAY["spec"]
    assert made["metadata"]["labels"]["example.com/team"] == "chat"
    assert made["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/default-container": "gateway", **FULL_OVERLAY["metadata"]["annotations"],
    }  # fmt: skip
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName", "schedulerName",
                 "hostAliases", "dnsPolicy", "dnsConfig"):  # fmt: skip
        assert spec[name] == wanted[name]
    assert [one["name"] for one in spec["imagePullSecrets"]] == ["mirror", "sidecars"]
    assert list(_named(spec["volumes"])) == ["scratch", *_named(wanted["volumes"])]
    assert [one["name"] for one in spec["containers"]] == ["gateway", "logs"]
    assert [one["name"] for one in spec["initContainers"]] == ["wait", "proxy"]
    own = spec["containers"][0]
    assert _named(own["env"]).keys() >= {"HTTPS_PROXY", "EMPTY", "NODE", "TOKEN", "NATS_URL"}
    assert len(own["envFrom"]) == 2
    assert {one["mountPath"] for one in own["volumeMounts"]} == {"/tmp", "/etc/ssl/own", "/run/keys/key"}  # noqa: S108 - as above


def test_users_and_groups_are_said_anew_and_the_rest_of_the_pods_security_stays() -> None:
    assert _spec(securityContext={"fsGroup": 7})["securityContext"] == {
        **PLAIN["spec"]["securityContext"],
        "fsGroup": 7,
    }


def test_containers_beside_ours_have_no_privilege_and_come_from_the_registry_that_is_set() -> None:
    made = _spec(containers=[{"name": "logs", "image": "logs:2"}],
                 initContainers=[{"name": "wait", "image": "wait:1", "securityContext": {
                     "runAsUser": 7, "capabilities": {"add": ["NET_BIND_SERVICE"]}}}])  # fmt: skip
    logs, wait = made["containers"][1], made["initContainers"][0]
    assert (logs["image"], wait["image"]) == ("mirror:5000/logs:2", "mirror:5000/wait:1")
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert logs["securityContext"] == confined
    assert wait["securityContext"] == {
        **confined, "runAsUser": 7, "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
    }  # fmt: skip


def test_a_spread_takes_the_place_of_ours_over_the_same_domains() -> None:
    zone = {"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    host, ours = PLAIN["spec"]["topologySpreadConstraints"]
    assert ours["topologyKey"] == zone["topologyKey"]
    made = _spec(topologySpreadConstraints=[zone])["topologySpreadConstraints"]
    assert made == [{**zone, "labelSelector": ours["labelSelector"]}, host]


def test_what_says_nothing_is_left_out_as_the_api_server_does() -> None:
    mount = {"name": "a", "mountPath": "/own", "readOnly": False, "subPath": None}
    made = _spec(volumes=[{"name": "a", "emptyDir": {"sizeLimit": 1048576}}],
                 containers=[{"name": "gateway", "volumeMounts": [mount]}])  # fmt: skip
    assert made["containers"][0]["volumeMounts"][-1] == {"name": "a", "mountPath": "/own"}
    assert made["volumes"][-1]["emptyDir"] == {"sizeLimit": "1048576"}


def _revisions(body: dict[str, Any]) -> dict[str, str]:
    return {one.component: one.revision for one in build(parse(body)).workloads}


def test_another_template_is_another_revision_of_that_service_alone() -> None:
    before, after = _revisions(manifest()), _revisions(overlaid({"metadata": {"annotations": {"restarted": "1"}}}))
    assert {one for one in before if before[one] != after[one]} == {"gateway"}
    again = _revisions(overlaid({"metadata": {"annotations": {"restarted": "2"}}}))
    assert again["gateway"] not in (before["gateway"], after["gateway"])


def test_one_that_says_nothing_is_no_other_revision() -> None:
    nothings: tuple[dict[str, Any], ...] = ({}, {"metadata": {}}, {"spec": None}, {"metadata": None, "spec": {}})
    for nothing in nothings:
        assert _revisions(overlaid(nothing)) == _revisions(manifest())


def test_the_names_that_are_taken_are_those_that_pods_have() -> None:
    cassandra = {"contactPoints": ["a"], "keyspace": "chat", "localDatacenter": "dc1", "credentialsSecret": "login"}
    login = {"credentialsSecret": "login"}
    made = [
        build(cluster(), ("https://page.example",)),
        build(cluster(cassandra=cassandra, topics=[{"prefix": "a", "read": "everyone", "write": "service"}],
                      nats={"url": "nats://a:1", **login}, redis={"url": "redis://a:1", **login},
                      tokens={"signingKeysSecret": "old", "privateKeysSecret": "own", "trustedIssuers": [
                          {"issuer": "https://a.example", "audience": "a", "userIdPrefix": ""}]},
                      notifications={
                          "fcm": {"serviceAccountSecret": "fcm"},
                          "apns": {"keySecret": "apns", "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "topic": "a.b"},
                          "webPush": {"subject": "mailto:a@example.com", "vapidSecret": "own"}})),
        build(cluster(cassandra={"managed": {}})),
    ]  # fmt: skip
    pods = [
        one["spec"]["template"]["spec"]
        for plan in made
        for one in render(OWNER, plan, IMAGES)
        if one["kind"] == "Deployment"
    ]
    containers = [one for pod in pods for one in pod["containers"]]
    assert {env["name"] for one in containers for env in one["env"]} == {*OWN_VARIABLES, OWN_BEGINNINGS[0] + "0"}
    volumes = {volume["name"] for pod in pods for volume in pod["volumes"]}
    assert volumes <= set(OWN_VOLUMES)
    assert {mount["mountPath"] for one in containers for mount in one["volumeMounts"]} <= set(OWN_PATHS)


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in items for place in _places(one, (*path, key)))]


@given(st.sampled_from(_places(FULL_OVERLAY)[1:]), _junk)
def test_whatever_stands_anywhere_it_is_taken_or_told_with_its_place(place: tuple[Any, ...], junk: Any) -> None:
    template = copy.deepcopy(full_overlay("gateway"))
    here: Any = template
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = junk
    _, faults = overlay_of(template, "gateway")
    assert all(one.path.startswith("podTemplate") and one.message for one in faults)
    if not faults:
        _template(overlaid(template))
