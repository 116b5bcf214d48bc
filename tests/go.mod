module github.com/belfry-events/belfry/tests

go 1.26.0

replace github.com/belfry-events/belfry/services/belfry => ../services/belfry

replace github.com/belfry-events/belfry/services/gateway => ../services/gateway

replace github.com/belfry-events/belfry/services/scheduler => ../services/scheduler

replace github.com/belfry-events/belfry/services/objectevent => ../services/objectevent

replace github.com/belfry-events/belfry/services/mailbox => ../services/mailbox

replace github.com/belfry-events/belfry/pkg => ../pkg

replace github.com/belfry-events/belfry/proto => ../proto

require golang.org/x/mod v0.42.0
