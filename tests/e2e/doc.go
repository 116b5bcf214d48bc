// Package e2e tries whole journeys on the programs as they are built: bin/belfry
// and bin/gateway as processes, with outside clients in front.
//
// Every scenario runs in two worlds:
//
//	one process        belfry run, the NATS server inside
//	separate processes two gateways behind a balancer, on a cluster of three
//	                   NATS servers
//
// Begin with journey_test.go: it follows one event through the house.
package e2e
