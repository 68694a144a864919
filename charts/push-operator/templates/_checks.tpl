{{/* What the schema cannot refuse in words: a pattern's own message is the pattern. All faults are told together.
     push_operator/config.py refuses the same; a test holds both to one table. A value may be missing altogether: after
     `helm upgrade --reuse-values` those are that the release before did not know. */}}
{{- define "push-operator.checks" -}}
{{- $name := "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" }}
{{- $words := "[a-z0-9]+([._-]+[a-z0-9]+)*" }}
{{- $host := "[a-z0-9]+([.-]+[a-z0-9]+)*(:[0-9]+)?" }}
{{- $path := printf "(%s/)?%s(/%s)*" $host $words $words }}
{{- $tag := "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" }}
{{- $digest := "sha256:[0-9a-f]{64}" }}
{{- $faults := list }}
{{- $fault := "%s must be %s; not %q" }}

{{- $fix := "an image's name without a tag, such as registry.example/push/workload" }}
{{- range $key, $image := dict "image.repository" .Values.image.repository "workloadImage" .Values.workloadImage }}
{{- if not (regexMatch (printf "^%s$" $path) $image) }}
{{- $faults = append $faults (printf $fault $key $fix $image) }}
{{- end }}
{{- end }}
{{- if not (regexMatch (printf "^(%s)?$" $tag) (.Values.image.tag | default "")) }}
{{- $faults = append $faults (printf $fault "image.tag" "an image tag such as 0.1.0" .Values.image.tag) }}
{{- end }}
{{- $fix = "a whole reference, such as nats:2.12-alpine or nats:2.12-alpine@sha256:…" }}
{{- range $key := list "natsImage" "valkeyImage" "cassandraImage" }}
{{- $image := get $.Values $key | default "" }}
{{- if not (regexMatch (printf "^(%s(:%s)?(@%s)?)?$" $path $tag $digest) $image) }}
{{- $faults = append $faults (printf $fault $key $fix $image) }}
{{- end }}
{{- end }}

{{- $fix = "sha256: and 64 hexadecimal digits in lower case" }}
{{- $digests := dict "image.digest" (.Values.image.digest | default "") }}
{{- range $version, $value := .Values.workloadDigests }}
{{- if not (regexMatch (printf "^%s$" $tag) $version) }}
{{- $faults = append $faults (printf $fault "each key of workloadDigests" "a version, as in spec.version" $version) }}
{{- end }}
{{- $_ := set $digests (printf "workloadDigests.%s" $version) ($value | default "none") }}
{{- end }}
{{- range $key, $value := $digests }}
{{- if not (regexMatch (printf "^(%s)?$" $digest) $value) }}
{{- $faults = append $faults (printf $fault $key $fix $value) }}
{{- end }}
{{- end }}

{{- $fix = "a registry's host, with its port and a path if it has them, such as registry.example:5000/mirror" }}
{{- $registry := .Values.imageRegistry | default "" }}
{{- $whole := regexMatch (printf "^(%s(/%s)*)?$" $host $words) $registry }}
{{- if not (and $whole (or (not $registry) (include "push-operator.namesRegistry" (printf "%s/" $registry)))) }}
{{- $faults = append $faults (printf $fault "imageRegistry" $fix $registry) }}
{{- end }}

{{- $fix = "names, of lower-case letters, digits, '-' and '.'" }}
{{- $names := dict "watchNamespaces" .Values.watchNamespaces "image.pullSecrets" .Values.image.pullSecrets }}
{{- range $key, $values := set $names "workloadPullSecrets" .Values.workloadPullSecrets }}
{{- range $values }}
{{- if not (regexMatch $name .) }}
{{- $faults = append $faults (printf $fault $key $fix .) }}
{{- end }}
{{- end }}
{{- end }}

{{- with $faults }}
{{- fail (printf "these values cannot be used:\n- %s" (join "\n- " .)) }}
{{- end }}
{{- end }}
