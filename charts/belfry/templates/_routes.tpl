{{/* Which paths belong to which service; the gateway has the rest. Connect's paths are
     one element, so the prefix is the service's whole name. */}}
{{- define "belfry.routes" -}}
mailbox:
  - /Events
  - /v1/topics
  - /belfry.mailbox.v1.MailboxService
scheduler:
  - /v1/schedules
  - /belfry.scheduler.v1.SchedulerService
objectevent:
  - /v1/operations
  - /v1/deletions
  - /v1/hooks
  - /v1/verdicts
  - /v1/alerts
  - /belfry.objectevent.v1.OperationService
  - /belfry.objectevent.v1.HookService
  - /belfry.objectevent.v1.AlertService
{{- end -}}

{{/* the Service object of a service's paths, in single mode the one pod's:
     (dict "root" $ "name" "gateway" "suffix" "-hub") */}}
{{- define "belfry.backend" -}}
{{ include "belfry.fullname" .root }}-{{ if eq .root.Values.nats.mode "single" }}single{{ else }}{{ .name }}{{ .suffix | default "" }}{{ end }}
{{- end -}}

{{/* What an entrance leads to, as JSON: a list of {name, suffix, paths, kind}. In single mode
     every service is in the one pod; else those that are installed. Requests of one hub
     connection belong to one replica, so the hub is balanced differently, and therefore has a
     Service of its own: controllers keep one way of balancing for each Service. Negotiating
     belongs to nobody yet. */}}
{{- define "belfry.entrances" -}}
{{- $all := list -}}
{{- $single := eq .Values.nats.mode "single" -}}
{{- range $name, $paths := include "belfry.routes" . | fromYaml -}}
{{- if or $single (index $.Values $name).enabled -}}
{{- $all = append $all (dict "name" $name "suffix" "" "paths" $paths "kind" "calls") -}}
{{- end -}}
{{- end -}}
{{- if or $single .Values.gateway.enabled -}}
{{- $all = append $all (dict "name" "gateway" "suffix" "-hub" "paths" (list "/signalr") "kind" "hub") -}}
{{- $all = append $all (dict "name" "gateway" "suffix" "" "paths" (list "/signalr/v1/mainHub/negotiate" "/") "kind" "windows") -}}
{{- end -}}
{{ $all | toJson }}
{{- end -}}
