{{/* The prefix and the component: root, component. */}}
{{- define "sluice.name" -}}
{{- printf "%s-%s" (include "common.fullname" .root) .component -}}
{{- end -}}

{{/* The key of a component's values: component. */}}
{{- define "sluice.key" -}}
{{- get (dict "user-api" "userApi" "email-worker" "emailWorker" "mail-api" "mailApi" "mail-relay" "mailApi" "console" "console") .component -}}
{{- end -}}

{{/* `secretKeyRef` of the database's URL: the user's own secret, else the one that the postgresql of this release has: root, component; and database, where it is not that of the component's values, and owner, where it is another's. */}}
{{- define "sluice.databaseUrl" -}}
{{- $database := .database | default (index .root.Values (include "sluice.key" .)).database -}}
{{- $owner := .owner | default .component -}}
{{- $own := printf "%s-%s" (include "common.fullnameOf" (dict "root" .root "chart" "postgresql")) $owner -}}
{{- $theirs := (get (((.root.Values.postgresql).databases) | default dict) $owner | default dict).existingSecret -}}
name: {{ $database.existingSecret | default $theirs | default $own }}
key: {{ $database.key | default "uri" }}
{{- end -}}

{{/* The same of a user of the broker: root, user, login (existingSecret, key). */}}
{{- define "sluice.brokerUrl" -}}
{{- $own := printf "%s-%s" (include "common.fullnameOf" (dict "root" .root "chart" "rabbitmq")) .user -}}
{{- $theirs := (get (((.root.Values.rabbitmq).users) | default dict) .user | default dict).existingSecret -}}
name: {{ .login.existingSecret | default $theirs | default $own }}
key: {{ .login.key }}
{{- end -}}

{{/* Where the certificates come from that the services trust beside the system's, as sources of a projected volume; empty: there are none. */}}
{{- define "sluice.trust" -}}
{{- with .Values.trust }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items: [{key: {{ .key }}, path: own.crt}]
{{- end }}
{{- end }}
{{- with .Values.rabbitmq }}
{{- if and .enabled (.tls).enabled }}
- secret:
    name: {{ .tls.existingSecret }}
    items: [{key: ca.crt, path: rabbitmq.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{/* The ConfigMap with the files of mail types; empty: there are the built-in ones alone. */}}
{{- define "sluice.mails" -}}
{{- if .Values.mails.files -}}
{{ include "sluice.name" (dict "root" . "component" "mails") }}
{{- else -}}
{{ .Values.mails.existingConfigMap }}
{{- end -}}
{{- end -}}

{{/* What a pod reads from files: root, component. */}}
{{- define "sluice.volumes" -}}
{{- $trust := include "sluice.trust" .root | trim }}
{{- $mails := has .component (list "email-worker" "mail-api") | ternary (include "sluice.mails" .root) "" }}
{{- if or $trust $mails -}}
volumes:
  {{- with $trust }}
  - name: trust
    projected:
      sources:
        {{- . | nindent 8 }}
  {{- end }}
  {{- with $mails }}
  - name: mails
    configMap:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where: root, component. Whole directories, no subPath: what changes in a ConfigMap is seen. */}}
{{- define "sluice.volumeMounts" -}}
{{- $trust := include "sluice.trust" .root | trim }}
{{- $mails := has .component (list "email-worker" "mail-api") | ternary (include "sluice.mails" .root) "" }}
{{- if or $trust $mails -}}
volumeMounts:
  {{- if $trust }}
  - name: trust
    mountPath: /etc/sluice/trust
    readOnly: true
  {{- end }}
  {{- if $mails }}
  - name: mails
    mountPath: /etc/sluice/mails
    readOnly: true
  {{- end }}
{{- end }}
{{- end -}}

{{/* A list of variables and extraEnv. A variable may be there once: what extraEnv names is left out of the list: root, component, list (text); and extra, where it is not that of the component's values. */}}
{{- define "sluice.withExtraEnv" -}}
{{- $extra := hasKey . "extra" | ternary .extra (index .root.Values (include "sluice.key" .)).extraEnv }}
{{- $named := dict }}
{{- range $extra }}
{{- $_ := set $named .name true }}
{{- end }}
{{- range fromYamlArray .list }}
{{- if not (hasKey $named .name) }}
{{ toYaml (list .) }}
{{- end }}
{{- end }}
{{- with $extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What `migrate` reads. With extraEnv, so that it migrates the database that the service then uses: root, component. */}}
{{- define "sluice.migrateEnv" -}}
{{- $list := printf "%s\n%s" (include "sluice.env.migrate" .) (include "sluice.env.migrationUrl" .) -}}
{{- include "sluice.withExtraEnv" (merge (dict "list" $list) .) | trim -}}
{{- end -}}

{{/* The environment of a service: root, component; and what sluice.env.all takes. */}}
{{- define "sluice.env" -}}
{{- $own := include (printf "sluice.env.%s" .component) (.relay | default .root) -}}
{{- include "sluice.withExtraEnv" (merge (dict "list" (printf "%s\n%s" (include "sluice.env.all" .) $own)) .) | trim -}}
{{- end -}}

{{/* What all services and their `migrate` read: root, component; and database, as for sluice.databaseUrl. */}}
{{- define "sluice.env.migrate" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- include "sluice.databaseUrl" . | nindent 6 }}
- name: LOG_FORMAT
  value: json
- name: LOG_LEVEL
  value: {{ .root.Values.telemetry.logLevel | quote }}
{{- if include "sluice.trust" .root | trim }}
- name: SSL_CERT_DIR
  value: /etc/ssl/certs:/etc/sluice/trust
{{- end }}
{{- end -}}

{{/* A URL that only `migrate` has: root, component. */}}
{{- define "sluice.env.migrationUrl" -}}
{{- with ((index .root.Values (include "sluice.key" .)).database).migration }}
{{- if .existingSecret }}
- name: MIGRATE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Not empty: a PodMonitor has Prometheus read the services' metrics. */}}
{{- define "sluice.scraped" -}}
{{- with .Values.monitoring.podMonitor }}
{{- and .enabled .services | ternary "yes" "" }}
{{- end }}
{{- end -}}

{{/* What all services read: root, component; database, as for sluice.databaseUrl; user and login, where the broker knows the component by another name. */}}
{{- define "sluice.env.all" -}}
{{- $values := index .root.Values (include "sluice.key" .) -}}
{{ include "sluice.env.migrate" . }}
- name: AMQP_URL
  valueFrom:
    secretKeyRef:
      {{- include "sluice.brokerUrl" (dict "root" .root "user" (.user | default .component) "login" (.login | default $values.broker)) | nindent 6 }}
- name: APP_ENV
  value: {{ $values.appEnv }}
- name: SHUTDOWN_GRACE
  value: {{ $values.shutdownGrace }}
{{- $attributes := list (printf "k8s.namespace.name=%s" .root.Release.Namespace) "k8s.pod.name=$(POD_NAME)" }}
{{- range $name, $value := .root.Values.telemetry.resourceAttributes }}
{{- $attributes = append $attributes (printf "%s=%s" $name $value) }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
# Alerts and dashboard tell releases apart by it, whichever way metrics go.
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- if include "sluice.scraped" .root }}
# One Prometheus would get all twice from a service that pushes as well.
- name: OTEL_METRICS_EXPORTER
  value: prometheus
{{- end }}
{{- with .root.Values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
# In ms. What a process did before it exports for the first time is in no rate of Prometheus', and a worker may live for a minute only.
- name: OTEL_METRIC_EXPORT_INTERVAL
  value: "10000"
{{- end }}
{{- end -}}

{{/* What addresses are hashed with. Root. */}}
{{- define "sluice.env.addresses" -}}
{{- with .Values.suppressions }}
{{- if .existingSecret }}
- name: ADDRESS_HASH_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- with .oldKey }}
- name: ADDRESS_HASH_KEY_OLD
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.suppressions.existingSecret }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the files of mail types are. Root. */}}
{{- define "sluice.env.mails" -}}
{{- if include "sluice.mails" . }}
- name: MAILS_DIR
  value: /etc/sluice/mails
{{- end }}
{{- end -}}

{{/* The proxies before a service over HTTP: its values. */}}
{{- define "sluice.env.proxies" -}}
{{- with .trustedProxies }}
- name: TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{/* Brings the database up to date before the new version starts. Migrations only expand, so the old one runs beside it: root, component. */}}
{{- define "sluice.migrate" -}}
{{- $values := index .root.Values (include "sluice.key" .) -}}
- name: migrate
  image: {{ include "common.image" (dict "root" .root "image" $values.image) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- include "common.container" . | nindent 2 }}
  args: [migrate]
  env:
    {{- include "sluice.migrateEnv" . | nindent 4 }}
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  {{- with include "sluice.volumeMounts" (dict "root" .root "component" "migrate") }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The service's own health, on a port that the Service does not have. */}}
{{- define "sluice.probes" -}}
# Not /readyz: a pod that waits for a database or a mail server is not helped by a restart.
startupProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 120
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 5
# Each second: whoever comes from zero, or in a rollout, is waited for.
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 15
{{- end -}}

{{/* Written without need, the number would take back at each upgrade what an autoscaler or `kubectl scale` set: a service's values. */}}
{{- define "sluice.replicas" -}}
{{- if not (or (.autoscaling).enabled (kindIs "invalid" .replicas)) -}}
replicas: {{ .replicas }}
{{- else -}}
# replicas: whoever scales it says how many.
{{- end }}
{{- end -}}

{{/* The metadata of a service's pods: root, component; and relay, whose pods are told apart by its name. */}}
{{- define "sluice.podMetadata" -}}
{{- $values := index .root.Values (include "sluice.key" .) -}}
labels:
  {{- include "common.podLabels" . | nindent 2 }}
  {{- with .relay }}
  sluice-relay: {{ .name | quote }}
  {{- end }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
