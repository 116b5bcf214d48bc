// Package house checks how the repository is built, where neither the compiler
// nor a linter does: that each module can be built by a stranger, that files
// stay short and packages say what they are for.
package house
