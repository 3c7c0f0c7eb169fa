{{/* What the services over HTTP have in common. All of it: root, component. */}}

{{/* The Deployment: args as well, where the image needs some. */}}
{{- define "sluice.http.deployment" -}}
{{- $values := index .root.Values (include "sluice.key" .) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "sluice.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  {{- include "sluice.replicas" $values | nindent 2 }}
  # A new pod serves before an old one goes.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "common.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      {{- include "sluice.podMetadata" . | nindent 6 }}
    spec:
      {{- include "common.pod" (merge (dict "values" $values "uid" 65532) .) | nindent 6 }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      initContainers:
        {{- include "sluice.migrate" . | nindent 8 }}
      containers:
        - name: {{ .component }}
          image: {{ include "common.image" (dict "root" .root "image" $values.image) }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          {{- include "common.container" . | nindent 10 }}
          {{- with .args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          env:
            {{- include "sluice.env" . | nindent 12 }}
          ports:
            - name: http
              containerPort: 8080
            - name: admin
              containerPort: 9090
          {{- include "sluice.probes" . | nindent 10 }}
          {{- /* Before 1.33, a sleep of 0 is refused. */}}
          {{- with $values.preStopSeconds }}
          lifecycle:
            # It takes a moment until every node knows that the pod is to get no more requests.
            preStop:
              sleep:
                seconds: {{ . }}
          {{- end }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          {{- with include "sluice.volumeMounts" . }}
          {{- . | nindent 10 }}
          {{- end }}
      {{- with include "sluice.volumes" . }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* The Service. */}}
{{- define "sluice.http.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sluice.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "common.selectorLabels" . | nindent 4 }}
  ports:
    - name: http
      port: 80
      targetPort: http
      appProtocol: http
{{- end -}}

{{/* The Ingress, where it is wanted. */}}
{{- define "sluice.http.ingress" -}}
{{- with (index .root.Values (include "sluice.key" .)).ingress }}
{{- if .enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "sluice.name" $ }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "common.labels" $ | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- if .tlsSecret }}
  tls:
    - hosts:
        - {{ .host }}
      secretName: {{ .tlsSecret }}
  {{- end }}
  rules:
    - host: {{ .host }}
      http:
        paths:
          - path: {{ .path }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "sluice.name" $ }}
                port:
                  name: http
{{- end }}
{{- end }}
{{- end -}}

{{/* The HTTPRoute, where it is wanted. */}}
{{- define "sluice.http.route" -}}
{{- with (index .root.Values (include "sluice.key" .)).httpRoute }}
{{- if .enabled }}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include "sluice.name" $ }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "common.labels" $ | nindent 4 }}
spec:
  parentRefs:
    {{- toYaml .parentRefs | nindent 4 }}
  {{- with .hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - backendRefs:
        - name: {{ include "sluice.name" $ }}
          port: 80
{{- end }}
{{- end }}
{{- end -}}

{{/* The HorizontalPodAutoscaler, where it is wanted. */}}
{{- define "sluice.http.scaler" -}}
{{- with (index .root.Values (include "sluice.key" .)).autoscaling }}
{{- if .enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "sluice.name" $ }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "common.labels" $ | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "sluice.name" $ }}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .targetCPU }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The PodDisruptionBudget. */}}
{{- define "sluice.http.pdb" -}}
{{- $values := index .root.Values (include "sluice.key" .) -}}
{{- $replicas := ternary $values.autoscaling.minReplicas ($values.replicas | default 1) $values.autoscaling.enabled -}}
{{- include "common.pdb" (merge (dict "name" (include "sluice.name" .) "replicas" $replicas) .) }}
{{- end -}}

{{/* Who may send requests. Root. */}}
{{- define "sluice.http.clients" -}}
- from:
    - {{ include "common.release" (dict "root" . "component" "sluice-test") | nindent 6 | trim }}
    {{- with .Values.networkPolicy.gateway.namespaceSelector }}
    - {{ include "common.namespaces" (dict "selector" .) | nindent 6 | trim }}
    {{- end }}
    {{- with .Values.networkPolicy.clients }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - port: http
{{- end -}}

{{/* The NetworkPolicy, where there are any. */}}
{{- define "sluice.http.networkPolicy" -}}
{{- if .root.Values.networkPolicy.enabled }}
{{- $ingress := printf "%s%s" (include "sluice.http.clients" .root) (include "sluice.monitoringIngress" .root) }}
{{- include "common.networkPolicy" (merge (dict "name" (include "sluice.name" .) "ingress" $ingress "egress" (printf "%s\n%s" (include "sluice.egress" .root | trim) (include "sluice.toExternal" (.to | default list) | trim) | trim)) .) }}
{{- end }}
{{- end -}}
