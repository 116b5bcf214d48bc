// Package apitest serves HTTP in memory, for tests: no port, no waiting for a
// socket, and HTTP/1.1 as well as HTTP/2, so that gRPC can be tried, too.
package apitest
