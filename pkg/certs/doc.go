// Package certs makes TLS configurations from files that may change while they
// are used: certificates are renewed by programs that know nothing of us
// (cert-manager, certbot), and a restart would cut every open window.
//
// The files are looked at when a handshake begins: one stat per file, which is
// nothing beside the handshake, and no goroutine, timer or watch that could miss
// a renamed folder. What cannot be used (one of two files replaced, a file half
// written) is logged once, and the last good one stays in use. Connections that
// are open are not touched.
package certs
