{{- define "ralph.fullname" -}}
{{- if contains "ralph" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ralph" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ralph.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: ralph
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lastack
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Selector labels. The component distinguishes the Pods of the server from the Pod of the test. */}}
{{- define "ralph.selector" -}}
app.kubernetes.io/name: ralph
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{/* The name of the image. A repository with a digest needs no tag. */}}
{{- define "ralph.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $repository -}}
{{- if not (contains "@" $repository) }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "ralph.secret" -}}
{{- .Values.existingSecret | default (include "ralph.fullname" .) -}}
{{- end -}}

{{/* Requirements of Pod Security "restricted", and a read-only root file system. */}}
{{- define "ralph.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "ralph.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}
