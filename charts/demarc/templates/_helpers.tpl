{{- define "demarc.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "demarc.fullname" -}}
{{- $name := include "demarc.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Names of what is beside the Deployment are labels of its pods too, and no longer than one may be: suffix, then context. */ -}}
{{- define "demarc.beside" -}}
{{- printf "%s-%s" (include "demarc.fullname" (index . 1) | trunc (int (sub 62 (len (index . 0)))) | trimSuffix "-") (index . 0) -}}
{{- end -}}

{{- define "demarc.labelBeside" -}}
{{- printf "%s-%s" (include "demarc.name" (index . 1) | trunc (int (sub 62 (len (index . 0)))) | trimSuffix "-") (index . 0) -}}
{{- end -}}

{{- define "demarc.selectorLabels" -}}
app.kubernetes.io/name: {{ include "demarc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* commonLabels give way to the chart's own. */ -}}
{{- define "demarc.labels" -}}
{{- $own := include "demarc.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "demarc" -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "demarc.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "demarc.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "demarc.username" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "demarc.serviceAccountName" .) -}}
{{- end -}}

{{- define "demarc.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if or .Values.image.tag (not .Values.image.digest) }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "demarc.priorityClassName" -}}
{{- .Values.priorityClassName | default (ternary (include "demarc.fullname" .) "" .Values.priorityClass.create) -}}
{{- end -}}

{{- /* Where the certificate comes from: own, existing or cert-manager. What does not go together is told in one sentence. */ -}}
{{- define "demarc.tls" -}}
{{- $tls := .Values.tls -}}
{{- if and $tls.existingSecret $tls.certManager.enabled -}}
{{- fail "tls.existingSecret and tls.certManager.enabled are two sources of one certificate: set one of them" -}}
{{- else if and $tls.existingSecret (not $tls.caBundle) -}}
{{- fail "tls.existingSecret needs tls.caBundle, or the API server trusts nobody: --set-file tls.caBundle=ca.crt" -}}
{{- else if contains "PRIVATE KEY" $tls.caBundle -}}
{{- fail "tls.caBundle holds a private key, and whoever may read webhook configurations would read it: give it the CA's certificate alone" -}}
{{- else if and $tls.caBundle (not (regexMatch "-----BEGIN CERTIFICATE-----\\s+([A-Za-z0-9+/=]+\\s+)+-----END CERTIFICATE-----" $tls.caBundle)) -}}
{{- fail "tls.caBundle is no certificate in PEM: --set-file tls.caBundle=ca.crt" -}}
{{- else if and $tls.caBundle (not $tls.existingSecret) -}}
{{- fail "tls.caBundle goes with tls.existingSecret only: otherwise the CA is made and filled in by Demarc or cert-manager" -}}
{{- else if and $tls.certManager.issuerRef (not $tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef has no name: name the issuer, or leave issuerRef empty for a CA of Demarc's own" -}}
{{- else if $tls.existingSecret -}}existing
{{- else if $tls.certManager.enabled -}}cert-manager
{{- else -}}own
{{- end -}}
{{- end -}}

{{- define "demarc.tlsSecretName" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "demarc.fullname" .)) -}}
{{- end -}}

{{- /* A quantity as a number. */ -}}
{{- define "demarc.amount" -}}
{{- $unit := regexFind "[A-Za-z]+$" (toString .) -}}
{{- $scales := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (toString . | trimSuffix $unit | float64) (get $scales $unit) -}}
{{- end -}}

{{- /* Where traces go, if anywhere. What does not go together is told in one sentence. */ -}}
{{- define "demarc.tracing" -}}
{{- $tracing := .Values.tracing -}}
{{- $https := hasPrefix "https://" $tracing.endpoint -}}
{{- if and $https (not $tracing.caConfigMap) -}}
{{- fail "tracing.endpoint is https:// and tracing.caConfigMap is empty: the image trusts nobody, so name a ConfigMap with the receiver's ca.crt" -}}
{{- else if and $tracing.caConfigMap (not $https) -}}
{{- fail "tracing.caConfigMap goes with a tracing.endpoint at https:// only" -}}
{{- end -}}
{{- $tracing.endpoint -}}
{{- end -}}

{{- /* The port of the receiver. */ -}}
{{- define "demarc.tracingPort" -}}
{{- $url := urlParse .Values.tracing.endpoint -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{- /* What cannot work at all, beside the certificate. */ -}}
{{- define "demarc.validate" -}}
{{- if has .Release.Namespace (list "kube-system" "kube-public" "kube-node-lease") -}}
{{- fail (printf "namespace %s is the cluster's own: install Demarc in a namespace of its own, for example demarc-system" .Release.Namespace) -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: every pod of the namespace would have Demarc's rights; name a service account" -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "demarc.fullname" .)) -}}
{{- fail (printf "%q cannot be the name of a Service: take a release name of letters, digits and dashes that begins with a letter, or set fullnameOverride" (include "demarc.fullname" .)) -}}
{{- end -}}
{{- if .Release.IsInstall -}}
{{- /* Where somebody forgot -n: in a release alone, for lint and template have this namespace too. */ -}}
{{- if and (eq .Release.Namespace "default") (lookup "v1" "Namespace" "" "kube-system") -}}
{{- fail "namespace default would never be enrolled, for Demarc's own namespace is not: install it in one of its own, -n demarc-system --create-namespace" -}}
{{- end -}}
{{- $own := include "demarc.fullname" . -}}
{{- range (lookup "admissionregistration.k8s.io/v1" "ValidatingWebhookConfiguration" "" "").items -}}
{{- $other := .metadata.name -}}
{{- range .webhooks -}}
{{- if and (eq .name "workloads.demarc.dev") (ne $other $own) -}}
{{- fail (printf "ValidatingWebhookConfiguration %s is of another Demarc, and one cluster has one: upgrade that release, or uninstall it first" $other) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^([0-9]+([.][0-9]+){3}|\\[[0-9a-fA-F:.]+\\])$" .Values.webhook.bindAddress) | or (regexMatch "^(127[.]|\\[::1\\])" .Values.webhook.bindAddress) -}}
{{- fail (printf "webhook.bindAddress %s is no address at which the API server reaches a pod: 0.0.0.0, or \"[::]\" in a cluster of IPv6" .Values.webhook.bindAddress) -}}
{{- end -}}
{{- $limits := dig "limits" dict (.Values.resources | default dict) | default dict -}}
{{- $requests := dig "requests" dict (.Values.resources | default dict) | default dict -}}
{{- range $what, $limit := $limits -}}
{{- $most := include "demarc.amount" $limit | float64 -}}
{{- if and (eq $what "memory") (lt $most 33554432.0) -}}
{{- fail (printf "resources.limits.memory %v is less than Demarc needs to start: 32Mi, and 256Mi in a usual cluster" $limit) -}}
{{- end -}}
{{- with get $requests $what -}}
{{- if gt (include "demarc.amount" . | float64) $most -}}
{{- fail (printf "resources.requests.%s %v is more than resources.limits.%s %v, and a cluster makes no such pod: set both" $what . $what $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.priorityClassName .Values.priorityClass.create -}}
{{- fail "priorityClassName and priorityClass.create are two sources of one class: set one of them" -}}
{{- end -}}
{{- if eq (int .Values.webhook.port) 8080 -}}
{{- fail "webhook.port 8080 is where the probes are answered: choose another one" -}}
{{- end -}}
{{- end -}}
