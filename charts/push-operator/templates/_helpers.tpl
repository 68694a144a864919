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

{{/* "true" for a reference that begins with the host of a registry, as a container runtime reads it. */}}
{{- define "push-operator.namesRegistry" -}}
{{- if regexMatch "^(localhost|[^/]*[.:][^/]*)/" . }}true{{ end }}
{{- end }}

{{/* The operator's own image, by digest where there is one: the tag before it is for who reads it. */}}
{{- define "push-operator.image" -}}
{{- $image := printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- if and .Values.imageRegistry (not (include "push-operator.namesRegistry" $image)) }}
{{- $image = printf "%s/%s" .Values.imageRegistry $image }}
{{- end }}
{{- $image }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "push-operator.securityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "push-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods of the operator's image may run, and what it is pulled with. */}}
{{- define "push-operator.placement" -}}
{{- $secrets := list }}
{{- range .Values.image.pullSecrets }}{{ $secrets = append $secrets (dict "name" .) }}{{ end }}
{{- $fields := dict
      "imagePullSecrets" $secrets
      "priorityClassName" .Values.priorityClassName
      "nodeSelector" .Values.nodeSelector
      "tolerations" .Values.tolerations }}
{{- $given := dict }}
{{- range $name, $value := $fields }}
{{- if $value }}{{ $_ := set $given $name $value }}{{ end }}
{{- end }}
{{- with $given }}{{ toYaml . }}{{ end }}
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
- {apiGroups: [monitoring.coreos.com], resources: [podmonitors, prometheusrules], verbs: [get, list, create, patch, delete]} # the same
- {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get, list, watch, create, patch]} # data: never deleted
- {apiGroups: [""], resources: [pods], verbs: [list, watch, patch]} # which gateways get new sockets
- {apiGroups: [""], resources: [secrets], verbs: [get, create, patch]} # by name: not listed, not watched
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
{{- end }}

{{- define "push-operator.subject" -}}
- {kind: ServiceAccount, name: {{ include "push-operator.name" . }}, namespace: {{ .Release.Namespace }}}
{{- end }}
