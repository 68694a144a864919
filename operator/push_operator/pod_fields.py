"""What a `podTemplate` may say, as data: Kubernetes' own fields, those that leave a pod as safe as it was. Pure.

A field that is not here is refused. So the list is also what keeps a PushCluster from asking for more than the
strictest Pod Security Standard allows: no part of the node, no privilege, no token of the API server.
"""

from __future__ import annotations

from typing import Final

from push_operator.pod_containers import PRIVILEGE, TOKEN, VOLUME
from push_operator.shapes import ID, KEY, NAME, TEXT, TEXTS, VALUE, Each, Fields, Names, one_of, only, whole

_EXPRESSION: Final = Fields(
    {"key": TEXT, "operator": one_of("In", "NotIn", "Exists", "DoesNotExist"), "values": TEXTS}, ("key", "operator")
)
_SELECTOR: Final = Fields({"matchLabels": Names(KEY, VALUE), "matchExpressions": Each(_EXPRESSION)})
_NODE_EXPRESSION: Final = Fields(
    {"key": TEXT, "operator": one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"), "values": TEXTS},
    ("key", "operator"),
)
_NODE_TERM: Final = Fields({"matchExpressions": Each(_NODE_EXPRESSION), "matchFields": Each(_NODE_EXPRESSION)})
_POD_TERM: Final = Fields(
    {"labelSelector": _SELECTOR, "namespaceSelector": _SELECTOR, "namespaces": Each(NAME), "topologyKey": KEY},
    ("topologyKey",),
)
_WEIGHT: Final = whole(1, 100)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_PODS: Final = Fields(
    {
        _REQUIRED: Each(_POD_TERM),
        _PREFERRED: Each(Fields({"weight": _WEIGHT, "podAffinityTerm": _POD_TERM}, ("weight", "podAffinityTerm"))),
    }
)
_NODES: Final = Fields(
    {
        _REQUIRED: Fields({"nodeSelectorTerms": Each(_NODE_TERM)}, ("nodeSelectorTerms",)),
        _PREFERRED: Each(Fields({"weight": _WEIGHT, "preference": _NODE_TERM}, ("weight", "preference"))),
    }
)
_TOLERATION: Final = Fields(
    {
        "key": KEY,
        "operator": one_of("Exists", "Equal"),
        "value": VALUE,
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
        "tolerationSeconds": whole(0, 2**31 - 1),
    }
)
_SPREAD: Final = Fields(
    {
        "maxSkew": whole(1, 1000),
        "minDomains": whole(1, 1000),
        "topologyKey": KEY,
        "whenUnsatisfiable": one_of("DoNotSchedule", "ScheduleAnyway"),
        "labelSelector": _SELECTOR,
        "nodeAffinityPolicy": one_of("Honor", "Ignore"),
        "nodeTaintsPolicy": one_of("Honor", "Ignore"),
        "matchLabelKeys": Each(KEY),
    },
    ("maxSkew", "topologyKey", "whenUnsatisfiable"),
)

_NODE: Final = "a pod shares nothing with its node"
METADATA: Final = Fields({"labels": Names(KEY, VALUE), "annotations": Names(KEY, TEXT)})
SPEC: Final = Fields(
    {
        "nodeSelector": Names(KEY, VALUE),
        "tolerations": Each(_TOLERATION),
        "affinity": Fields({"nodeAffinity": _NODES, "podAffinity": _PODS, "podAntiAffinity": _PODS}),
        "topologySpreadConstraints": Each(_SPREAD),
        "priorityClassName": NAME,
        "runtimeClassName": NAME,
        "schedulerName": NAME,
        "hostAliases": Each(Fields({"ip": TEXT, "hostnames": Each(NAME)}, ("ip", "hostnames"))),
        "dnsPolicy": one_of("ClusterFirst", "Default", "None"),
        "dnsConfig": Fields(
            {
                "nameservers": TEXTS,
                "searches": TEXTS,
                "options": Each(Fields({"name": TEXT, "value": TEXT}, ("name",))),
            }
        ),
        "imagePullSecrets": Each(Fields({"name": NAME}, ("name",))),
        "securityContext": Fields(
            {
                "runAsUser": ID,
                "runAsGroup": ID,
                "fsGroup": ID,
                "supplementalGroups": Each(ID),
                "fsGroupChangePolicy": one_of("OnRootMismatch", "Always"),
                "runAsNonRoot": only(True),
            },
            refused=dict.fromkeys(("seLinuxOptions", "sysctls", "seccompProfile", "windowsOptions"), PRIVILEGE),
        ),
        "volumes": Each(VOLUME),
    },
    refused={
        **dict.fromkeys(("hostNetwork", "hostPID", "hostIPC", "hostUsers"), _NODE),
        **dict.fromkeys(("serviceAccountName", "serviceAccount", "automountServiceAccountToken"), TOKEN),
        "terminationGracePeriodSeconds": "it follows from how long the service may take, as gateway.drain says",
        "readinessGates": "without the operator no new pod would ever get ready",
        "enableServiceLinks": "variables made of the names of Services would be read as settings",
        **dict.fromkeys(("restartPolicy", "activeDeadlineSeconds"), "a service runs until it is told to stop"),
    },
)
