// Package embed runs a NATS server with Belfry's settings inside the process:
// the same server, users and limits whether it serves one laptop or is one of
// three nodes of a cluster.
//
// Two users exist. "service" may do everything; its password is generated and
// kept in the data directory. Everybody who connects without credentials is
// "app", who may publish events and read what is public (see permissions).
package embed
