{{/* The name of a user's secret: root, user (as in `users`). */}}
{{- define "rabbitmq.secret" -}}
{{- (index .root.Values.users .user).existingSecret | default (printf "%s-%s" (include "common.fullname" .root) .user) -}}
{{- end -}}

{{- define "rabbitmq.cookieSecret" -}}
{{- .Values.cookie.existingSecret | default (printf "%s-cookie" (include "common.fullname" .)) -}}
{{- end -}}

{{/* Where clients connect to. */}}
{{- define "rabbitmq.host" -}}
{{- printf "%s.%s.svc" (include "common.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "rabbitmq.amqp" -}}{{ ternary "amqps" "amqp" .Values.tls.enabled }}{{- end -}}
{{- define "rabbitmq.amqpPort" -}}{{ ternary 5671 5672 .Values.tls.enabled }}{{- end -}}

{{/* The name under which the nodes find each other. */}}
{{- define "rabbitmq.nodes" -}}{{ include "common.fullname" . }}-nodes{{- end -}}

{{/* What the nodes read. Passwords are not in it. */}}
{{- define "rabbitmq.config" -}}
rabbitmq.conf: |
  {{- tpl (.Files.Get "files/rabbitmq.conf") . | trim | nindent 2 }}
enabled_plugins: |
  [rabbitmq_management,rabbitmq_prometheus,rabbitmq_peer_discovery_k8s].
definitions.json: |
  {{- tpl (.Files.Get "files/definitions.json") . | trim | nindent 2 }}
prepare: |
  {{- .Files.Get "files/prepare" | trim | nindent 2 }}
{{- end -}}

{{/* Distribution: the nodes among themselves (4369, 25672), and their command line tools. */}}
{{- define "rabbitmq.distribution" -}}
- port: 4369
- port: 25672
- port: 35672
  endPort: 35682
{{- end -}}

{{- define "rabbitmq.ingress" -}}
- from:
    {{- range list "user-api" "email-worker" "mail-api" "mail-relay" "console" "rabbitmq-test" }}
    - {{ include "common.release" (dict "root" $ "component" .) | nindent 6 | trim }}
    {{- end }}
    {{- with .Values.networkPolicy.clients }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - port: {{ include "rabbitmq.amqpPort" . }}
- from:
    - {{ include "common.release" (dict "root" . "component" "rabbitmq-test") | nindent 6 | trim }}
    {{- with .Values.networkPolicy.kedaNamespace }}
    - {{ include "common.namespaces" (dict "selector" (dict "kubernetes.io/metadata.name" .)) | nindent 6 | trim }}
    {{- end }}
    {{- with .Values.networkPolicy.managementClients }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - port: 15672
{{- with .Values.networkPolicy.monitoring.namespaceSelector }}
- from:
    - {{ include "common.namespaces" (dict "selector" .) | nindent 6 | trim }}
  ports:
    - port: 15692
{{- end }}
- from:
    - {{ include "common.release" (dict "root" . "component" "rabbitmq") | nindent 6 | trim }}
  ports:
    {{- include "rabbitmq.distribution" . | nindent 4 }}
{{- end -}}

{{- define "rabbitmq.egress" -}}
- to:
    - {{ include "common.release" (dict "root" . "component" "rabbitmq") | nindent 6 | trim }}
  ports:
    {{- include "rabbitmq.distribution" . | nindent 4 }}
{{- end -}}

{{- define "rabbitmq.testEgress" -}}
- to:
    - {{ include "common.release" (dict "root" . "component" "rabbitmq") | nindent 6 | trim }}
  ports:
    - port: {{ include "rabbitmq.amqpPort" . }}
    - port: 15672
{{- end -}}

{{/* Three nodes that become one stop answering: the one that stays has no majority, and can't know that it should not wait for the others. */}}
{{- define "rabbitmq.refuseShrinking" -}}
{{- $name := include "common.fullname" . -}}
{{- $lives := lookup "apps/v1" "StatefulSet" .Release.Namespace $name -}}
{{- $volume := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (printf "data-%s-2" $name) -}}
{{- if and (lt (int .Values.replicas) 3) (or (gt (int (($lives).spec).replicas) (int .Values.replicas)) $volume) -}}
{{- fail (printf "replicas: %s in namespace %s has three nodes, and one alone could not serve its queues. Leave replicas at 3. To start anew with one, empty: uninstall, and delete the volumes (kubectl -n %s delete pvc -l app.kubernetes.io/instance=%s,app.kubernetes.io/name=%s)" $name .Release.Namespace .Release.Namespace .Release.Name .Chart.Name) -}}
{{- end -}}
{{- end -}}
