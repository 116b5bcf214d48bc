{{/* What every pod has. */}}
{{- define "belfry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "belfry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* spread over hosts and zones, or what the operator says: (dict "root" $ "name" … "values" …) */}}
{{- define "belfry.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .values.affinity }}
affinity: {{- toYaml .values.affinity | nindent 2 }}
{{- else if dig "topologySpread" "enabled" false .values }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.values.topologySpread.whenUnsatisfiable }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "belfry.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* a probe: the operator's, else the chart's: (dict "own" … "path" … "rest" (dict …)) */}}
{{- define "belfry.probe" -}}
{{- if .own -}}{{ toYaml .own }}
{{- else -}}
httpGet: {path: {{ .path }}, port: admin, scheme: {{ .scheme | default "HTTP" }}}
{{ toYaml .rest }}
{{- end -}}
{{- end -}}

{{/* memory for the garbage collector: nine tenths of the limit is what the variable's reader takes */}}
{{- define "belfry.memoryEnv" -}}
{{- if dig "limits" "memory" "" .resources }}
- name: GOMEMLIMIT
  valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: "1"}}
{{- end }}
{{- end -}}

{{/* settings, as the file that --config reads */}}
{{- define "belfry.config" -}}
{{- $auth := dict -}}
{{- with .root.Values.auth }}
{{- if .existingSecret }}{{ $_ := set $auth "secret_file" "/etc/belfry/auth/secret" }}{{ end }}
{{- if .issuer }}{{ $_ := set $auth "issuer" .issuer }}{{ end }}
{{- if .audience }}{{ $_ := set $auth "audience" .audience }}{{ end }}
{{- if .jwksUrl }}{{ $_ := set $auth "jwks_url" .jwksUrl }}{{ end }}
{{- if .hmacExistingSecret }}{{ $_ := set $auth "hmac_keys_file" "/etc/belfry/hmac/keys.json" }}{{ end }}
{{- end }}
{{- $config := dict
  "http" (dict "addr" ":8080")
  "admin" (dict "addr" ":9090")
  "log" (dict "level" .root.Values.logLevel "format" "json") -}}
{{- with .root.Values.traceEndpoint }}{{ $_ := set $config "trace" (dict "endpoint" .) }}{{ end }}
{{- if $auth }}{{ $_ := set $config "auth" $auth }}{{ end }}
{{- toYaml (mergeOverwrite $config (.own | default dict) (deepCopy .root.Values.config) (deepCopy (.values.config | default dict))) }}
{{- end -}}

{{/* how a service reaches NATS */}}
{{- define "belfry.natsConfig" -}}
{{- $nats := dict "url" (include "belfry.natsURL" .) "replicas" (int .Values.nats.streamReplicas) -}}
{{- if .Values.nats.recreateLost }}{{ $_ := set $nats "recreate_lost" true }}{{ end -}}
{{- if eq .Values.nats.mode "external" -}}
{{- with .Values.nats.external -}}
{{- if .credsKey }}{{ $_ := set $nats "creds_file" "/etc/belfry/nats/creds" }}
{{- else if .existingSecret }}{{ $_ := set $nats "user" .user }}{{ $_ := set $nats "password_file" "/etc/belfry/nats/password" }}{{ end -}}
{{- if .tls.existingSecret -}}
{{- if .tls.caKey }}{{ $_ := set $nats "tls_ca" "/etc/belfry/nats-tls/ca.crt" }}{{ end -}}
{{- if .tls.certKey }}{{ $_ := set $nats "tls_cert" "/etc/belfry/nats-tls/tls.crt" }}{{ $_ := set $nats "tls_key" "/etc/belfry/nats-tls/tls.key" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $nats "user" "service" }}{{ $_ := set $nats "password_file" "/etc/belfry/nats/password" -}}
{{- if .Values.nats.cluster.tls.existingSecret }}{{ $_ := set $nats "tls_ca" "/etc/belfry/nats-tls/ca.crt" }}{{ end -}}
{{- end -}}
{{ dict "nats" $nats | toJson }}
{{- end -}}

{{/* volumes of secrets: auth and hmac for all, nats for those that connect */}}
{{- define "belfry.secretVolumes" -}}
{{- with .Values.auth.existingSecret }}
- name: auth
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: {{ $.Values.auth.secretKey }}, path: secret}]}
{{- end }}
{{- with .Values.auth.hmacExistingSecret }}
- name: hmac
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: {{ $.Values.auth.hmacKey }}, path: keys.json}]}
{{- end }}
{{- end -}}

{{- define "belfry.secretMounts" -}}
{{- if .Values.auth.existingSecret }}
- {name: auth, mountPath: /etc/belfry/auth, readOnly: true}
{{- end }}
{{- if .Values.auth.hmacExistingSecret }}
- {name: hmac, mountPath: /etc/belfry/hmac, readOnly: true}
{{- end }}
{{- end -}}

{{/* what seals hooks' secrets in the store, for whoever asks hooks */}}
{{- define "belfry.hooksConfig" -}}
{{- if .Values.hooks.existingSecret }}{{ dict "objectevent" (dict "hook_key_file" "/etc/belfry/hooks/keys") | toJson }}{{ else }}{}{{ end -}}
{{- end -}}

{{- define "belfry.hooksVolume" -}}
{{- with .Values.hooks.existingSecret }}
- name: hooks
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: {{ $.Values.hooks.secretKey }}, path: keys}]}
{{- end }}
{{- end -}}

{{- define "belfry.hooksMount" -}}
{{- if .Values.hooks.existingSecret }}
- {name: hooks, mountPath: /etc/belfry/hooks, readOnly: true}
{{- end }}
{{- end -}}

{{- define "belfry.natsVolumes" -}}
{{- if eq .Values.nats.mode "external" }}
{{- with .Values.nats.external }}
{{- if .existingSecret }}
- name: nats
  secret: {secretName: {{ .existingSecret }}, defaultMode: 0440, items: [{key: {{ .credsKey | default .passwordKey }}, path: {{ ternary "creds" "password" (ne .credsKey "") }}}]}
{{- end }}
{{- if .tls.existingSecret }}
- name: nats-tls
  secret:
    secretName: {{ .tls.existingSecret }}
    defaultMode: 0440
    items:
      {{- with .tls.caKey }}
      - {key: {{ . }}, path: ca.crt}
      {{- end }}
      {{- if .tls.certKey }}
      - {key: {{ .tls.certKey }}, path: tls.crt}
      - {key: {{ .tls.keyKey }}, path: tls.key}
      {{- end }}
{{- end }}
{{- end }}
{{- else }}
- name: nats
  secret: {secretName: {{ .Values.nats.cluster.existingSecret }}, defaultMode: 0440, items: [{key: {{ .Values.nats.cluster.passwordKey }}, path: password}]}
{{- with .Values.nats.cluster.tls.existingSecret }}
- name: nats-tls
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end -}}

{{- define "belfry.natsMounts" -}}
{{- if or (ne .Values.nats.mode "external") .Values.nats.external.existingSecret }}
- {name: nats, mountPath: /etc/belfry/nats, readOnly: true}
{{- end }}
{{- if or (and (eq .Values.nats.mode "external") .Values.nats.external.tls.existingSecret) (and (eq .Values.nats.mode "cluster") .Values.nats.cluster.tls.existingSecret) }}
- {name: nats-tls, mountPath: /etc/belfry/nats-tls, readOnly: true}
{{- end }}
{{- end -}}
