{{/*
The value of a generated secret: what the cluster holds already, else 32 new letters and digits (they need no escape in a URL): root, name, key.
Each call without a secret in the cluster gives another value: keep it in a variable.
*/}}
{{- define "common.secretValue" -}}
{{- $held := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- $value := get ($held.data | default dict) .key -}}
{{- if $value -}}{{ $value | b64dec }}{{- else -}}{{ randAlphaNum 32 }}{{- end -}}
{{- end -}}

{{/* The head of a generated secret: root, component, name. It stays when the release goes: the data it opens stays too. */}}
{{- define "common.secretHead" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
{{- end -}}

{{/* A text as a part of a URL. */}}
{{- define "common.inUrl" -}}
{{- . | urlquery | replace "+" "%20" -}}
{{- end -}}
