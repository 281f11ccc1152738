{{/* Common to the Pods of web, worker, beat and the Job. */}}

{{/* Start of a Pod template: (list . "component"). */}}
{{- define "superset.podMetadata" -}}
{{- $ := index . 0 -}}
labels:
  {{- include "superset.labels" (list $ "superset" (index . 1)) | nindent 2 }}
annotations:
  lastack/config-checksum: {{ include "superset.config" $ | sha256sum }}
  {{- with $.Values.secretChecksum }}
  lastack/secret-checksum: {{ . | quote }}
  {{- end }}
  {{- with $.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "superset.podStart" -}}
serviceAccountName: {{ include "superset.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "superset.podSecurity" 1000 | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "superset.scheduling" . }}
{{- end -}}

{{- define "superset.scheduling" -}}
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

{{- define "superset.container" -}}
image: {{ include "superset.image" (list . .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# the last line of the log is the reason of a failure, and Kubernetes copies it into the Pod's status
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "superset.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "superset.env" -}}
- name: PYTHONPATH
  value: /app/drivers:/app/pythonpath
- name: PYTHONUNBUFFERED
  value: "1"
- name: FLASK_APP
  value: superset.app:create_app()
- name: SUPERSET_ENV
  value: production
- name: SUPERSET_HOME
  value: /app/superset_home
- name: HOME
  value: /app/superset_home
# the client of the driver has version 7; this variable makes it compatible with Elasticsearch 8
- name: ELASTIC_CLIENT_APIVERSIONING
  value: "1"
- name: SCARF_ANALYTICS
  value: "false"
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "superset.mounts" -}}
- name: config
  mountPath: /app/pythonpath
  readOnly: true
- name: scripts
  mountPath: /etc/lastack/scripts
  readOnly: true
- name: secrets
  mountPath: /etc/lastack/superset
  readOnly: true
{{- if .Values.elasticsearch.caSecret }}
- name: elasticsearch-ca
  mountPath: /etc/lastack/elasticsearch
  readOnly: true
{{- end }}
- name: drivers
  mountPath: /app/drivers
  readOnly: true
- name: home
  mountPath: /app/superset_home
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "superset.driversContainer" -}}
- name: drivers
  {{- include "superset.container" . | nindent 2 }}
  command: [python, /etc/lastack/scripts/drivers.py]
  env:
    {{- include "superset.env" . | nindent 4 }}
    {{- if .Values.drivers.install }}
    - name: LASTACK_DRIVERS_FROM
      value: http://{{ include "superset.drivers" . }}:8089/drivers.zip
    {{- end }}
  resources:
    requests:
      cpu: 10m
      memory: 128Mi
    limits:
      memory: 256Mi
  volumeMounts:
    - name: scripts
      mountPath: /etc/lastack/scripts
      readOnly: true
    - name: drivers
      mountPath: /app/drivers
    - name: home
      mountPath: /app/superset_home
    - name: tmp
      mountPath: /tmp
{{- end -}}

{{- define "superset.schemaContainer" -}}
- name: schema
  {{- include "superset.container" . | nindent 2 }}
  command: [python, /etc/lastack/scripts/schema.py]
  env:
    {{- include "superset.env" . | nindent 4 }}
  resources:
    requests:
      cpu: 10m
      memory: 128Mi
    limits:
      memory: 256Mi
  volumeMounts:
    {{- include "superset.mounts" . | nindent 4 }}
{{- end -}}

{{- define "superset.volumes" -}}
- name: config
  configMap:
    name: {{ include "superset.fullname" . }}
    items:
      - key: superset_config.py
        path: superset_config.py
      - key: lastack_lean.py
        path: lastack_lean.py
      - key: lastack_access.py
        path: lastack_access.py
      - key: settings.json
        path: settings.json
- name: scripts
  configMap:
    name: {{ include "superset.fullname" . }}
    items:
      {{- range list "drivers.py" "schema.py" "init.py" "stored_secrets.py" "accounts.py" "ping.py" }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
- name: secrets
  projected:
    # 0440 in decimal, because not every YAML parser reads octal numbers
    defaultMode: 288
    sources:
      - secret:
          name: {{ include "superset.secret" . }}
          items:
            - key: secret-key
              path: secret-key
      - secret:
          name: {{ include "superset.secret" . }}
          # for the Job, after a change of secret-key
          optional: true
          items:
            - key: previous-secret-key
              path: previous-secret-key
      - secret:
          name: {{ include "superset.databaseSecret" . }}
          items:
            - key: password
              path: database-password
      {{- with include "superset.databaseCa" . }}
      - secret:
          name: {{ . }}
          items:
            - key: {{ $.Values.externalDatabase.caKey }}
              path: database-ca.crt
      {{- end }}
      {{- if .Values.cache.enabled }}
      - secret:
          name: {{ include "superset.cacheSecret" . }}
          items:
            - key: password
              path: cache-password
      {{- end }}
{{- if .Values.elasticsearch.caSecret }}
- name: elasticsearch-ca
  secret:
    secretName: {{ .Values.elasticsearch.caSecret }}
    # Superset starts without the data lake; the file appears when the data lake is created
    optional: true
    items:
      - key: {{ .Values.elasticsearch.caKey }}
        path: ca.crt
{{- end }}
{{ include "superset.scratchVolumes" . }}
{{- end -}}

{{- define "superset.scratchVolumes" -}}
- name: drivers
  emptyDir:
    sizeLimit: 128Mi
- name: home
  emptyDir:
    sizeLimit: 64Mi
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end -}}
