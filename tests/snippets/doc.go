// Package snippets runs what the documentation tells people to run, as it is
// written there.
//
// A fenced block in a README says in its info string what it is: run=<name>. The
// tests take the blocks by their names, in the order of the text, and do what a
// reader does: one terminal for the server, a second one for the commands, a
// file for a program. The tree is a copy, as after git clone, and only addresses
// are replaced, because the default ports may be taken:
//
//	text                              run with
//	127.0.0.1:8080 and the others     a free port each
//	make run, bin/belfry              BELFRY_HTTP_ADDR, … with the same ports
//	~/.local/share/belfry             HOME is a temporary directory
//
// A block of commands or of a program without run= fails, unless blocks_test.go
// says why nobody can run it here.
package snippets
