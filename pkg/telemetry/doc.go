// Package telemetry is how Belfry is watched: logs, metrics, traces and health.
//
//	logs     log/slog; text on a terminal, JSON otherwise; keys are the Key constants
//	metrics  one Prometheus registry per process, names begin with belfry_
//	traces   W3C trace context through NATS and HTTP headers; exported over
//	         OTLP/HTTP when an endpoint is configured, otherwise not at all
//	health   /healthz the process lives · /readyz every named check passes
//	         /metrics · /debug/pprof/    all on the admin port
//
// Nothing here is global: what a service needs is handed to it.
package telemetry
