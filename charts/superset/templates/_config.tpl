{{/* The data of the ConfigMap. A change restarts the Pods. */}}
{{- define "superset.config" -}}
{{- $web := printf "http://%s" (include "superset.fullname" .) -}}
{{- if ne (int .Values.service.port) 80 }}{{ $web = printf "%s:%d" $web (int .Values.service.port) }}{{ end -}}
{{- $public := $web -}}
{{- if .Values.ingress.enabled }}{{ $public = printf "%s://%s" (.Values.ingress.tlsSecret | empty | ternary "http" "https") .Values.ingress.host }}{{ end -}}
{{- $database := dict "host" (include "superset.postgresql" .) "port" 5432 "name" "superset" "user" "superset" "sslMode" "disable" "caFile" "" -}}
{{- if not .Values.postgresql.enabled -}}
{{- $external := .Values.externalDatabase -}}
{{- $host := required "externalDatabase.host is required when postgresql.enabled is false" $external.host -}}
{{- $database = dict "host" $host "port" (int $external.port) "name" $external.database "user" $external.user "sslMode" $external.sslMode -}}
{{- $_ := set $database "caFile" (include "superset.databaseCa" . | empty | ternary "" "/etc/lastack/superset/database-ca.crt") -}}
{{- end -}}
{{- $cache := dict -}}
{{- if .Values.cache.enabled }}{{ $cache = dict "host" (include "superset.valkey" .) "port" 6379 }}{{ end -}}
settings.json: |
  {{- dict
    "database" $database
    "cache" $cache
    "cacheSeconds" (int .Values.config.cacheSeconds)
    "featureFlags" .Values.config.featureFlags
    "logLevel" .Values.config.logLevel
    "secureCookies" .Values.config.secureCookies
    "timeout" (int .Values.gunicorn.timeout)
    "reports" (and .Values.beat.enabled (gt (int .Values.worker.replicas) 0))
    "webUrl" (printf "%s/" $web)
    "publicUrl" (printf "%s/" $public)
    | toPrettyJson | nindent 2 }}
superset_config.py: |
  {{- .Files.Get "files/superset_config.py" | nindent 2 }}
  {{- with .Values.config.extra }}
  # --- config.extra ---
  {{- . | nindent 2 }}
  {{- end }}
{{- range list "lastack_lean.py" "lastack_access.py" "drivers.py" "driver_server.py" "schema.py" "init.py" "stored_secrets.py" "accounts.py" "ping.py" "requirements.txt" }}
{{ . }}: |
  {{- $.Files.Get (printf "files/%s" .) | nindent 2 }}
{{- end }}
{{- end -}}
