// Package relay moves messages from one stream to another exactly once.
package relay
