{{/* Names. Everything is called <fullname>-<component>; 40 characters leave room for suffixes. */}}
{{- define "belfry.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "belfry.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* labels of an object: (dict "root" $ "name" "gateway") */}}
{{- define "belfry.labels" -}}
{{ include "belfry.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: belfry
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "name" "gateway" "suffix" "-admin") */}}
{{- define "belfry.metadata" -}}
name: {{ include "belfry.fullname" .root }}-{{ .name }}{{ .suffix | default "" }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "belfry.labels" . | nindent 2 }}
{{- $annotations := mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* image of a program */}}
{{- define "belfry.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .root.Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .root.Values.image.repository }}/{{ .program }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "belfry.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "belfry.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end -}}

{{/* The services that run as Deployments: not in single mode, where one pod has them all. */}}
{{- define "belfry.services" -}}
{{- $names := list -}}
{{- if ne .Values.nats.mode "single" -}}
{{- range $name := list "gateway" "scheduler" "objectevent" "mailbox" -}}
{{- if (index $.Values $name).enabled -}}{{ $names = append $names $name }}{{- end -}}
{{- end -}}
{{- end -}}
{{ $names | toJson }}
{{- end -}}

{{/* a service's values over the defaults, as JSON */}}
{{- define "belfry.values" -}}
{{ mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values .name)) | toJson }}
{{- end -}}

{{- define "belfry.natsURL" -}}
{{- if eq .Values.nats.mode "external" }}{{ .Values.nats.external.url }}
{{- else -}}
{{- $scheme := ternary "tls" "nats" (ne .Values.nats.cluster.tls.existingSecret "") -}}
{{ $scheme }}://{{ include "belfry.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- end -}}
{{- end -}}

{{/* The ports of URLs, as JSON: what they say, else what their scheme means. */}}
{{- define "belfry.ports" -}}
{{- $standard := dict "http" "80" "ws" "80" "https" "443" "wss" "443" -}}
{{- $ports := list -}}
{{- range $url := . -}}
{{- $parts := urlParse (trim $url) -}}
{{- $said := regexFind ":[0-9]+$" $parts.host | trimPrefix ":" -}}
{{- $ports = append $ports ($said | default (get $standard $parts.scheme) | default "4222" | int) -}}
{{- end -}}
{{ $ports | uniq | toJson }}
{{- end -}}
