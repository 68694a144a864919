"""`push` and `kubectl push` against a real API server, through the real kubectl."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.kube import ApiServer, api_server
from tests.support.kubelet import NODE, kubelet
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.platform import PUSH
from tests.support.verdicts import manifest
from tests.support.waiting import within

Push = Callable[..., str]
READY = ("True", "AllReady")
GOT = "; `push get` shows how it comes about\n"


def _environ(server: ApiServer) -> dict[str, str]:
    path = os.pathsep.join((str(server.programs), os.environ["PATH"]))
    return os.environ | {"KUBECONFIG": str(server.kubeconfig), "PATH": path}


@pytest.fixture
def push(namespace: Namespace, tmp_path: Path) -> Push:
    """Runs a command where no platform runs; returns what it printed, or its errors when `code` is not 0."""

    def run(*arguments: str, code: int = 0, **environ: str) -> str:
        where = () if "-n" in arguments or environ else ("-n", namespace.name)
        command = (*PUSH, *arguments, *where)
        settings = _environ(namespace.server) | environ
        done = subprocess.run(
            command, env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stderr if code else done.stdout

    return run


def _file(folder: Path, *documents: Any) -> str:
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_a_whole_life(namespace: Namespace, operator: OperatorProcess, push: Push, tmp_path: Path) -> None:
    """Applied, read, scaled: by the words of the local platform, and with what only a Kubernetes has."""
    path = _file(tmp_path, manifest())
    assert push("apply", path) == f"pushcluster.pushcluster.io/chat created (context x){GOT}"
    namespace.until(lambda: namespace.condition("Ready") == READY)
    table = push("get").splitlines()
    assert table[:2] == ["chat: ready", ""]
    assert table[2].split() == ["COMPONENT", "READY", "CONNECTIONS", "ENDPOINT", "RESTARTS", "NOTE"]
    assert ["gateway", "2/2", "0", f"ws://chat-gateway.{namespace.name}.svc:8080/ws", "0"] in [
        one.split() for one in table
    ]
    wide = push("get", "chat", "-o", "wide")
    heads = wide.split("\n\n")[3].splitlines()[0].split()
    assert heads == ["POD", "READY", "NODE", "IP", "AGE", "RESTARTS", "LEFT", "MARK", "NOTE"]
    assert wide.count("\nchat-gateway-") == 2
    whole = json.loads(push("get", "-o", "json"))
    assert (whole["kind"], whole["status"]["gateways"], len(whole["units"])) == ("PushCluster", 2, 8)
    assert yaml.safe_load(push("get", "chat", "-o", "yaml"))["spec"] == whole["spec"]

    assert push("scale", "gateway", "3") == f"gateway of chat scaled to 3 (context x){GOT}"
    assert namespace.server.get(namespace.push())["spec"]["gateway"]["replicas"] == 3
    push("scale", "presence", "2", "--name", "chat")
    namespace.until(lambda: namespace.condition("Ready") == READY)
    namespace.until(lambda: "presence    2/2" in push("get") and "gateway     3/3" in push("get"))
    assert push("apply", path) == f"pushcluster.pushcluster.io/chat configured (context x){GOT}"
    assert namespace.server.get(namespace.push())["spec"]["gateway"]["replicas"] == 2
    managers = {one["manager"] for one in namespace.server.get(namespace.push())["metadata"]["managedFields"]}
    assert "kubectl-client-side-apply" in managers


def test_keys_are_rotated_by_an_annotation(
    namespace: Namespace, operator: OperatorProcess, push: Push, tmp_path: Path
) -> None:
    """The operator makes the key, and nobody but the auth service gets it."""
    path = _file(tmp_path, manifest())
    push("apply", path)
    namespace.until(lambda: namespace.condition("Ready") == READY)
    told = push("keys", "rotate")
    made = told.split()[1]
    assert told == f"key {made} is made: it signs in 15 minutes (context x); `push keys list` shows all\n"
    assert "published, does not sign yet" in push("keys", "list")
    assert "the newest key signs only in" in push("keys", "rotate", code=1)

    def variables(component: str) -> set[str]:
        found = namespace.server.get(namespace.apps("deployments", f"chat-{component}"))
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return {one["name"] for one in container["env"] if one["name"].startswith("SIGNING_KEY")}

    namespace.until(lambda: variables("auth") == {"SIGNING_KEY_0", f"SIGNING_KEY_{made}"})
    secret = namespace.server.get(namespace.path("secrets", "chat-credentials"))
    assert secret["data"]["SIGNING_KEY_0"] != secret["data"][f"SIGNING_KEY_{made}"]
    assert variables("presence") == set()
    push("apply", path)  # does not forget it
    assert made in push("keys", "list")


def test_several_are_a_line_each(namespace: Namespace, push: Push) -> None:
    """No operator here: what has not been started is told as such."""
    for name in ("chat", "talk"):
        namespace.create(manifest(name))
    note = "nothing has started yet: does the operator run?"
    assert push("get").splitlines() == ["NAME   READY   GATEWAYS   CONNECTIONS   VERSION   NOTE"] + [
        f"{name}   no      -          -             -         {note}" for name in ("chat", "talk")
    ]
    assert [one["metadata"]["name"] for one in json.loads(push("get", "-o", "json"))["items"]] == ["chat", "talk"]
    assert push("get", "talk") == push("get", "talk", "--target", "kube")
    for command in (("scale", "gateway", "3"), ("logs", "auth")):
        told = "push: there are several PushClusters in this namespace: say which one with --name: chat, talk\n"
        assert push(*command, code=1) == told
    push("scale", "gateway", "3", "--name", "talk")
    assert namespace.server.get(namespace.push("talk"))["spec"]["gateway"]["replicas"] == 3
    assert "no auth of talk has started yet" in push("logs", "auth", "--name", "talk", code=1)


def test_what_is_refused_is_one_line_and_changes_nothing(namespace: Namespace, push: Push, tmp_path: Path) -> None:
    namespace.create(manifest())
    before = namespace.server.get(namespace.push())
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"JWT_SECRET": "s" * 32}}
    path = _file(tmp_path, keys, manifest(size="tiny", gateway={"replicas": 0}), manifest("talk"))
    assert push("apply", path, code=1).splitlines() == [
        f"push: {path}: spec.size: must be one of small, medium, large",
        f"push: {path}: spec.gateway.replicas: must be a whole number from 1 to 1000",
    ]
    assert namespace.names(namespace.path("secrets")) == set()
    assert namespace.names(namespace.push("")) == {"chat"}
    found = push("apply", _file(tmp_path, keys), code=1)
    assert found == f"push: {path}: manifest: must hold a PushCluster; found Secret\n"

    told = push("scale", "message", "2", code=1)
    assert told.count("\n") == 1
    assert 'push: kubectl: The PushCluster "chat" is invalid: spec.message.replicas' in told
    assert "must be 1 with the embedded store" in told
    told = push("scale", "gateway", "0", code=1)
    assert (told.count("\n"), "spec.gateway.replicas" in told) == (1, True)
    told = push("scale", "gateway", "-1", code=1)
    assert (told.count("\n"), "kubectl: " in told) == (1, True)
    assert namespace.server.get(namespace.push()) == before


def test_a_number_that_the_operator_finds_is_not_set(namespace: Namespace, push: Push) -> None:
    namespace.create(manifest(
        cassandra={"managed": {}}, gateway={"scaling": {"mode": "Operator"}},
        message={"autoscaling": {"maxReplicas": 3}},
    ))  # fmt: skip
    for component, why in (("gateway", "is the operator's to find"), ("message", "follows what waits in its stream")):
        told = push("scale", component, "2", code=1)
        assert (told.count("\n"), f"how many of {component} there are {why}" in told) == (1, True)
        assert f"set spec.{component}.autoscaling.minReplicas and maxReplicas" in told
    push("scale", "push", "2")


def test_a_rollout_is_resumed_and_undone_by_an_annotation(namespace: Namespace, push: Push) -> None:
    def annotations() -> dict[str, str]:
        found: dict[str, str] = namespace.server.get(namespace.push())["metadata"].get("annotations") or {}
        return found

    for name in ("chat", "talk"):
        namespace.create(manifest(name))
    several = "push: there are several PushClusters in this namespace: say which one with NAME: chat, talk\n"
    assert push("rollout", "undo", code=1) == several
    assert push("rollout", "status", "chat") == "chat: no rollout; no gateway runs\n"
    told = push("rollout", "undo", "chat", code=1)
    assert told == "push: there is no rollout to undo: `push rollout status` shows the gateways by revision\n"
    assert not annotations()
    status = {"status": {"rollout": {"revision": "bbbbbbbb", "state": "Halted", "reason": "NotReady"}}}
    path = namespace.push(subresource="status")
    assert namespace.server.ask("PATCH", path, status, "application/merge-patch+json")[0] == 200
    assert "chat: rollout of bbbbbbbb Halted: NotReady" in push("rollout", "status", "chat")
    for action in ("undo", "resume"):
        told = push("rollout", action, "chat")
        assert told == (f"{action} of the rollout of bbbbbbbb of chat is asked for (context x); "
                        "`push rollout status` shows how it comes about\n")  # fmt: skip
        assert annotations() == {"pushcluster.io/rollout": f"{action}:bbbbbbbb"}


def test_a_secret_is_never_repeated(namespace: Namespace, push: Push, tmp_path: Path) -> None:
    """kubectl prints the patch that was refused; of a Secret that would be its values. What else went well is told."""
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "immutable": True,
            "stringData": {"JWT_SECRET": "first-secret"}}  # fmt: skip
    push("apply", _file(tmp_path, keys, manifest()))
    keys["stringData"] = {"JWT_SECRET": "other-secret"}
    told = push("apply", _file(tmp_path, keys, manifest(gateway={"replicas": 3})), code=1)
    assert told.count("\n") == 1
    assert "immutable" in told
    assert "(but done: pushcluster.pushcluster.io/chat configured)" in told
    assert "-secret" not in told
    assert namespace.server.get(namespace.push())["spec"]["gateway"]["replicas"] == 3
    broken = keys | {"immutable": False, "data": {"KEY": "not base 64"}}
    told = push("apply", _file(tmp_path, broken, manifest()), code=1)
    assert "illegal base64 data" in told
    assert "-secret" not in told


def test_what_is_not_there_is_one_line(namespace: Namespace, push: Push, tmp_path: Path) -> None:
    empty = push("get", code=1)
    assert empty == ("push: there is no PushCluster in this namespace (context x): make one with `push apply FILE`, "
                     "or name another with -n\n")  # fmt: skip
    assert empty == push("scale", "gateway", "2", code=1) == push("logs", "auth", code=1)
    unknown = 'push: kubectl: Error from server (NotFound): pushclusters.pushcluster.io "other" not found\n'
    assert unknown == push("get", "other", code=1) == push("scale", "gateway", "2", "--name", "other", code=1)
    assert unknown == push("scale", "auth", "1", "--name", "other", code=1)
    assert unknown == push("logs", "auth", "--name", "other", code=1)
    other = push("get", "--context", "nowhere", code=1)
    assert (other.count("\n"), "nowhere" in other) == (1, True)
    config = json.loads(namespace.server.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    away = tmp_path / "away"
    away.write_text(json.dumps(config))
    for command in (("get",), ("scale", "gateway", "2"), ("logs", "auth"), ("apply", _file(tmp_path, manifest()))):
        told = push(*command, code=1, KUBECONFIG=str(away))
        assert (told.count("\n"), "127.0.0.1:1" in told and "refused" in told) == (1, True), told


def test_the_rights_that_the_documentation_names_are_enough(namespace: Namespace, push: Push, tmp_path: Path) -> None:
    def rule(group: str, resources: str, *verbs: str) -> dict[str, Any]:
        return {"apiGroups": [group], "resources": [resources], "verbs": list(verbs)}

    rules = [rule("pushcluster.io", "pushclusters", "get", "list", "create", "patch"),
             rule("pushcluster.io", "pushclusters/scale", "patch"),
             rule("", "pods", "list"), rule("", "pods/log", "get")]  # fmt: skip
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    namespace.server.must("POST", namespace.path("roles", api=rbac), {"metadata": {"name": "dev"}, "rules": rules})
    binding = {"metadata": {"name": "dev"}, "subjects": [{"kind": "User", "name": "dev"}],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dev"}}  # fmt: skip
    namespace.server.must("POST", namespace.path("rolebindings", api=rbac), binding)
    config = json.loads(namespace.server.kubeconfig.read_text())
    config["users"][0]["user"]["as"] = "dev"
    (tmp_path / "dev").write_text(json.dumps(config))
    here = ("-n", namespace.name, "--kubeconfig", str(tmp_path / "dev"))
    within(10, lambda: namespace.server.get(namespace.path("rolebindings", "dev", rbac)))
    push("apply", _file(tmp_path, manifest()), *here)
    push("apply", _file(tmp_path, manifest(auth={"replicas": 1})), *here)
    push("scale", "gateway", "3", *here)
    push("scale", "presence", "2", *here)
    assert push("get", *here) == push("get", "chat", *here)
    pod = {"metadata": {"name": "p-presence", "labels": {
        "app.kubernetes.io/managed-by": "push-operator", "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/component": "presence"}},
        "spec": {"containers": [{"name": "presence", "image": "i"}]}}  # fmt: skip
    within(10, lambda: namespace.server.get(namespace.path("serviceaccounts", "default")))
    namespace.server.must("POST", namespace.path("pods"), pod)
    with kubelet(namespace, tmp_path) as node:
        node.start(namespace, "p-presence")
        node.write(namespace, "p-presence", "a line")
        assert push("logs", "presence", *here) == "a line\n"
    told = push("get", "-n", "default", "--kubeconfig", str(tmp_path / "dev"), code=1)
    assert (told.count("\n"), 'User "dev" cannot list resource "pushclusters"' in told) == (1, True)


def test_a_cluster_that_knows_no_pushcluster(server: ApiServer, tmp_path: Path) -> None:
    """An API server of its own: the garbage collector of the others' would need half a minute to get over it."""
    with api_server(server.programs, tmp_path / "kube") as bare:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pushclusters.pushcluster.io"
        bare.must("DELETE", path)
        within(20, lambda: bare.get(path) is None)
        environ = _environ(bare) | {"HOME": str(tmp_path)}  # where kubectl remembers the kinds that a server has
        for command in (("get",), ("scale", "gateway", "2"), ("logs", "auth"), ("apply", _file(tmp_path, manifest()))):
            done = subprocess.run(
                (*PUSH, *command), env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
            assert "install crds/pushcluster.yaml and the operator there (docs/operator.md)" in done.stderr


def test_kubectl_push(namespace: Namespace, tmp_path: Path) -> None:
    """A program of this name on the PATH is all that kubectl asks for."""
    namespace.create(manifest())
    plugin = tmp_path / "kubectl-push"
    start = "import sys; from push_operator.cli.main import kubectl_push; sys.exit(kubectl_push())"
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    plugin.chmod(0o755)
    environ = _environ(namespace.server)
    environ["PATH"] = os.pathsep.join((str(tmp_path), environ["PATH"]))

    def kubectl(*arguments: str) -> str:
        command = ("kubectl", "push", *arguments)
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert kubectl("get", "-n", namespace.name).startswith("chat: not ready")
    assert "usage: kubectl push" in kubectl("--help")
    assert "kubectl push scale gateway 3 -n chat" in kubectl("--help")
    assert kubectl("--version").strip()


# Logs: the node's own part of them is played ------------------------------------------------------------------------


@pytest.fixture
def presences(namespace: Namespace, operator: OperatorProcess) -> Callable[[], list[str]]:
    """The names of the pods of presence, which are two and on no node yet."""

    def names() -> list[str]:
        found = namespace.items(namespace.path("pods") + "?labelSelector=app.kubernetes.io/component%3Dpresence")
        return sorted(one["metadata"]["name"] for one in found)

    namespace.create(manifest(presence={"replicas": 2}))
    within(30, lambda: len(names()) == 2)
    return names


def _record(text: str) -> str:
    fields = {
        "ts": "2030-01-01T00:00:00.000+00:00",
        "level": "info",
        "service": "presence",
        "instance": "i",
        "msg": text,
    }
    return json.dumps(fields)


def test_logs_of_all_pods_are_merged_and_followed(
    namespace: Namespace, presences: Callable[[], list[str]], push: Push, tmp_path: Path
) -> None:
    first, second = presences()
    with kubelet(namespace, tmp_path) as node:
        node.start(namespace, first)
        told = push("logs", "presence")  # the other one has no node yet
        assert told == ""
        node.start(namespace, second)
        for number, pod in enumerate((first, second, second, first, second)):
            node.write(namespace, pod, _record(f"line {number}"))
        assert [line.split(" ", 1)[1] for line in push("logs", "presence").splitlines()] == [
            f"INFO i line {number}" for number in range(5)
        ]
        assert push("logs", "presence", "--raw", "--tail", "2").splitlines() == [_record("line 3"), _record("line 4")]
        assert push("logs", "presence", "--tail", "0") == ""
        assert NODE in push("get", "-o", "wide")

        command = (*PUSH, "logs", "presence", "-f", "--tail", "1", "--raw", "-n", namespace.name)
        with subprocess.Popen(
            command, env=_environ(namespace.server), cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as shown:
            seen: list[str] = []
            threading.Thread(target=lambda: seen.extend(shown.stdout or ()), daemon=True).start()
            within(20, lambda: len(seen) == 1)
            within(20, lambda: any("follow" in asked for asked in node.asked))
            for text in ("", "after", "after"):
                node.write(namespace, first, text)
            within(10, lambda: seen[1:] == ["\n", "after\n", "after\n"])
            node.end(namespace, second)
            node.start(namespace, second)  # again: another life, another log
            node.write(namespace, second, "again")
            within(20, lambda: seen[4:] == ["again\n"])
            node.write(namespace, first, "the end")
            within(10, lambda: seen[5:] == ["the end\n"])
            shown.send_signal(signal.SIGINT)
            assert shown.wait(10) == 130
    assert seen[0] == _record("line 4") + "\n"
