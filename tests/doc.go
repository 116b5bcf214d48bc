// Package tests is the module of tests that belong to no single package: whole
// journeys, the wire book held against the code, and the rules of the house.
package tests
