"""What a `podTemplate` may say of volumes and containers: shapes, as those of `pod_fields` are. Pure."""

from __future__ import annotations

from typing import Final

from push_operator.shapes import (
    ID,
    KEY,
    LABEL,
    MODE,
    NAME,
    OFF,
    PATH,
    PORT,
    QUANTITY,
    RELATIVE,
    SWITCH,
    TEXT,
    TEXTS,
    VALUE,
    VARIABLE,
    Each,
    Fields,
    Leaf,
    Names,
    Shape,
    one_of,
    only,
    whole,
)

_FIELD: Final = Fields({"apiVersion": TEXT, "fieldPath": TEXT}, ("fieldPath",))
_RESOURCE: Final = Fields({"containerName": LABEL, "resource": TEXT, "divisor": QUANTITY}, ("resource",))
_OF_OBJECT: Final = Fields({"name": NAME, "key": TEXT, "optional": SWITCH}, ("name", "key"))
_FROM: Final = {
    "fieldRef": _FIELD,
    "resourceFieldRef": _RESOURCE,
    "configMapKeyRef": _OF_OBJECT,
    "secretKeyRef": _OF_OBJECT,
}
_ENV: Final = Fields({"name": VARIABLE, "value": TEXT, "valueFrom": Fields(_FROM, one=tuple(_FROM))}, ("name",))
_WHOLE_OBJECT: Final = Fields({"name": NAME, "optional": SWITCH}, ("name",))
_ENV_FROM: Final = Fields(
    {"prefix": VARIABLE, "configMapRef": _WHOLE_OBJECT, "secretRef": _WHOLE_OBJECT}, one=("configMapRef", "secretRef")
)
_MOUNT: Final = Fields(
    {"name": LABEL, "mountPath": PATH, "subPath": RELATIVE, "subPathExpr": RELATIVE, "readOnly": OFF},
    ("name", "mountPath"),
)
_ITEMS: Final = Each(Fields({"key": TEXT, "path": RELATIVE, "mode": MODE}, ("key", "path")))
_DOWNWARD: Final = Each(
    Fields({"path": RELATIVE, "fieldRef": _FIELD, "resourceFieldRef": _RESOURCE, "mode": MODE}, ("path",))
)
_NAMED_ITEMS: Final = Fields({"name": NAME, "items": _ITEMS, "optional": SWITCH}, ("name",))
TOKEN: Final = "no workload talks to the API server: it has no token"  # noqa: S105 - words about one
_PROJECTED: Final = {"secret": _NAMED_ITEMS, "configMap": _NAMED_ITEMS, "downwardAPI": Fields({"items": _DOWNWARD})}
_CLAIM: Final = Fields(
    {
        "accessModes": TEXTS,
        "storageClassName": NAME,
        "volumeMode": one_of("Filesystem"),
        "resources": Fields({"requests": Fields({"storage": QUANTITY}), "limits": Fields({"storage": QUANTITY})}),
    },
    ("accessModes", "resources"),
)
_CLAIM_TEMPLATE: Final = Fields(
    {"metadata": Fields({"labels": Names(KEY, VALUE), "annotations": Names(KEY, TEXT)}), "spec": _CLAIM}, ("spec",)
)
# Those that the strictest Pod Security Standard allows.
_SOURCES: Final[dict[str, Shape]] = {
    "configMap": Fields({"name": NAME, "items": _ITEMS, "defaultMode": MODE, "optional": SWITCH}, ("name",)),
    "csi": Fields(
        {
            "driver": NAME,
            "fsType": TEXT,
            "readOnly": SWITCH,
            "volumeAttributes": Names(TEXT, TEXT),
            "nodePublishSecretRef": Fields({"name": NAME}, ("name",)),
        },
        ("driver",),
    ),
    "downwardAPI": Fields({"items": _DOWNWARD, "defaultMode": MODE}),
    "emptyDir": Fields({"medium": one_of("Memory"), "sizeLimit": QUANTITY}),
    "ephemeral": Fields({"volumeClaimTemplate": _CLAIM_TEMPLATE}, ("volumeClaimTemplate",)),
    "persistentVolumeClaim": Fields({"claimName": NAME, "readOnly": OFF}, ("claimName",)),
    "projected": Fields(
        {
            "sources": Each(
                Fields(
                    _PROJECTED,
                    one=tuple(_PROJECTED),
                    refused={"serviceAccountToken": TOKEN, "clusterTrustBundle": TOKEN},
                )
            ),
            "defaultMode": MODE,
        },
        ("sources",),
    ),
    "secret": Fields({"secretName": NAME, "items": _ITEMS, "defaultMode": MODE, "optional": SWITCH}, ("secretName",)),
}
VOLUME: Final = Fields(
    {"name": LABEL, **_SOURCES}, ("name",), one=tuple(_SOURCES), refused={"hostPath": "a pod gets no part of its node"}
)

_EXEC: Final = Fields({"command": TEXTS}, ("command",))
_HEADERS: Final = Each(Fields({"name": TEXT, "value": TEXT}, ("name", "value")))
_GET: Final = Fields(
    {"path": TEXT, "port": PORT, "scheme": one_of("HTTP", "HTTPS"), "httpHeaders": _HEADERS}, ("port",),
    refused={"host": "a node asks the pod itself and no other host"},
)  # fmt: skip
_HOOKS: Final = {"exec": _EXEC, "httpGet": _GET, "sleep": Fields({"seconds": whole(1, 3600)}, ("seconds",))}
_HOOK: Final = Fields(_HOOKS, one=tuple(_HOOKS))
_CHECKS: Final = {
    "exec": _EXEC,
    "httpGet": _GET,
    "tcpSocket": Fields({"port": PORT}, ("port",)),
    "grpc": Fields({"port": whole(1, 65_535), "service": TEXT}, ("port",)),
}
_PROBE: Final = Fields(
    {
        **_CHECKS,
        "initialDelaySeconds": whole(0, 86_400, unsaid=0),
        "timeoutSeconds": whole(1, 3600),
        "periodSeconds": whole(1, 3600),
        "successThreshold": whole(1, 100),
        "failureThreshold": whole(1, 10_000),
    },
    one=tuple(_CHECKS),
)
_QUANTITIES: Final = Names(KEY, QUANTITY)
PRIVILEGE: Final = "no container of these pods has a privilege"
_CONTAINER_SECURITY: Final = Fields(
    {
        "runAsUser": ID,
        "runAsGroup": ID,
        "runAsNonRoot": only(True),
        "readOnlyRootFilesystem": SWITCH,
        "allowPrivilegeEscalation": only(False),
        "privileged": only(False),
        "capabilities": Fields({"add": Each(one_of("NET_BIND_SERVICE")), "drop": Each(one_of("ALL"))}),
        "seccompProfile": Fields({"type": one_of("RuntimeDefault", "Localhost"), "localhostProfile": TEXT}, ("type",)),
    },
    refused={"procMount": PRIVILEGE, "seLinuxOptions": PRIVILEGE},
)
_EXTRA: Final[dict[str, Shape]] = {
    "name": LABEL,
    "image": Leaf("an image such as registry.example/sidecar:1.2", r"[^\s]{1,512}"),
    "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
    "command": TEXTS,
    "args": TEXTS,
    "workingDir": PATH,
    "env": Each(_ENV),
    "envFrom": Each(_ENV_FROM),
    "resources": Fields({"requests": _QUANTITIES, "limits": _QUANTITIES}),
    "volumeMounts": Each(_MOUNT),
    "startupProbe": _PROBE,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "lifecycle": Fields({"postStart": _HOOK, "preStop": _HOOK}),
    "securityContext": _CONTAINER_SECURITY,
    "terminationMessagePolicy": one_of("File", "FallbackToLogsOnError"),
}
_NO_PORTS: Final = {"ports": "clients reach the service's own ports and no other: leave it out, it opens nothing"}
EXTRA: Final = Fields(_EXTRA, ("name", "image"), refused=_NO_PORTS)
INIT: Final = Fields({**_EXTRA, "restartPolicy": one_of("Always")}, ("name", "image"), refused=_NO_PORTS)
OWN: Final = Fields(
    {name: _EXTRA[name] for name in ("name", "env", "envFrom", "volumeMounts")},
    refused={
        "image": "say it in spec.image and spec.version",
        "imagePullPolicy": "say it in spec.image.pullPolicy",
        "resources": "say it beside podTemplate, in the service's own field resources",
        **dict.fromkeys(("command", "args", "workingDir", "ports"), "is the service's own"),
        **dict.fromkeys(("startupProbe", "livenessProbe", "readinessProbe"), "the operator relies on its own probes"),
        "lifecycle": "would come before the drain by which clients are asked to leave",
        "securityContext": "it has no privilege already; users and groups are of the pod's securityContext",
    },
)
