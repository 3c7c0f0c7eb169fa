{{/* The labels of what Prometheus' operator or Grafana's sidecar find, and those they were told to look for. */}}
{{- define "sluice.monitoringLabels" -}}
{{ include "common.labels" (dict "root" . "component" "monitoring") }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
