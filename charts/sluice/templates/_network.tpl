{{/* A rule of egress to a component of the release: root, component, port. */}}
{{- define "sluice.toRelease" -}}
- to:
    - {{ include "common.release" . | nindent 6 | trim }}
  ports:
    - port: {{ .port }}
{{- end -}}

{{/* Rules of egress to what is outside of it: a list of {port, and cidr or namespace and podLabels}. */}}
{{- define "sluice.toExternal" -}}
{{- range . }}
{{- $peer := dict }}
{{- with .cidr }}
{{- $_ := set $peer "ipBlock" (dict "cidr" .) }}
{{- end }}
{{- with .namespace }}
{{- $_ := set $peer "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .)) }}
{{- end }}
{{- with .podLabels }}
{{- $_ := set $peer "podSelector" (dict "matchLabels" .) }}
{{- end }}
- to:
    {{- toYaml (list $peer) | nindent 4 }}
  ports:
    - port: {{ .port }}
{{ end -}}
{{- end -}}

{{/* Who reads a service's metrics; empty: nobody. */}}
{{- define "sluice.monitoringIngress" -}}
{{- if include "sluice.scraped" . }}
{{- with .Values.networkPolicy.monitoring.namespaceSelector }}
- from:
    - {{ include "common.namespaces" (dict "selector" .) | nindent 6 | trim }}
  ports:
    - port: admin
{{- end }}
{{- end }}
{{- end -}}

{{/* What all services call: the broker, the collector, and databases that are not of the release. */}}
{{- define "sluice.egressOfAll" -}}
{{- if .Values.rabbitmq.enabled }}
{{ include "sluice.toRelease" (dict "root" . "component" "rabbitmq" "port" (ternary 5671 5672 (((.Values.rabbitmq).tls).enabled | default false))) }}
{{- end }}
{{- with .Values.networkPolicy.external }}
{{ include "sluice.toExternal" (concat .broker .database .otlp) | trim }}
{{- end }}
{{- end -}}

{{/* The same, and the release's own database. */}}
{{- define "sluice.egress" -}}
{{- include "sluice.egressOfAll" . }}
{{- if .Values.postgresql.enabled }}
{{ include "sluice.toRelease" (dict "root" . "component" "postgresql" "port" 5432) }}
{{- end }}
{{- end -}}
