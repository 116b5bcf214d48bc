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

{{/* the Service object of a service's paths, in single mode the one pod's */}}
{{- define "belfry.backend" -}}
{{ include "belfry.fullname" .root }}-{{ if eq .root.Values.nats.mode "single" }}single{{ else }}{{ .name }}{{ end }}
{{- end -}}
