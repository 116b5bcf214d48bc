// Package stranger proves that somebody else's program can use the Go client:
// a module of its own, outside the workspace, that gets ours from a module
// proxy, and whose binary carries no NATS server.
package stranger
