// Package book holds the wire book, proto/README.md, against the code: every
// JSON example in it is what the code reads and writes, every view has one, and
// every code of pkg/fault has its line.
package book
