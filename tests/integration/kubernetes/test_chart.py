"""The chart as helm renders it: what its values mean, what is refused, which image runs, what its notes say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kubernetes.conftest import StartOperator
from tests.support.chart import CHART, RELEASE, environment, helm, objects, rendered, templated, the, values
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.servers import free_port

from push_operator import selfcheck
from push_operator.config import ConfigError, read_config

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


# Values ---------------------------------------------------------------------------------------------------------------

UNKNOWN = {
    "a misspelled value": ({"replica": 3}, "additional properties 'replica' not allowed"),
    "one inside another": ({"image": {"digets": DIGEST}}, "at '/image': additional properties 'digets' not allowed"),
    "a text for a number": ({"replicas": "3"}, "at '/replicas': got string, want integer"),
    "a number for a text": ({"natsImage": 2}, "at '/natsImage': got number, want string"),
    "a text for a list": ({"watchNamespaces": "chat"}, "at '/watchNamespaces': got string, want array"),
    "a text for a boolean": ({"aggregateRoles": "no"}, "at '/aggregateRoles': got string, want boolean"),
    "none of those there are": ({"logLevel": "loud"}, "at '/logLevel': value must be one of 'debug', 'info'"),
    "too many": ({"replicas": 10}, "at '/replicas': maximum: got 10, want 9"),
    "a Secret twice": ({"workloadPullSecrets": ["a", "a"]}, "at '/workloadPullSecrets': items at 0 and 1 are equal"),
    "resources of no kind": ({"resources": {"request": {}}}, "at '/resources': additional properties 'request'"),
    "a toleration of no kind": ({"tolerations": [{"effect": "No"}]}, "at '/tolerations/0/effect': value must be"),
    "an affinity of no kind": ({"affinity": {"node": {}}}, "at '/affinity': additional properties 'node'"),
    "an image taken away": ({"image": None}, "missing property 'image'"),
    "a tag that is none": ({"image": {"tag": "a:b"}}, 'image.tag must be an image tag such as 0.1.0; not "a:b"'),
    "the operator's image with its tag": ({"image": {"repository": "push:1"}}, "image.repository must be an image's"),
    "half a digest": ({"image": {"digest": "sha256:12"}}, "image.digest must be sha256: and 64 hexadecimal digits"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_it_refuses_what_it_does_not_know(programs: Path, given: dict[str, Any], said: str) -> None:
    done = templated(programs, *values(given))
    assert done.returncode != 0
    assert said in done.stderr


# What both the chart and the operator judge: the value, its variable, what the operator reads in it, good and bad ones.
_IMAGES_GOOD = (
    "nats:2.12-alpine",
    f"nats@{DIGEST}",
    f"nats:2@{DIGEST}",
    "r.example:5000/a/b_c:1",
    "localhost/x",
    "a/b/c",
)
_IMAGES_BAD = (
    "nats:",
    "Nats:2",
    "nats@sha256:12",
    "a//b",
    "https://r.example/nats:2",
    f"nats@{DIGEST.upper()}",
    "a b",
    "/a",
)
JUDGED: dict[str, tuple[str, tuple[Any, ...], tuple[Any, ...]]] = {
    "natsImage": ("NATS_IMAGE", _IMAGES_GOOD, _IMAGES_BAD),
    "valkeyImage": ("VALKEY_IMAGE", _IMAGES_GOOD[:1], _IMAGES_BAD[:1]),
    "cassandraImage": ("CASSANDRA_IMAGE", _IMAGES_GOOD[:1], _IMAGES_BAD[:1]),
    "workloadImage": ("WORKLOAD_IMAGE", ("w", "r.example:5000/a/b"), ("w:1", f"w@{DIGEST}", "A", "a/")),
    "imageRegistry": (
        "IMAGE_REGISTRY",
        ("r.example", "r:5000", "localhost", "r.example:5000/a/b", "10.0.0.1:5000/mirror"),
        ("mirror", "r.example/", "https://r.example", "r.example:port", "R.example", "mirror/r.example"),
    ),
    "workloadDigests": (
        "WORKLOAD_DIGESTS",
        ({"0.1.0": DIGEST}, {"a": DIGEST, "b_1": DIGEST}),
        ({"0.1.0": ""}, {"0.1.0": "sha256:12"}, {"a b": DIGEST}, {"0.1.0": DIGEST, "0.2.0": "0.2.0"}),
    ),
    "workloadPullSecrets": ("WORKLOAD_PULL_SECRETS", (["a"], ["a-1", "b.c"]), (["A"], ["a_b"], ["a", "-b"])),
    "watchNamespaces": ("WATCH_NAMESPACES", (["chat"], ["a", "b-1"]), (["Chat"], ["a b"])),
}  # fmt: skip
CASES = [
    pytest.param(name, variable, value, fine, id=f"{name}={value}")
    for name, (variable, good, bad) in JUDGED.items()
    for fine, several in ((True, good), (False, bad))
    for value in several
]


@pytest.mark.parametrize(("name", "variable", "value", "fine"), CASES)
def test_it_judges_as_the_operator_does(programs: Path, name: str, variable: str, value: Any, fine: bool) -> None:
    """And hands over to the operator, letter by letter, what it lets through."""
    done = templated(programs, *values({name: value}), template="deployment")
    if fine:
        assert environment(the(objects(done.stdout), "Deployment"))[variable] == _text(value)
        read_config({variable: _text(value)}, "", "")
    else:
        assert f"{name}" in done.stderr and " must be " in done.stderr
        with pytest.raises(ConfigError, match=f"{variable} must be "):
            read_config({variable: _text(value)}, "", "")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={one}" for key, one in value.items())
    return value if isinstance(value, str) else ",".join(value)


def test_all_that_is_wrong_is_told_at_once(programs: Path) -> None:
    done = templated(programs, *values({"natsImage": "nats:", "imageRegistry": "mirror", "watchNamespaces": ["A"]}))
    assert [line.split(" ")[1] for line in done.stderr.splitlines() if line.startswith("- ")] == [
        "natsImage", "imageRegistry", "watchNamespaces",
    ]  # fmt: skip


# Images ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "image"),
    [
        ({}, "pushcluster/operator:0.1.0"),
        ({"image": {"tag": "1"}}, "pushcluster/operator:1"),
        ({"image": {"digest": DIGEST}}, f"pushcluster/operator:0.1.0@{DIGEST}"),
        ({"imageRegistry": "r.example:5000/mirror"}, "r.example:5000/mirror/pushcluster/operator:0.1.0"),
        ({"imageRegistry": "r.example", "image": {"repository": "quay.io/push"}}, "quay.io/push:0.1.0"),
        ({"imageRegistry": "r.example", "image": {"repository": "localhost/push"}}, "localhost/push:0.1.0"),
        ({"imageRegistry": "r.example", "image": {"repository": "push", "tag": "1"}}, "r.example/push:1"),
    ],
)
def test_the_operator_and_its_test_run_the_same_image(programs: Path, given: dict[str, Any], image: str) -> None:
    made = objects(rendered(programs, *values(given)))
    pod, deployment = the(made, "Pod"), the(made, "Deployment")
    assert [one["spec"]["containers"][0]["image"] for one in (pod, deployment["spec"]["template"])] == [image, image]


def test_an_air_gap_is_one_value(programs: Path) -> None:
    """All images are the mirror's: the operator's own, and what it runs."""
    made = objects(rendered(programs, *values({"imageRegistry": "r.example:5000/mirror"})))
    images = read_config(environment(the(made, "Deployment")), "", "").images
    told = (images.of_workload(None, "0.1.0"), *map(images.located, (images.nats, images.valkey, images.cassandra)))
    assert all(one.startswith("r.example:5000/mirror/") for one in told)
    text = rendered(programs, *values({"imageRegistry": "r.example:5000/mirror"}))
    assert {line.split()[1] for line in text.splitlines() if line.strip().startswith("image: ")} == {
        '"r.example:5000/mirror/pushcluster/operator:0.1.0"'
    }


# Notes ----------------------------------------------------------------------------------------------------------------


def _notes(server: ApiServer, given: dict[str, Any]) -> str:
    # The definition is there already, and no release's.
    options = ("--dry-run=client", "--take-ownership", *values(given))
    said = helm(server, "install", RELEASE, str(CHART), *options)
    return said.partition("\nNOTES:\n")[2]


def _block(notes: str, first: str, last: str) -> str:
    """From one line to another, as it is pasted: indented, its here-document would not end."""
    lines = notes.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(first))
    return "\n".join(lines[begin : lines.index(last, begin) + 1]) + "\n"


def test_its_notes_begin_a_platform(server: ApiServer) -> None:
    notes = _notes(server, {})
    assert "in every namespace" in notes
    _in_a_shell(server, _block(notes, "kubectl create namespace chat", "EOF"))
    assert server.get("/apis/pushcluster.io/v1alpha1/namespaces/chat/pushclusters/chat")
    server.kubectl("delete", "namespace", "chat", "--wait=false")


def test_its_notes_know_the_namespaces(server: ApiServer, namespace: Namespace) -> None:
    notes = _notes(server, {"watchNamespaces": [namespace.name, "office"], "workloadPullSecrets": ["registry"]})
    assert f"in {namespace.name}, office, and has no right anywhere else" in notes
    assert "pulled with registry: this Secret must be in its namespace" in notes
    assert "create namespace" not in notes
    _in_a_shell(server, _block(notes, f"kubectl -n {namespace.name} apply", "EOF"))
    assert server.get(namespace.push())


def test_its_notes_ask_for_a_definition_that_it_does_not_bring(server: ApiServer) -> None:
    assert "apply --server-side -f crds/pushcluster.yaml" in _notes(server, {"crd": {"install": False}})
    assert "crds/" not in _notes(server, {})


def _in_a_shell(server: ApiServer, script: str) -> None:
    environ = os.environ | {"KUBECONFIG": str(server.kubeconfig), "PATH": f"{server.programs}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-eu", "-c", script], env=environ, check=True, capture_output=True, timeout=60)


# helm test ------------------------------------------------------------------------------------------------------------


def test_its_test_asks_every_operator(server: ApiServer, namespace: Namespace, start_operator: StartOperator) -> None:
    hosts, port = ("127.0.0.2", "127.0.0.3"), str(free_port())
    for host in hosts:
        start_operator(ADMIN_HOST=host, ADMIN_PORT=port)
    fault, said = selfcheck.check(lambda: hosts, int(port), count=2, seconds=60)
    assert fault is None
    assert sorted(line.partition(": ")[2] for line in said.splitlines()) == ["leading", "standing by"]


def test_its_test_is_of_the_operators_service(programs: Path) -> None:
    made = objects(rendered(programs, *values({"replicas": 3})))
    service, pod, deployment = the(made, "Service"), the(made, "Pod"), the(made, "Deployment")
    (container,) = pod["spec"]["containers"]
    assert container["command"][1:] == ["-m", selfcheck.__name__]
    meta, (port,) = service["metadata"], service["spec"]["ports"]
    assert container["args"] == [f"{meta['name']}.{meta['namespace']}.svc", str(port["port"]), "3"]
    # No right, no token; and neither Service nor budget takes it for an operator.
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod["spec"]
    selector = service["spec"]["selector"].items()
    assert selector <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= pod["metadata"]["labels"].items()
