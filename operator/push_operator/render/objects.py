"""What every object has in common: who owns it, how it is labelled, how its pods are found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from push_operator.model import API_VERSION, KIND
from push_operator.plan.workload import Workload

Object = dict[str, Any]

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OPERATOR: Final = "push-operator"
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
REVISION: Final = "pushcluster.io/revision"
SERVING: Final = "pushcluster.io/serving"
DATA, CONFIG, SCRATCH = "/data", "/etc/pushcluster", "/tmp"  # noqa: S108 - an emptyDir of the pod's own
BY_REVISION: Final = frozenset({"gateway"})  # one Deployment each revision: they hold sockets that a rollout must drain
_NAMES_A_REGISTRY: Final = re.compile(
    r"(localhost|[^/]*[.:][^/]*)/"
)  # else the first part is a folder of the default one


@dataclass(frozen=True, slots=True)
class Owner:
    """The PushCluster that the objects belong to."""

    namespace: str
    name: str
    uid: str

    def reference(self) -> Object:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            # Not blocking: that would need a right on the owner's finalizers, and hold its deletion up.
            "blockOwnerDeletion": False,
        }


@dataclass(frozen=True, slots=True)
class Images:
    """What the operator is set to run: the workloads' repository, and whole references of the backing services.

    `registry` goes before every image that names none itself. `digests`: of the workload image, by its version; what is
    not among them is taken by its tag. `pull_secrets`: for the pods of a PushCluster that names none.
    """

    workload: str
    nats: str
    valkey: str
    cassandra: str
    registry: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()

    def located(self, image: str) -> str:
        """The reference as a node is given it."""
        return f"{self.registry}/{image}" if self.registry and not names_registry(image) else image

    def of_workload(self, repository: str | None, version: str) -> str:
        """`repository`: a PushCluster's own. That is another image, of which the digests say nothing."""
        digest = None if repository else self.digests.get(version)
        return self.located(f"{repository or self.workload}:{version}") + (f"@{digest}" if digest else "")


def names_registry(image: str) -> bool:
    """Whether a reference begins with the host of a registry, as a container runtime reads it."""
    return _NAMES_A_REGISTRY.match(image) is not None


def made(owner: Owner, api_version: str, kind: str, name: str, component: str | None, **fields: Any) -> Object:
    """An owned, labelled object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata(owner, name, component), **fields}


def metadata(owner: Owner, name: str, component: str | None, *, owned: bool = True) -> Object:
    """`owned` False: it outlives its PushCluster, and is found again by its name."""
    meta = {"name": name, "namespace": owner.namespace, "labels": labels(owner, component)}
    return meta | ({"ownerReferences": [owner.reference()]} if owned else {})


def labels(owner: Owner, component: str | None) -> Object:
    part = {COMPONENT: component} if component else {}
    return {"app.kubernetes.io/name": "pushcluster", INSTANCE: owner.name, **part, MANAGED_BY: OPERATOR}


def pods_of(owner: Owner, component: str) -> Object:
    """Finds the pods of a component, whatever their revision."""
    return {"app.kubernetes.io/name": "pushcluster", INSTANCE: owner.name, COMPONENT: component}


def serving_pods(owner: Owner, component: str) -> Object:
    """Finds those that may get new clients: a gateway that is being drained is not among them."""
    return pods_of(owner, component) | ({SERVING: "true"} if component in BY_REVISION else {})


def own_pods(owner: Owner, workload: Workload) -> Object:
    """Finds the pods of one Deployment or StatefulSet and of no other. Never changes for an existing one."""
    own = {REVISION: workload.revision} if workload.component in BY_REVISION else {}
    return pods_of(owner, workload.component) | own


def pod_labels(owner: Owner, workload: Workload) -> Object:
    return {
        **labels(owner, workload.component),
        REVISION: workload.revision,
        **({SERVING: "true"} if workload.component in BY_REVISION else {}),
    }


def set_name(workload: Workload) -> str:
    """The name of the Deployment or StatefulSet."""
    return f"{workload.name}-{workload.revision}" if workload.component in BY_REVISION else workload.name


def text_of(selector: Object) -> str:
    """A selector as the scale subresource gives it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def host_of(owner: Owner, workload: Workload) -> str:
    """The name under which a workload's Service is reached from any namespace."""
    return f"{workload.name}.{owner.namespace}.svc"
