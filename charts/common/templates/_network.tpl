{{/*
A policy for the pods of a component: what it does not list is forbidden, both ways: root, component, name, and ingress and egress as text (lists of rules).
Names are looked up by everybody who calls somebody, so DNS is allowed where egress is.
*/}}
{{- define "common.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "common.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with .ingress }}
  ingress:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .egress }}
  egress:
    {{- . | nindent 4 }}
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
  {{- end }}
{{- end -}}

{{/* A peer: pods of a component in this release, whichever chart made them: root, component. */}}
{{- define "common.release" -}}
podSelector:
  matchLabels:
    app.kubernetes.io/instance: {{ .root.Release.Name }}
    app.kubernetes.io/part-of: sluice
    app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* A peer: all pods of the namespaces that a selector finds: selector (matchLabels). */}}
{{- define "common.namespaces" -}}
namespaceSelector:
  matchLabels:
    {{- toYaml .selector | nindent 4 }}
{{- end -}}
