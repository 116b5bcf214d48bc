// Package proto holds the wire of Belfry: the protobuf files, the Go that is
// generated from them, golden frames under testdata, and README.md, the
// normative book of the wire.
//
// Nothing in this module is written by hand but the .proto files, their tests and
// the generator of comments. It imports no other module of Belfry, and every other may import it.
package proto
