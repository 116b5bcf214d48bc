// Command belfry is the whole platform in one process, and the command line to
// work with it. It is composition only: what the services do is in their own
// modules, what surrounds them in pkg/process.
//
//	parts.go   the table of services, and their settings
//	embed.go   the NATS server inside: the only place that links one
//	root.go    the commands; each is a file of its name
package main
