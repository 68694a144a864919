"""Deployments, StatefulSets and their volumes."""

from __future__ import annotations

from push_operator.model import SERVICES
from push_operator.plan.workload import Plan, Workload
from push_operator.render.containers import container
from push_operator.render.objects import (
    BY_REVISION,
    REVISION,
    Images,
    Object,
    Owner,
    made,
    metadata,
    own_pods,
    pod_labels,
    pods_of,
    set_name,
)
from push_operator.render.overlay import laid_over

USER = 10001
STOP_MARGIN_SECONDS = 5  # between the end of the program's own patience and the kubelet's
KEPT_REVISIONS = 3


def workload_objects(owner: Owner, plan: Plan, images: Images) -> list[Object]:
    found: list[Object] = []
    for workload in plan.workloads:
        rendered = _pod_template(owner, plan, workload, images)
        template = laid_over(rendered, workload.overlay, pods_of(owner, workload.component), images.located)
        if workload.component not in SERVICES:
            found.append(_stateful_set(owner, workload, template))
            continue
        if workload.storage:
            found.append(_volume_claim(owner, workload, workload.storage))
        found.append(_deployment(owner, workload, template))
    return found


def _deployment(owner: Owner, workload: Workload, template: Object) -> Object:
    deployment = made(
        owner, "apps/v1", "Deployment", set_name(workload), workload.component,
        spec={
            "replicas": workload.replicas,
            "selector": {"matchLabels": own_pods(owner, workload)},
            "strategy": _strategy(workload),
            "revisionHistoryLimit": KEPT_REVISIONS,
            "template": template,
        },
    )  # fmt: skip
    deployment["metadata"]["labels"][REVISION] = workload.revision
    return deployment


def _strategy(workload: Workload) -> Object:
    """Never fewer than wanted; but one that has a volume must let go of it before the next one can start."""
    if workload.storage:
        return {"type": "Recreate"}
    surge = "25%" if workload.component in BY_REVISION else 1
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge}}


def _stateful_set(owner: Owner, workload: Workload, template: Object) -> Object:
    # Its claims carry no labels that could change: a StatefulSet's claim templates never may.
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": _claim(workload.storage or ""),
    }
    stateful = made(
        owner, "apps/v1", "StatefulSet", set_name(workload), workload.component,
        spec={
            "replicas": workload.replicas,
            "serviceName": workload.name,
            "selector": {"matchLabels": own_pods(owner, workload)},
            "updateStrategy": {"type": "RollingUpdate"},
            "revisionHistoryLimit": KEPT_REVISIONS,
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain" if workload.retain else "Delete",
                "whenScaled": "Retain",
            },
            "template": template,
            "volumeClaimTemplates": [claim],
        },
    )  # fmt: skip
    stateful["metadata"]["labels"][REVISION] = workload.revision
    return stateful


def _volume_claim(owner: Owner, workload: Workload, storage: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(owner, _claim_name(workload), workload.component, owned=not workload.retain),
        "spec": _claim(storage),
    }


def _claim_name(workload: Workload) -> str:
    return f"{workload.name}-data"


def _claim(storage: str) -> Object:
    return {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": storage}},
    }


def config_name(workload: Workload) -> str:
    return f"{workload.name}-config"


def _pod_template(owner: Owner, plan: Plan, workload: Workload, images: Images) -> Object:
    return {
        "metadata": {"labels": pod_labels(owner, workload)},
        "spec": {
            "serviceAccountName": workload.name,
            "automountServiceAccountToken": False,
            # Variables such as NATS_PORT, made of the names of Services, would be read as settings.
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": workload.stop_seconds + STOP_MARGIN_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                _spread(owner, workload, key) for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
            ],
            "containers": [container(owner, plan, workload, images)],
            "volumes": _volumes(workload),
            **_pull_secrets(plan, images),
        },
    }


def _spread(owner: Owner, workload: Workload, key: str) -> Object:
    """Over nodes and zones as far as there are any: a cluster of one node still gets all of them."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods_of(owner, workload.component)},
    }


def _volumes(workload: Workload) -> list[Object]:
    volumes: list[Object] = [{"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}]
    if workload.storage and workload.component in SERVICES:  # a StatefulSet brings its own under that name
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": _claim_name(workload)}})
    if workload.config is not None:
        volumes.append({"name": "config", "configMap": {"name": config_name(workload)}})
    return volumes


def _pull_secrets(plan: Plan, images: Images) -> Object:
    names = plan.image.pull_secrets or images.pull_secrets
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}
