{{- define "moodle.fullname" -}}
{{- if contains "moodle" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-moodle" (.Release.Name | trunc 43 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "moodle.postgresql" -}}
{{- printf "%s-postgresql" (.Release.Name | trunc 50 | trimSuffix "-") -}}
{{- end -}}

{{/* Labels of an object: (list . "name" "component"). */}}
{{- define "moodle.labels" -}}
{{- $ := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{ include "moodle.selector" . }}
app.kubernetes.io/version: {{ eq (index . 1) "moodle" | ternary $.Chart.AppVersion (splitList "@" $.Values.postgresql.image.tag | first) | quote }}
app.kubernetes.io/part-of: lastack
app.kubernetes.io/managed-by: {{ $.Release.Service }}
{{- end -}}

{{/* Selector labels of a component. They never change. */}}
{{- define "moodle.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 2 }}
{{- end -}}

{{/* The name of an image: (list . values-of-the-image). A repository with a digest needs no tag. */}}
{{- define "moodle.image" -}}
{{- $image := index . 1 -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository -}}
{{- if not (contains "@" $image.repository) }}:{{ $image.tag | default (printf "v%s" (index . 0).Chart.AppVersion) }}{{ end -}}
{{- end -}}

{{- define "moodle.secret" -}}
{{- .Values.existingSecret | default (include "moodle.fullname" .) -}}
{{- end -}}

{{- define "moodle.databaseSecret" -}}
{{- if .Values.postgresql.enabled -}}
{{- .Values.postgresql.existingSecret | default (include "moodle.postgresql" .) -}}
{{- else -}}
{{- required "externalDatabase.existingSecret is required when postgresql.enabled is false" .Values.externalDatabase.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Secret with the certificate authority of an external database, if one is set. */}}
{{- define "moodle.databaseCa" -}}
{{- if not .Values.postgresql.enabled -}}
{{- with .Values.externalDatabase -}}
{{- if and (hasPrefix "verify-" .sslMode) (not .caSecret) -}}
{{- fail (printf "externalDatabase.sslMode %s needs the authority of the server's certificate: externalDatabase.caSecret" .sslMode) -}}
{{- end -}}
{{- .caSecret -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "moodle.claim" -}}
{{- .Values.persistence.existingClaim | default (include "moodle.fullname" .) -}}
{{- end -}}

{{/* "true" if several Pods can use the volume, otherwise empty. */}}
{{- define "moodle.shared" -}}
{{- if has "ReadWriteMany" .Values.persistence.accessModes }}true{{ end -}}
{{- end -}}

{{/* The minimum number of Pods. */}}
{{- define "moodle.pods" -}}
{{- .Values.autoscaling.enabled | ternary .Values.autoscaling.min .Values.replicas | int -}}
{{- end -}}

{{- define "moodle.siteUrl" -}}
{{- if .Values.siteUrl -}}
{{- .Values.siteUrl -}}
{{- else if .Values.ingress.enabled -}}
{{- .Values.ingress.tlsSecret | empty | ternary "http" "https" }}://{{ .Values.ingress.host -}}
{{- else -}}
http://{{ include "moodle.fullname" . }}{{ if ne (int .Values.service.port) 80 }}:{{ .Values.service.port }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
Moodle compares the port of siteUrl with the port of nginx, which is always 8080. Unless reverseproxy is set, it treats another
port as a wrong address. Without a port it compares the host only.
*/}}
{{- define "moodle.otherPort" -}}
{{- $port := regexFind ":[0-9]+$" (include "moodle.siteUrl" .) | trimPrefix ":" -}}
{{- if and $port (ne $port "8080") }}true{{ end -}}
{{- end -}}

{{- define "moodle.reverseProxy" -}}
{{- or .Values.reverseProxy (eq (include "moodle.otherPort" .) "true") -}}
{{- end -}}

{{- define "moodle.sslProxy" -}}
{{- $https := hasPrefix "https://" (include "moodle.siteUrl" .) -}}
{{- if and .Values.sslProxy (not $https) }}{{ fail "sslProxy needs a siteUrl with https" }}{{ end -}}
{{- $https -}}
{{- end -}}

{{/* The host for requests from inside the cluster: that of siteUrl, unless a proxy uses another host. */}}
{{- define "moodle.askedHost" -}}
{{- if and .Values.reverseProxy (not (include "moodle.otherPort" .)) -}}
{{- include "moodle.fullname" . -}}
{{- else -}}
{{- (include "moodle.siteUrl" . | urlParse).host -}}
{{- end -}}
{{- end -}}

{{/* Requirements of Pod Security "restricted", and a read-only root file system. */}}
{{- define "moodle.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* 65534 is the user of Moodle's image, 999 the user of PostgreSQL's: (include ... 999). */}}
{{- define "moodle.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "moodle.podStart" -}}
serviceAccountName: {{ include "moodle.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "moodle.podSecurity" 65534 | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "moodle.scheduling" . }}
{{- end -}}

{{- define "moodle.scheduling" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The data of the ConfigMap. A change restarts the Pods. */}}
{{- define "moodle.config" -}}
{{- (.Files.Glob "files/*").AsConfig -}}
{{- end -}}
