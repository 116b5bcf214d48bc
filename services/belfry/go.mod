module github.com/belfry-events/belfry/services/belfry

go 1.26.0

replace github.com/belfry-events/belfry/services/gateway => ../gateway

replace github.com/belfry-events/belfry/services/scheduler => ../scheduler

replace github.com/belfry-events/belfry/services/objectevent => ../objectevent

replace github.com/belfry-events/belfry/services/mailbox => ../mailbox

replace github.com/belfry-events/belfry/pkg => ../../pkg

replace github.com/belfry-events/belfry/proto => ../../proto
