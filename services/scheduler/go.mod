module github.com/belfry-events/belfry/services/scheduler

go 1.26.0

replace github.com/belfry-events/belfry/pkg => ../../pkg

replace github.com/belfry-events/belfry/proto => ../../proto

require (
	github.com/belfry-events/belfry/pkg v0.0.0
	github.com/robfig/cron/v3 v3.0.1
)

require (
	connectrpc.com/connect v1.21.1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
