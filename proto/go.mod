module github.com/belfry-events/belfry/proto

go 1.26.0

require google.golang.org/protobuf v1.36.12

require connectrpc.com/connect v1.21.1

tool (
	connectrpc.com/connect/cmd/protoc-gen-connect-go
	google.golang.org/protobuf/cmd/protoc-gen-go
)
