"""The chart as a real API server takes it: upgraded, rolled back, uninstalled, and as one file for kubectl.

Nothing runs the pods: the operator is started here, with the settings and the rights that the chart gives it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.chart import CHART, PREVIOUS, RELEASE, SYSTEM, Object, environment, helm, objects, rendered, the
from tests.support.kube import CRD_FILE, ApiServer
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.servers import free_port
from tests.support.verdicts import manifest
from tests.support.waiting import within

from push_operator.cluster.kubernetes.compare import holds

ROOT = CHART.parents[1]
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pushclusters.pushcluster.io"
Made = dict[tuple[str, str], Object]  # by kind and name


@pytest.fixture
def empty(programs: Path, tmp_path: Path) -> Iterator[ApiServer]:
    """Not even the resource definition: that is the chart's to bring."""
    made = ApiServer(programs, tmp_path / "empty")
    try:
        made.start_api_server()
        made.start_controllers()
        yield made
    finally:
        made.stop()


def _by_identity(made: Iterable[Object]) -> Made:
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


def _manifest(server: ApiServer, revision: int) -> Made:
    return _by_identity(objects(helm(server, "get", "manifest", RELEASE, "--revision", str(revision))))


def _live(server: ApiServer, wanted: Made) -> Made:
    """As the API server has them; those that are not there are left out."""
    text = yaml.safe_dump_all(wanted.values())
    found = yaml.safe_load(server.kubectl("get", "-f", "-", "-o", "yaml", "--ignore-not-found", text=text)) or {}
    return _by_identity(found.get("items", [found]) if found else ())


def _is_as(server: ApiServer, made: Made, before: Made) -> None:
    """The cluster holds all of `made`, and what only `before` had is gone."""
    live = _live(server, before | made)
    assert live.keys() == made.keys()
    assert not [key for key, one in made.items() if not holds(live[key], one)]


def _fields(server: ApiServer) -> set[str]:
    """Of the spec, by the definition that the API server has."""
    (version,) = server.get(CRD)["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


def _next_chart(folder: Path) -> Path:
    """This chart, whose definition knows one field more."""
    made = shutil.copytree(CHART, folder / "next")
    file = made / "files" / "pushcluster.yaml"
    definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["nextField"] = {"type": "string"}
    file.write_text(yaml.safe_dump(definition), encoding="utf-8")
    return made


def _a_platform(server: ApiServer) -> tuple[Namespace, Callable[[], tuple[str, Object]]]:
    """A PushCluster in a namespace of its own, and what must stay as it is of it."""
    place = Namespace(server, "chat")
    within(20, lambda: server.ask("POST", place.push(""), manifest())[0] in (201, 409))

    def kept() -> tuple[str, Object]:
        body = server.get(place.push())
        return body["metadata"]["uid"], body["spec"]

    return place, kept


@pytest.mark.parametrize("option", ["--reset-values", "--reuse-values"])
def test_upgraded_from_the_release_before_and_rolled_back(empty: ApiServer, tmp_path: Path, option: str) -> None:
    """With the values of before, those that are new are not there at all."""
    helm(empty, "install", RELEASE, str(PREVIOUS), "--create-namespace", "--set", "replicas=3,logLevel=debug")
    _, kept = _a_platform(empty)
    platform, before = kept(), _manifest(empty, 1)

    helm(empty, "upgrade", RELEASE, str(CHART), option)
    now = _manifest(empty, 2)
    _is_as(empty, now, before)
    assert the(now.values(), "Deployment")["spec"]["replicas"] == (3 if option == "--reuse-values" else 2)

    helm(empty, "upgrade", RELEASE, str(_next_chart(tmp_path)))
    assert "nextField" in _fields(empty)  # the definition is upgraded with the release

    helm(empty, "rollback", RELEASE, "2")
    _is_as(empty, now, before)
    assert "nextField" not in _fields(empty)
    helm(empty, "rollback", RELEASE, "1")
    _is_as(empty, before, now)
    assert kept() == platform


def test_uninstalled_and_installed_again(empty: ApiServer) -> None:
    empty.kubectl("apply", "-f", str(CRD_FILE))  # by hand, before there was a release
    helm(empty, "install", RELEASE, str(CHART), "--create-namespace", "--take-ownership")
    _, kept = _a_platform(empty)
    platform, made = kept(), _manifest(empty, 1)
    definition = ("CustomResourceDefinition", "pushclusters.pushcluster.io")
    helm(empty, "uninstall", RELEASE)
    _is_as(empty, {definition: made[definition]}, made)
    assert kept() == platform
    helm(empty, "install", RELEASE, str(CHART))
    _is_as(empty, made, {})
    assert kept() == platform


# One file for kubectl -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def install_yaml(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("install") / "install.yaml"
    command = ["make", "--no-print-directory", "install.yaml", f"HELM={programs}/helm", f"OUT={made}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return made


def test_the_one_file_is_the_chart_and_its_namespace(programs: Path, install_yaml: Path) -> None:
    namespace, *rest = objects(install_yaml.read_text(encoding="utf-8"))
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", SYSTEM)
    assert rest == objects(rendered(programs, "--skip-tests"))


@pytest.fixture
def run_as_deployed(tmp_path: Path) -> Iterator[Callable[[ApiServer, Object], OperatorProcess]]:
    started: list[OperatorProcess] = []

    def run(server: ApiServer, deployment: Object) -> OperatorProcess:
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        token = server.kubectl("create", "token", account, "-n", SYSTEM).strip()
        port = free_port()
        environ = environment(deployment) | {
            "KUBECONFIG": str(server.kubeconfig_for(token, account)), "POD_NAME": "one", "POD_NAMESPACE": SYSTEM,
            "ADMIN_HOST": "127.0.0.1", "ADMIN_PORT": str(port),
        }  # fmt: skip
        made = OperatorProcess((sys.executable, "-P", "-m", "push_operator"), environ, tmp_path / "operator.log", port)
        started.append(made)
        made.start()
        return made

    yield run
    for one in started:
        one.close()


def test_the_one_file_installs_an_operator_that_works(
    empty: ApiServer, install_yaml: Path, run_as_deployed: Callable[[ApiServer, Object], OperatorProcess]
) -> None:
    for _ in range(2):  # the second time is an upgrade
        empty.kubectl("apply", "--server-side", "-f", str(install_yaml))
    made = _by_identity(objects(install_yaml.read_text(encoding="utf-8")))
    _is_as(empty, made, {})
    place, _ = _a_platform(empty)
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}  # no other pods are let in
    empty.merge(f"/api/v1/namespaces/{place.name}", {"metadata": {"labels": restricted}})
    operator = run_as_deployed(empty, the(made.values(), "Deployment"))
    within(30, operator.leads)
    place.until(lambda: place.condition("Ready") == ("True", "AllReady"))
    # Its own pods are made, in a namespace that is restricted as well; so would the test's be.
    within(20, lambda: len(empty.get(f"/api/v1/namespaces/{SYSTEM}/pods")["items"]) == 2)
    test = rendered(empty.programs, template="tests/selfcheck")
    empty.kubectl("create", "--dry-run=server", "-f", "-", text=test)
    # Without its namespace and its roles the platform goes on.
    empty.kubectl("delete", "namespace", SYSTEM, "--wait=false")
    roles = f"app.kubernetes.io/instance={RELEASE}"
    empty.kubectl("delete", "clusterrole,clusterrolebinding", "-l", roles)
    assert empty.get(place.push())
