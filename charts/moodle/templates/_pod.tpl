{{- define "moodle.container" -}}
image: {{ include "moodle.image" (list . .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# the last line of the log is the reason of a failure, and Kubernetes copies it into the Pod's status
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{- define "moodle.loginProbe" -}}
httpGet:
  path: /login/index.php
  port: http
  httpHeaders:
    - name: Host
      value: {{ include "moodle.askedHost" . | quote }}
{{- end -}}

{{/* One line each: the image treats every additional line as the name of a variable and replaces it in nginx.conf. */}}
{{- define "moodle.env" -}}
{{- $database := dict "host" (include "moodle.postgresql" .) "port" 5432 "database" "moodle" "user" "moodle" "sslMode" "disable" -}}
{{- if not .Values.postgresql.enabled -}}
{{- $_ := required "externalDatabase.host is required when postgresql.enabled is false" .Values.externalDatabase.host -}}
{{- $database = .Values.externalDatabase -}}
{{- end -}}
- name: SITE_URL
  value: {{ include "moodle.siteUrl" . | quote }}
- name: REVERSEPROXY
  value: {{ include "moodle.reverseProxy" . | quote }}
- name: SSLPROXY
  value: {{ include "moodle.sslProxy" . | quote }}
- name: DB_TYPE
  value: pgsql
- name: DB_HOST
  value: {{ $database.host | quote }}
- name: DB_PORT
  value: {{ $database.port | quote }}
- name: DB_NAME
  value: {{ $database.database | quote }}
- name: DB_USER
  value: {{ $database.user | quote }}
- name: DB_PASS
  valueFrom:
    secretKeyRef:
      name: {{ include "moodle.databaseSecret" . }}
      key: password
# the image has no setting for TLS, but PHP's driver is libpq, which reads these variables
- name: PGSSLMODE
  value: {{ $database.sslMode }}
{{- if include "moodle.databaseCa" . }}
- name: PGSSLROOTCERT
  value: /etc/lastack/database/ca.crt
{{- end }}
- name: MOODLE_SITENAME
  value: {{ .Values.siteName | quote }}
- name: MOODLE_LANGUAGE
  value: {{ .Values.language | quote }}
- name: MOODLE_USERNAME
  value: {{ .Values.admin.username | quote }}
- name: MOODLE_EMAIL
  value: {{ .Values.admin.email | quote }}
- name: MOODLE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "moodle.secret" . }}
      key: moodle-password
# upgrade Moodle and install the plugin at every start
- name: AUTO_UPDATE_MOODLE
  value: "true"
- name: RUN_CRON_TASKS
  value: {{ .Values.cron.enabled | quote }}
- name: LASTACK_REPLAY_SECONDS
  value: {{ .Values.replay.enabled | ternary .Values.replay.everySeconds 0 | quote }}
- name: LASTACK_DRAIN_SECONDS
  value: {{ .Values.drain.enabled | ternary .Values.drain.everySeconds 0 | quote }}
- name: LASTACK_WORKERS
  value: {{ .Values.php.workers | quote }}
# The image runs this in the shell that then starts Moodle with the name of the site unquoted. IFS and -f preserve spaces
# and asterisks in the name.
- name: PRE_CONFIGURE_COMMANDS
  value: IFS=; set -f; sh /opt/lastack/services.sh; sh /opt/lastack/put-plugins.sh; php /opt/lastack/administrator.php before
- name: max_input_vars
  value: {{ .Values.php.maxInputVars | quote }}
- name: memory_limit
  value: {{ .Values.php.memoryLimit | quote }}
{{- range list "upload_max_filesize" "post_max_size" "client_max_body_size" }}
- name: {{ . }}
  value: {{ $.Values.php.uploadLimit | quote }}
{{- end }}
{{- $given := list }}
{{- range .Values.extraEnv }}{{ $given = append $given .name }}{{ end }}
{{- if not (has "POST_CONFIGURE_COMMANDS" $given) }}
- name: POST_CONFIGURE_COMMANDS
  value: php /opt/lastack/administrator.php after
{{- end }}
{{- if not (has "SMTP_HOST" $given) }}
# no mail server: the default of the image is a server outside the cluster, and every mail would wait for a timeout
- name: SMTP_HOST
  value: localhost
{{- range list "SMTP_USER" "SMTP_PASSWORD" "SMTP_PROTOCOL" }}
{{- if not (has . $given) }}
- name: {{ . }}
  value: ""
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
