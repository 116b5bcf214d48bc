module github.com/belfry-events/belfry/services/belfry

go 1.26.0

replace github.com/belfry-events/belfry/services/gateway => ../gateway

replace github.com/belfry-events/belfry/services/scheduler => ../scheduler

replace github.com/belfry-events/belfry/services/objectevent => ../objectevent

replace github.com/belfry-events/belfry/services/mailbox => ../mailbox

replace github.com/belfry-events/belfry/pkg => ../../pkg

replace github.com/belfry-events/belfry/proto => ../../proto

require (
	github.com/belfry-events/belfry/pkg v0.0.0
	github.com/belfry-events/belfry/proto v0.0.0
	github.com/belfry-events/belfry/services/gateway v0.0.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.10
)
