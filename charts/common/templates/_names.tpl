{{/* The prefix of every name of the chart: the release's name alone where it says the chart's already. */}}
{{- define "common.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- include "common.fullnameOf" (dict "root" . "chart" .Chart.Name) -}}
{{- end -}}
{{- end -}}

{{/* The same for another chart of the release: root, chart. 40 characters leave room for a suffix within 63. */}}
{{- define "common.fullnameOf" -}}
{{- $release := .root.Release.Name -}}
{{- if contains .chart $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" ($release | trunc 29 | trimSuffix "-") .chart -}}
{{- end -}}
{{- end -}}

{{/* What finds the pods of a component, and never changes: root, component. */}}
{{- define "common.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of a pod: nothing that a new version of the chart changes, or each of them would restart servers that stay as they were: root, component. */}}
{{- define "common.podLabels" -}}
{{ include "common.selectorLabels" . }}
app.kubernetes.io/part-of: sluice
{{- end -}}

{{/* https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/: root, component. */}}
{{- define "common.labels" -}}
{{ include "common.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A digest says exactly what runs, so it wins over the tag: root, image. */}}
{{- define "common.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
