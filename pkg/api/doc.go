// Package api is the HTTP edge: the server every listener of Belfry is, and how
// answers and errors look on it.
//
// Every error, of any route, is the JSON
//
//	{"code":"invalid_topic","message":"topic: must not be empty","details":{"field":"topic"}}
//
// with the status of its code (package fault). Code internal hides its cause from
// the caller and logs it.
package api
