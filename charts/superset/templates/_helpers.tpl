{{- define "superset.fullname" -}}
{{- if contains "superset" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-superset" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "superset.drivers" -}}
{{- printf "%s-drivers" (include "superset.fullname" .) -}}
{{- end -}}

{{- define "superset.postgresql" -}}
{{- printf "%s-postgresql" (.Release.Name | trunc 50 | trimSuffix "-") -}}
{{- end -}}

{{- define "superset.valkey" -}}
{{- printf "%s-valkey" (.Release.Name | trunc 50 | trimSuffix "-") -}}
{{- end -}}

{{/* Labels of an object: (list . "name" "component"). */}}
{{- define "superset.labels" -}}
{{- $ := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{ include "superset.selector" . }}
app.kubernetes.io/version: {{ eq (index . 1) "superset" | ternary $.Chart.AppVersion (include "superset.version" .) | quote }}
app.kubernetes.io/part-of: lastack
app.kubernetes.io/managed-by: {{ $.Release.Service }}
{{- end -}}

{{- define "superset.version" -}}
{{- $ := index . 0 -}}
{{- $tag := eq (index . 1) "postgresql" | ternary $.Values.postgresql.image.tag $.Values.cache.image.tag -}}
{{- splitList "@" $tag | first -}}
{{- end -}}

{{/* Selector labels of a component. They never change. */}}
{{- define "superset.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 2 }}
{{- end -}}

{{/* The name of an image: (list . values-of-the-image). A repository with a digest needs no tag. */}}
{{- define "superset.image" -}}
{{- $image := index . 1 -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository -}}
{{- if not (contains "@" $image.repository) }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "superset.secret" -}}
{{- .Values.existingSecret | default (include "superset.fullname" .) -}}
{{- end -}}

{{- define "superset.databaseSecret" -}}
{{- if .Values.postgresql.enabled -}}
{{- .Values.postgresql.existingSecret | default (include "superset.postgresql" .) -}}
{{- else -}}
{{- required "externalDatabase.existingSecret is required when postgresql.enabled is false" .Values.externalDatabase.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Secret with the certificate authority of an external database, if one is set. */}}
{{- define "superset.databaseCa" -}}
{{- if not .Values.postgresql.enabled -}}
{{- with .Values.externalDatabase -}}
{{- if and (hasPrefix "verify-" .sslMode) (not .caSecret) -}}
{{- fail (printf "externalDatabase.sslMode %s needs the authority of the server's certificate: externalDatabase.caSecret" .sslMode) -}}
{{- end -}}
{{- .caSecret -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "superset.cacheSecret" -}}
{{- .Values.cache.existingSecret | default (include "superset.valkey" .) -}}
{{- end -}}

{{/* Requirements of Pod Security "restricted", and a read-only root file system. */}}
{{- define "superset.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* 1000 is the user of Superset's image, 999 the user of PostgreSQL's and Valkey's: (include ... 999). */}}
{{- define "superset.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
