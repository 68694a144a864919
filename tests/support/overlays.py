"""What may be laid over pods, and what may not: manifests for both judges, as those of `verdicts`."""

from __future__ import annotations

from typing import Any

from push_operator.render.objects import SCRATCH
from tests.support.verdicts import Manifest, manifest

# What may be laid over pods: everything that a `podTemplate` knows, at least once.
FULL_OVERLAY: Manifest = {
    "metadata": {
        "labels": {"example.com/team": "chat", "plain": ""},
        "annotations": {"prometheus.io/scrape": "true", "restarted": "2030-01-01"},
    },
    "spec": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "chat", "effect": "NoExecute", "tolerationSeconds": 0},
            {"operator": "Exists"},
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchFields": [
                        {"key": "metadata.name", "operator": "NotIn", "values": ["node-1"]}]}}
                ],
            },
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": {"topologyKey": "topology.kubernetes.io/zone",
                                                    "namespaceSelector": {}, "namespaces": ["cache"],
                                                    "labelSelector": {"matchLabels": {"app": "cache"}}}}]},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname",
                 "labelSelector": {"matchExpressions": [{"key": "noisy", "operator": "Exists"}]}}]},
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "minDomains": 2, "topologyKey": "topology.kubernetes.io/zone",
             "whenUnsatisfiable": "DoNotSchedule", "nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore",
             "matchLabelKeys": ["pushcluster.io/revision"]},
            {"maxSkew": 3, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway",
             "labelSelector": {"matchLabels": {"plain": ""}}},
        ],
        "priorityClassName": "system-cluster-critical",
        "runtimeClassName": "gvisor",
        "schedulerName": "custom-scheduler",
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["cache.internal", "bus"]}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.10"], "searches": ["chat.svc"],
                      "options": [{"name": "ndots", "value": "1"}, {"name": "edns0"}]},
        "imagePullSecrets": [{"name": "sidecars"}],
        "securityContext": {"runAsUser": 20001, "runAsGroup": 20001, "fsGroup": 20001, "supplementalGroups": [20002],
                            "fsGroupChangePolicy": "Always", "runAsNonRoot": True},
        "volumes": [
            {"name": "ca", "configMap": {"name": "ca.crt", "items": [{"key": "ca", "path": "ca.pem", "mode": 0o444}]}},
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400, "optional": True}},
            {"name": "shared", "emptyDir": {"sizeLimit": 1048576, "medium": "Memory"}},
            {"name": "bare", "emptyDir": {}},
            {"name": "self", "downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "cpu", "resourceFieldRef": {"containerName": "proxy", "resource": "limits.cpu",
                                                     "divisor": "1m"}},
            ]}},
            {"name": "all", "projected": {"defaultMode": 0o440, "sources": [
                {"secret": {"name": "keys", "optional": True}}, {"configMap": {"name": "ca.crt"}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}},
            {"name": "claimed", "persistentVolumeClaim": {"claimName": "files", "readOnly": True}},
            {"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True,
                                      "volumeAttributes": {"secretProviderClass": "chat"}}},
            {"name": "work", "ephemeral": {"volumeClaimTemplate": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                         "resources": {"requests": {"storage": "1Gi"}}}}}},
        ],
        "initContainers": [
            {"name": "wait", "image": "registry.example/wait:1", "command": ["wait"], "args": ["--for", "bus"],
             "workingDir": "/work", "volumeMounts": [{"name": "work", "mountPath": "/work"}]},
            {"name": "proxy", "image": "proxy@sha256:" + "0" * 64, "restartPolicy": "Always",
             "startupProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 0},
             "resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}},
        ],
        "containers": [
            {"name": "SERVICE",
             "env": [{"name": "HTTPS_PROXY", "value": "http://localhost:3128"}, {"name": "EMPTY", "value": ""},
                     {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                     {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "t", "optional": True}}}],
             "envFrom": [{"prefix": "X_", "configMapRef": {"name": "more"}},
                         {"secretRef": {"name": "s", "optional": True}}],
             "volumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/own", "readOnly": True},
                              {"name": "keys", "mountPath": "/run/keys/key", "subPath": "key", "readOnly": False}]},
            {"name": "logs", "image": "logs:2", "imagePullPolicy": "Always",
             "env": [{"name": "SQLITE_PATH", "value": "its own"}],
             "volumeMounts": [{"name": "shared", "mountPath": f"{SCRATCH}/"}],
             "livenessProbe": {"httpGet": {"path": "/live", "port": 9999, "scheme": "HTTP"}, "periodSeconds": 5},
             "readinessProbe": {"tcpSocket": {"port": 9999}, "failureThreshold": 3},
             "lifecycle": {"preStop": {"sleep": {"seconds": 2}},
                           "postStart": {"exec": {"command": ["true"]}}},
             "securityContext": {"runAsUser": 65534, "readOnlyRootFilesystem": True, "privileged": False,
                                 "allowPrivilegeEscalation": False, "runAsNonRoot": True,
                                 "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
                                 "seccompProfile": {"type": "RuntimeDefault"}},
             "terminationMessagePolicy": "File"},
        ],
    },
}  # fmt: skip


def full_overlay(service: str) -> Manifest:
    spec = FULL_OVERLAY["spec"]
    own, *others = spec["containers"]
    return {**FULL_OVERLAY, "spec": {**spec, "containers": [{**own, "name": service}, *others]}}


def overlaid(template: Any, service: str = "gateway") -> Manifest:
    spec: Manifest = manifest()["spec"]
    return manifest(**{**spec, service: {**spec.get(service, {}), "podTemplate": template}})


def _pod(**spec: Any) -> Manifest:
    return overlaid({"spec": spec})


def _own(**fields: Any) -> Manifest:
    return _pod(containers=[{"name": "gateway", **fields}])


def _beside(**fields: Any) -> Manifest:
    return _pod(containers=[{"name": "logs", "image": "logs:2", **fields}])


def _mounted(path: Any, **fields: Any) -> Manifest:
    mounts = [{"name": "ca", "mountPath": path, **fields}]
    return _pod(
        volumes=[{"name": "ca", "configMap": {"name": "ca"}}],
        containers=[{"name": "gateway", "volumeMounts": mounts}],
    )


def _volume(**source: Any) -> Manifest:
    return _pod(volumes=[{"name": "extra", **source}])


_POD = "spec.gateway.podTemplate.spec"
_FIRST = f"{_POD}.containers[0]"
_SECURITY = f"{_FIRST}.securityContext"
ACCEPTED: dict[str, Manifest] = {
    **{f"pods of {one} with all that may be laid over": overlaid(full_overlay(one), one)
       for one in ("gateway", "auth", "message", "presence", "push")},
    "pods with nothing laid over": overlaid({}),
    "parts of a template with nothing in them": overlaid({"metadata": {}, "spec": {"containers": [], "volumes": None}}),
}  # fmt: skip
# What the API server stores, as it knows nothing of what stands in a podTemplate: the operator refuses it, and says so.
STALLED: dict[str, tuple[Manifest, str]] = {
    "a template's unknown part": (overlaid({"kind": "Pod"}), "spec.gateway.podTemplate.kind"),
    "metadata that is text": (overlaid({"metadata": "a"}), "spec.gateway.podTemplate.metadata"),
    "a name for pods": (overlaid({"metadata": {"name": "a"}}), "spec.gateway.podTemplate.metadata.name"),
    **{
        f"the operator's own label {key}": (
            overlaid({"metadata": {"labels": {key: "a"}}}), f"spec.gateway.podTemplate.metadata.labels.{key}")
        for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component",
                    "app.kubernetes.io/managed-by", "pushcluster.io/serving", "pushcluster.io/revision",
                    "pod-template-hash")
    },
    **{
        f"the operator's own annotation {key}": (
            overlaid({"metadata": {"annotations": {key: "a"}}}), f"spec.gateway.podTemplate.metadata.annotations.{key}")
        for key in ("pushcluster.io/drain", "controller.kubernetes.io/pod-deletion-cost",
                    "container.apparmor.security.beta.kubernetes.io/gateway")
    },
    "a label that is a number": (
        overlaid({"metadata": {"labels": {"a": 1}}}), "spec.gateway.podTemplate.metadata.labels.a"),
    "a label with a space": (
        overlaid({"metadata": {"labels": {"a": "b c"}}}), "spec.gateway.podTemplate.metadata.labels.a"),
    **{
        f"what a pod may not have: {name}": (_pod(**{name: value}), f"{_POD}.{name}")
        for name, value in {
            "serviceAccountName": "admin", "serviceAccount": "admin", "automountServiceAccountToken": True,
            "hostNetwork": True, "hostPID": True, "hostIPC": True, "hostUsers": True, "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": 1, "readinessGates": [], "restartPolicy": "Never", "nodeName": "node-1",
            "activeDeadlineSeconds": 1, "enableServiceLinks": True, "ephemeralContainers": [], "hostname": "a",
        }.items()
    },
    **{
        f"what the service's container may not have: {name}": (_own(**{name: value}), f"{_FIRST}.{name}")
        for name, value in {
            "image": "a", "imagePullPolicy": "Always", "command": ["a"], "args": ["a"], "workingDir": "/a",
            "ports": [], "livenessProbe": {}, "readinessProbe": {}, "startupProbe": {}, "lifecycle": {},
            "resources": {"limits": {"cpu": 1}}, "securityContext": {}, "stdin": True,
        }.items()
    },
    **{
        f"what no container may have: {name}": (_beside(securityContext={name: value}), f"{_SECURITY}.{name}")
        for name, value in {
            "privileged": True, "allowPrivilegeEscalation": True, "runAsNonRoot": False, "runAsUser": 0,
            "runAsGroup": 0, "procMount": "Unmasked", "seLinuxOptions": {"type": "spc_t"},
        }.items()
    },
    "a capability": (_beside(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
                     f"{_SECURITY}.capabilities.add[0]"),
    "a seccomp profile that is none": (_beside(securityContext={"seccompProfile": {"type": "Unconfined"}}),
                                       f"{_SECURITY}.seccompProfile.type"),
    "a port of the node": (_beside(ports=[{"hostPort": 80}]), f"{_FIRST}.ports"),
    "another host's probe": (_beside(livenessProbe={"httpGet": {"host": "a", "port": 80}}),
                             f"{_FIRST}.livenessProbe.httpGet.host"),
    "a probe of two kinds": (_beside(livenessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
                             f"{_FIRST}.livenessProbe"),
    "a pod as root": (_pod(securityContext={"runAsUser": 0}), f"{_POD}.securityContext.runAsUser"),
    "a pod's sysctls": (_pod(securityContext={"sysctls": []}), f"{_POD}.securityContext.sysctls"),
    "a part of the node": (_volume(hostPath={"path": "/"}), f"{_POD}.volumes[0].hostPath"),
    "a token": (_volume(projected={"sources": [{"serviceAccountToken": {"path": "a"}}]}),
                f"{_POD}.volumes[0].projected.sources[0].serviceAccountToken"),
    "a volume of two kinds": (_volume(emptyDir={}, secret={"secretName": "a"}), f"{_POD}.volumes[0]"),
    "a volume of no kind": (_volume(), f"{_POD}.volumes[0]"),
    "a volume on a file server": (_volume(nfs={"server": "a", "path": "/"}), f"{_POD}.volumes[0].nfs"),
    **{
        f"the service's own volume {name}": (_pod(volumes=[{"name": name, "emptyDir": {}}]), f"{_POD}.volumes[0].name")
        for name in ("scratch", "data", "config")
    },
    "a volume twice": (_pod(volumes=[{"name": "a", "emptyDir": {}}] * 2), f"{_POD}.volumes[1].name"),
    **{
        f"a mount at {path}": (_mounted(path), f"{_FIRST}.volumeMounts[0].mountPath")
        for path in ("/", SCRATCH, f"{SCRATCH}/", "/data/deep", "/etc", "/etc/pushcluster", "own", "/a/../data", "", 1)
    },
    "a mount out of its volume": (_mounted("/own", subPath="../other"), f"{_FIRST}.volumeMounts[0].subPath"),
    "a mount of nothing": (_own(volumeMounts=[{"name": "ca", "mountPath": "/own"}]), f"{_FIRST}.volumeMounts[0].name"),
    "a mount of the service's own volume": (
        _beside(volumeMounts=[{"name": "data", "mountPath": "/own"}]), f"{_FIRST}.volumeMounts[0].name"),
    "two mounts at one place": (
        _pod(volumes=[{"name": "a", "emptyDir": {}}],
             containers=[{"name": "gateway", "volumeMounts": [{"name": "a", "mountPath": "/own"},
                                                              {"name": "a", "mountPath": "/own/"}]}]),
        f"{_FIRST}.volumeMounts[1].mountPath"),
    "a variable that is the operator's": (_own(env=[{"name": "NATS_URL", "value": "a"}]), f"{_FIRST}.env[0].name"),
    "a variable of another service": (_own(env=[{"name": "SERVICE_KEY", "value": "a"}]), f"{_FIRST}.env[0].name"),
    "a variable twice": (_own(env=[{"name": "A", "value": "1"}] * 2), f"{_FIRST}.env[1].name"),
    "a variable that is a number": (_own(env=[{"name": "A", "value": 1}]), f"{_FIRST}.env[0].value"),
    "a variable of two kinds": (
        _own(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]), f"{_FIRST}.env[0]"),
    "a container without an image": (_pod(containers=[{"name": "logs"}]), f"{_FIRST}.image"),
    "a container without a name": (_pod(containers=[{"image": "logs"}]), f"{_FIRST}.name"),
    "a container that is text": (_pod(containers=["logs"]), _FIRST),
    "containers that are none": (_pod(containers={}), f"{_POD}.containers"),
    "too many containers": (_pod(containers=[{"name": f"c{n}", "image": "a"} for n in range(65)]),
                            f"{_POD}.containers"),
    "a container twice": (
        _pod(containers=[{"name": "a", "image": "a"}], initContainers=[{"name": "a", "image": "a"}]),
        f"{_FIRST}.name"),
    "the service's container twice": (_pod(containers=[{"name": "gateway"}] * 2), f"{_POD}.containers[1].name"),
    "the service's container first": (
        _pod(initContainers=[{"name": "gateway", "image": "a"}]), f"{_POD}.initContainers[0].name"),
    "a container of another service": (_pod(containers=[{"name": "auth"}]), f"{_FIRST}.image"),
    "a container that ends and stays": (_beside(restartPolicy="Always"), f"{_FIRST}.restartPolicy"),
    "a toleration of no effect": (_pod(tolerations=[{"effect": "Never"}]), f"{_POD}.tolerations[0].effect"),
    "a spread over nothing": (
        _pod(topologySpreadConstraints=[{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]),
        f"{_POD}.topologySpreadConstraints[0].topologyKey"),
    "an affinity that is not known": (_pod(affinity={"nodeAffinty": {}}), f"{_POD}.affinity.nodeAffinty"),
    "a node by a number": (_pod(nodeSelector={"cores": 8}), f"{_POD}.nodeSelector.cores"),
    "names from nowhere": (_pod(dnsPolicy="None"), f"{_POD}.dnsConfig.nameservers"),
    "names of the node": (_pod(dnsPolicy="ClusterFirstWithHostNet"), f"{_POD}.dnsPolicy"),
    "a class of priority that is no name": (_pod(priorityClassName="High Class"), f"{_POD}.priorityClassName"),
}  # fmt: skip

# What the API server refuses as well.
REFUSED: dict[str, tuple[Manifest, str]] = {
    "a template that is text": (overlaid("a"), "spec.gateway.podTemplate"),
    "a template that is a list": (overlaid([], "auth"), "spec.auth.podTemplate"),
}
