// Package chart tests charts/belfry as helm and the Kubernetes API read it: every
// combination of values is rendered with helm's own engine and decoded strictly
// into the API's types. It is a module of its own, because helm brings half of
// Kubernetes along.
package chart
