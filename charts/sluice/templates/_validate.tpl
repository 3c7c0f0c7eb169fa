{{/* Values that are right one by one and do not go together. Each message names the key, and says what to do. */}}
{{- define "sluice.validate" -}}
{{- $api := .Values.userApi -}}
{{- $worker := .Values.emailWorker -}}

{{- $send := $worker.sendTimeout | trimSuffix "s" | int -}}
{{- $grace := $worker.shutdownGrace | trimSuffix "s" | int -}}
{{- $kill := int $worker.terminationGracePeriodSeconds -}}
{{- if le $grace $send -}}
{{- fail (printf "emailWorker.shutdownGrace (%s) must be more than emailWorker.sendTimeout (%s), or a mail would be cut off before its last byte" $worker.shutdownGrace $worker.sendTimeout) -}}
{{- end -}}
{{- if lt $kill (add $grace 5 | int) -}}
{{- fail (printf "emailWorker.terminationGracePeriodSeconds (%d) must be emailWorker.shutdownGrace (%s) and 5 s more, or the pod would be killed before it is done" $kill $worker.shutdownGrace) -}}
{{- end -}}

{{- range $key := list "userApi" "mailApi" "console" -}}
{{- $service := index $.Values $key -}}
{{- $grace := $service.shutdownGrace | trimSuffix "s" | int -}}
{{- $kill := int $service.terminationGracePeriodSeconds -}}
{{- if lt $kill (add $grace $service.preStopSeconds 5 | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds (%d) must be %s.preStopSeconds (%d), %s.shutdownGrace (%s) and 5 s together, or requests would be cut off" $key $kill $key (int $service.preStopSeconds) $key $service.shutdownGrace) -}}
{{- end -}}
{{- if and $service.ingress.enabled (not $service.ingress.host) -}}
{{- fail (printf "%s.ingress.host is needed with %s.ingress.enabled" $key $key) -}}
{{- end -}}
{{- if and $service.httpRoute.enabled (not $service.httpRoute.parentRefs) -}}
{{- fail (printf "%s.httpRoute.parentRefs is needed with %s.httpRoute.enabled: the gateways that the route belongs to" $key $key) -}}
{{- end -}}
{{- if and ($service.autoscaling).enabled (not ((($service.resources).requests).cpu)) -}}
{{- fail (printf "%s.resources.requests.cpu is needed with %s.autoscaling.enabled: targetCPU is in percent of it" $key $key) -}}
{{- end -}}
{{- end -}}

{{- $memory := ((($api.resources).limits).memory) | default "" | toString -}}
{{- $hashes := include "sluice.hashConcurrency" $api | int -}}
{{- if regexMatch "^[0-9]+[MG]i$" $memory -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $memory | int) (hasSuffix "Gi" $memory | ternary 1024 1) -}}
{{- if lt $mebibytes (add 32 (mul 19 $hashes)) -}}
{{- fail (printf "userApi.resources.limits.memory (%s) has no room for %d passwords hashed at once: 19 MiB each, and 32 MiB for the rest; give more, or set a smaller userApi.hashConcurrency" $memory $hashes) -}}
{{- end -}}
{{- end -}}

{{- $services := dict "userApi" $api "emailWorker" $worker -}}
{{- if .Values.mailApi.enabled -}}
{{- $services = set $services "mailApi" .Values.mailApi -}}
{{- end -}}
{{- range $key, $service := $services -}}
{{- $scaling := $service.autoscaling | default dict -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas (%d) is more than %s.autoscaling.maxReplicas (%d)" $key (int $scaling.minReplicas) $key (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (not $.Values.postgresql.enabled) (not $service.database.existingSecret) -}}
{{- fail (printf "%s.database.existingSecret is needed with postgresql.enabled=false: a secret whose key `%s` is the URL postgres://user:password@host:5432/database" $key $service.database.key) -}}
{{- end -}}
{{- end -}}
{{- if .Values.mailApi.relays -}}
{{- $services = set $services "mailApi" .Values.mailApi -}}
{{- end -}}
{{- range $key, $service := $services -}}
{{- if and (not $.Values.rabbitmq.enabled) (not $service.broker.existingSecret) -}}
{{- fail (printf "%s.broker.existingSecret is needed with rabbitmq.enabled=false: a secret whose key `%s` is the URL amqp://user:password@host:5672/vhost" $key $service.broker.key) -}}
{{- end -}}
{{- end -}}

{{- with .Values.console -}}
{{- if and .enabled (not .tokens.existingSecret) (not .oidc.issuer) (not .proxy.networks) -}}
{{- fail (printf "console.tokens.existingSecret is needed with console.enabled, or console.oidc.issuer, or console.proxy.networks: a secret whose key `%s` says who is let in, as NAME=viewer:TOKEN and NAME=operator:TOKEN" .tokens.key) -}}
{{- end -}}
{{- if and .enabled .oidc.issuer (not .oidc.clientId) -}}
{{- fail "console.oidc.clientId is needed with console.oidc.issuer: the name of the console at the provider" -}}
{{- end -}}
{{- if and .enabled .oidc.issuer (not .url) -}}
{{- fail "console.url is needed with console.oidc.issuer: the provider sends people back there" -}}
{{- end -}}
{{- if and .enabled .oidc.issuer (not .oidc.operators) (not .oidc.viewers) -}}
{{- fail "console.oidc.operators or console.oidc.viewers is needed with console.oidc.issuer: nobody would be let in" -}}
{{- end -}}
{{- if and .enabled .proxy.networks (not .proxy.operators) (not .proxy.viewers) -}}
{{- fail "console.proxy.operators or console.proxy.viewers is needed with console.proxy.networks: nobody would be let in" -}}
{{- end -}}
{{- if and .enabled (gt (.replicas | default 1 | int) 1) (not .sessions.existingSecret) -}}
{{- fail (printf "console.sessions.existingSecret is needed with console.replicas of more than 1: a secret whose key `%s` seals sessions, so that each pod knows those of the others" .sessions.key) -}}
{{- end -}}
{{- end -}}

{{- $names := list -}}
{{- range .Values.mailApi.relays -}}
{{- if has .name $names -}}
{{- fail (printf "mailApi.relays has two of the name %s" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}

{{- with $worker.autoscaling -}}
{{- if and .enabled (not $.Values.rabbitmq.enabled) (not .management.existingSecret) -}}
{{- fail (printf "emailWorker.autoscaling.management.existingSecret is needed with rabbitmq.enabled=false: a secret whose key `%s` is the URL http://user:password@host:15672/vhost; or set emailWorker.autoscaling.enabled=false" .management.key) -}}
{{- end -}}
{{- end -}}

{{- if and .Values.mails.files .Values.mails.existingConfigMap -}}
{{- fail "mails.files and mails.existingConfigMap are both set: the services read the files of one ConfigMap" -}}
{{- end -}}
{{- if and (not .Values.smtp.host) (not .Values.mailbox.enabled) -}}
{{- fail "smtp.host is needed with mailbox.enabled=false: mails would have nowhere to go" -}}
{{- end -}}
{{- if and .Values.dkim.existingSecret (not .Values.dkim.selector) -}}
{{- fail "dkim.selector is needed with dkim.existingSecret: it names the key, and where its other half is published" -}}
{{- end -}}
{{- if and (or .Values.dkim.selector .Values.dkim.domain) (not .Values.dkim.existingSecret) -}}
{{- fail "dkim.existingSecret is needed with dkim.selector and dkim.domain: a secret with the private key" -}}
{{- end -}}
{{- if and .Values.suppressions.oldKey (not .Values.suppressions.existingSecret) -}}
{{- fail "suppressions.existingSecret is needed with suppressions.oldKey: a key before none" -}}
{{- end -}}
{{- if and .Values.smtp.existingSecret (not .Values.smtp.host) -}}
{{- fail "smtp.host is needed with smtp.existingSecret: the mailbox asks for no login, and is told none" -}}
{{- end -}}

{{/* `helm template` knows no cluster, and can't say that something is missing there. */}}
{{- if and $worker.autoscaling.enabled (lookup "v1" "Service" "default" "kubernetes") (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) -}}
{{- fail "emailWorker.autoscaling.enabled needs KEDA, which is not in this cluster. Install it (helm install keda keda --repo https://kedacore.github.io/charts --namespace keda --create-namespace), or set emailWorker.autoscaling.enabled=false" -}}
{{- end -}}
{{- end -}}
