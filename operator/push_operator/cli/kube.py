"""PushClusters in a Kubernetes as a target."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from push_operator.cli.files import documents_in, read
from push_operator.cli.keys import new_key
from push_operator.cli.kubectl import Failed, Kubectl, items
from push_operator.cli.podlogs import PodLogs
from push_operator.cli.target import AdminPort, Platform, as_mapping
from push_operator.cluster.kubernetes.kinds import PODS, PUSH_CLUSTERS
from push_operator.cluster.kubernetes.units import units_of
from push_operator.errors import ClusterError, Fault, SpecError
from push_operator.model import KIND, SERVICES, parse
from push_operator.plan.env import service_key
from push_operator.plan.names import ADMIN_KEY, credentials_name
from push_operator.plan.services import ADMIN_PORT, PUBLIC_PORTS
from push_operator.plan.steering import ROLLOUT, refuse_number, rollout_order
from push_operator.render.objects import COMPONENT, INSTANCE, MANAGED_BY, OPERATOR, text_of
from push_operator.tokens import KEYS_ANNOTATION, rotated

_RESOURCE: Final = f"{PUSH_CLUSTERS.plural}.{PUSH_CLUSTERS.group}"
_SCALED_BY_SUBRESOURCE: Final = SERVICES[0]


class KubeTarget:
    """Those of one namespace. `name` None: the only one there is, or all of them where that makes sense."""

    def __init__(self, kubectl: Kubectl, name: str | None = None) -> None:
        self._kubectl, self._name = kubectl, name

    def platforms(self) -> Sequence[Platform]:
        bodies = self._bodies()
        labels = {MANAGED_BY: OPERATOR} | ({INSTANCE: self._name} if self._name else {})
        pods = items(self._kubectl.ask("get", PODS.plural, f"--selector={text_of(labels)}"))
        return [_platform(body, pods) for body in bodies]

    def put(self, file: str) -> str:
        """What was checked is what is sent: a file that is a pipe can be read only once."""
        text = read(file)
        _check(documents_in(text, file))
        try:
            done = self._kubectl.run("apply", "--filename=-", text=text)
        except Failed as error:  # of several objects the others are applied
            rest = f" (but done: {_joined(error.printed)})" if error.printed.strip() else ""
            raise ClusterError(f"{file}: {error}{rest}") from error
        return f"{_joined(done)} {self._where()}"

    def scale(self, component: str, replicas: int) -> str:
        """Gateways by the scale subresource, as `kubectl scale` and an autoscaler do it; it knows no others."""
        body = self._one_body()
        refuse_number(body, component)
        name = body["metadata"]["name"]
        if component == _SCALED_BY_SUBRESOURCE:
            self._kubectl.run("scale", f"{_RESOURCE}/{name}", f"--replicas={replicas}")
        else:
            self._patch(name, {"spec": {component: {"replicas": replicas}}})
        return f"{component} of {name} scaled to {replicas} {self._where()}"

    def steer(self, action: str) -> str:
        body = self._one_body("NAME")
        order = rollout_order(body, action)
        name, revision = body["metadata"]["name"], order.partition(":")[2]
        self._patch(name, {"metadata": {"annotations": {ROLLOUT: order}}})
        return f"{action} of the rollout of {revision} of {name} is asked for {self._where()}"

    @contextmanager
    def admin(self, component: str) -> Iterator[AdminPort]:
        """Through the API server: nobody else reaches an admin port."""
        name = self._one()
        token = self._kept(credentials_name(name), ADMIN_KEY)
        with self._kubectl.forwarded(self._ready(name, component), ADMIN_PORT) as port:
            yield AdminPort("127.0.0.1", port, token)

    @contextmanager
    def public(self, component: str) -> Iterator[AdminPort]:
        """Also through the API server: it need not be exposed."""
        body = self._one_body()
        key = service_key(parse(body))
        token = self._kept(key.secret, key.key)
        pod = self._ready(body["metadata"]["name"], component)
        with self._kubectl.forwarded(pod, PUBLIC_PORTS[component]) as port:
            yield AdminPort("127.0.0.1", port, token)

    def _ready(self, name: str, component: str) -> str:
        """A pod of it. Raises ClusterError when none is ready."""
        selector = text_of({MANAGED_BY: OPERATOR, INSTANCE: name, COMPONENT: component})
        pods = items(self._kubectl.ask("get", PODS.plural, f"--selector={selector}"))
        ready = [unit.name for unit in units_of(pods) if unit.ready]
        if not ready:
            raise ClusterError(f"no {component} of {name} is ready: `push get {name} -o wide` says what lacks")
        return f"pod/{ready[0]}"

    def _kept(self, secret: str, key: str) -> str:
        """A value of a Secret. Raises ClusterError when there is none."""
        data = self._kubectl.ask("get", "secrets", secret).get("data") or {}
        try:
            return base64.b64decode(data[key], validate=True).decode()
        except (KeyError, ValueError) as error:
            raise ClusterError(f"Secret {secret} has no key {key}: does the operator run?") from error

    def rotate_keys(self, *, at_once: bool) -> str:
        body = self._one_body()
        keys = rotated(parse(body).tokens, int(time.time()), at_once=at_once)
        self._patch(body["metadata"]["name"], {"metadata": {"annotations": {KEYS_ANNOTATION: keys}}})
        return f"{new_key(keys)} {self._where()}"

    def logs(self, component: str, tail: int, *, follow: bool) -> Generator[str, None, None]:
        name = self._one()
        logs = PodLogs(self._kubectl, text_of({MANAGED_BY: OPERATOR, INSTANCE: name, COMPONENT: component}), component)
        if not logs.lives():
            self._bodies()  # it says so if the name is wrong
            raise ClusterError(f"no {component} of {name} has started yet: `push get {name} -o wide` says what lacks")
        yield from logs.last(tail)
        if follow:
            with closing(logs.follow()) as lines:
                yield from lines

    def _bodies(self) -> list[dict[str, Any]]:
        if self._name:
            return [self._kubectl.ask("get", f"{_RESOURCE}/{self._name}")]
        bodies = items(self._kubectl.ask("get", _RESOURCE))
        if not bodies:
            raise ClusterError(
                f"there is no {KIND} in this namespace {self._where()}: "
                "make one with `push apply FILE`, or name another with -n"
            )
        return bodies

    def _one(self) -> str:
        """The name of the one that is meant."""
        return self._name or str(self._one_body()["metadata"]["name"])

    def _one_body(self, how: str = "--name") -> dict[str, Any]:
        bodies = self._bodies()
        if len(bodies) > 1:
            names = ", ".join(body["metadata"]["name"] for body in bodies)
            raise ClusterError(f"there are several PushClusters in this namespace: say which one with {how}: {names}")
        return bodies[0]

    def _patch(self, name: str, patch: Mapping[str, Any]) -> None:
        self._kubectl.run("patch", f"{_RESOURCE}/{name}", "--type=merge", f"--patch={json.dumps(patch)}")

    def _where(self) -> str:
        """Said where something is changed: which cluster kubectl is set to is easily forgotten."""
        try:
            return f"(context {self._kubectl.context()})"
        except ClusterError:
            return "(no context)"  # inside a pod there is none


def _check(documents: Sequence[Any]) -> None:
    """Holds each PushCluster to the model. Other objects are the API server's to judge."""
    given = [document for document in documents if isinstance(document, Mapping)]
    bodies = [document for document in given if document.get("kind") == KIND]
    faults: list[Fault] = []
    for body in bodies:
        try:
            parse(body)
        except SpecError as error:
            faults += error.faults
    if not bodies:
        found = ", ".join(str(document.get("kind")) for document in given) or "none"
        faults.append(Fault("manifest", f"must hold a {KIND}; found {found}"))
    if faults:
        raise SpecError(tuple(faults))


def _platform(body: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Platform:
    name = body["metadata"]["name"]
    own = [dict(pod) for pod in pods if pod["metadata"].get("labels", {}).get(INSTANCE) == name]
    return Platform(body, [as_mapping(unit) for unit in units_of(own)])


def _joined(printed: str) -> str:
    return ", ".join(printed.split("\n")).rstrip(", ")
