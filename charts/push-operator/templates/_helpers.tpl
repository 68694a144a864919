{{/* push-operator, or RELEASE-push-operator where the release is called something else. */}}
{{- define "push-operator.name" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "push-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "push-operator.labels" -}}
{{ include "push-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What the operator may do where it looks after PushClusters: nothing that it does not do; a test runs it with these
     rights and compares them with the API server's audit log. */}}
{{- define "push-operator.rules" -}}
- {apiGroups: [pushcluster.io], resources: [pushclusters], verbs: [get, list, watch]}
- {apiGroups: [pushcluster.io], resources: [pushclusters/status], verbs: [patch]}
- {apiGroups: [""], resources: [services, serviceaccounts, configmaps], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [apps], resources: [deployments, statefulsets, controllerrevisions], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies, ingresses], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes], verbs: [get, list, create, patch, delete]} # not watched: may be absent
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get, list, watch, create, patch]} # data: never deleted
- {apiGroups: [""], resources: [pods], verbs: [list, watch, patch]} # which gateways get new sockets
- {apiGroups: [""], resources: [secrets], verbs: [get, create, patch]} # by name: not listed, not watched
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
{{- end }}

{{- define "push-operator.subject" -}}
- {kind: ServiceAccount, name: {{ include "push-operator.name" . }}, namespace: {{ .Release.Namespace }}}
{{- end }}
