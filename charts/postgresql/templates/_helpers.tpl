{{/* The name of a database's secret: root, user (as in `databases`). */}}
{{- define "postgresql.secret" -}}
{{- (index .root.Values.databases .user).existingSecret | default (printf "%s-%s" (include "common.fullname" .root) .user) -}}
{{- end -}}

{{- define "postgresql.adminSecret" -}}
{{- .Values.admin.existingSecret | default (printf "%s-admin" (include "common.fullname" .)) -}}
{{- end -}}

{{/* Where clients connect to. */}}
{{- define "postgresql.host" -}}
{{- printf "%s.%s.svc" (include "common.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "postgresql.ingress" -}}
- from:
    {{- range list "user-api" "email-worker" "mail-api" "console" "postgresql-test" }}
    - {{ include "common.release" (dict "root" $ "component" .) | nindent 6 | trim }}
    {{- end }}
    {{- with .Values.networkPolicy.clients }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - port: postgresql
{{- end -}}

{{/* What the server and the script read. */}}
{{- define "postgresql.config" -}}
{{- range $path, $_ := .Files.Glob "files/*" }}
{{ base $path }}: |
  {{- $.Files.Get $path | trim | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "postgresql.testEgress" -}}
- to:
    - {{ include "common.release" (dict "root" . "component" "postgresql") | nindent 6 | trim }}
  ports:
    - port: 5432
{{- end -}}
