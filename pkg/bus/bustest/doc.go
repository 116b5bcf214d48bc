// Package bustest gives tests a real NATS server with Belfry's settings, users
// and topology: one embedded server, or three nodes on the loopback. Nothing is
// faked; a single server is up in about ten milliseconds.
//
//	s := bustest.Start(t)
//	s.URL()  // for app clients, no credentials
//	s.Bus()  // a service connection
package bustest
