module github.com/belfry-events/belfry/services/gateway

go 1.26.0

replace github.com/belfry-events/belfry/pkg => ../../pkg

replace github.com/belfry-events/belfry/proto => ../../proto

require github.com/prometheus/client_model v0.6.3 // indirect
