"""The kinds of objects that the operator reads and writes. Its role grants these and no other; a test compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.model import API_VERSION, KIND
from push_operator.render.expose import GATEWAY_API
from push_operator.render.monitoring import MONITORING_API
from push_operator.render.objects import Object


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `plural` is its name in paths and roles."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{root}{place}", self.plural, name, subresource) if part)


PUSH_CLUSTERS: Final = Kind(API_VERSION, KIND, "pushclusters")
SECRETS: Final = Kind("v1", "Secret", "secrets")
EVENTS: Final = Kind("events.k8s.io/v1", "Event", "events")
LEASES: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
NODES: Final = Kind("v1", "Node", "nodes")  # in no namespace
PODS: Final = Kind("v1", "Pod", "pods")
SERVICES: Final = Kind("v1", "Service", "services")
VOLUME_CLAIMS: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
DEPLOYMENTS: Final = Kind("apps/v1", "Deployment", "deployments")
INGRESSES: Final = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
HTTP_ROUTES: Final = Kind(GATEWAY_API, "HTTPRoute", "httproutes")
STATEFUL_SETS: Final = Kind("apps/v1", "StatefulSet", "statefulsets")
CONTROLLER_REVISIONS: Final = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
EXPOSING: Final = (INGRESSES, HTTP_ROUTES)
POD_MONITORS: Final = Kind(MONITORING_API, "PodMonitor", "podmonitors")
PROMETHEUS_RULES: Final = Kind(MONITORING_API, "PrometheusRule", "prometheusrules")

# What the operator makes, which is also what it keeps a snapshot of; pods are made by others and only read.
CHILDREN: Final = (
    SERVICES,
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "ConfigMap", "configmaps"),
    VOLUME_CLAIMS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    CONTROLLER_REVISIONS,
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    INGRESSES,
    HTTP_ROUTES,
    POD_MONITORS,
    PROMETHEUS_RULES,
)
# What a cluster may lack, and what then to do. These are listed but not watched: kopf looks for kinds once, at its
# start, and ends when one of them goes. So what is known of them may be old, and is read again before it is acted upon.
_PROMETHEUS: Final = "install the CRDs of the Prometheus operator, or leave it out of spec.monitoring"
OPTIONAL: Final[Mapping[Kind, str]] = {
    HTTP_ROUTES: "install the CRDs of the Gateway API (1.2 or newer)",
    POD_MONITORS: _PROMETHEUS,
    PROMETHEUS_RULES: _PROMETHEUS,
}
LISTED: Final = (*CHILDREN, PODS)
WATCHED: Final = tuple(kind for kind in LISTED if kind not in OPTIONAL)
_BY_KIND: Final = {(one.api_version, one.kind): one for one in CHILDREN}


def kind_of(rendered: Object) -> Kind:
    return _BY_KIND[rendered["apiVersion"], rendered["kind"]]
