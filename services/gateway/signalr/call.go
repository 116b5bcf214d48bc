package signalr

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/services/gateway/signalr/hubprotocol"
)

// ErrArguments is what a Method answers when it cannot take its arguments.
var ErrArguments = errors.New("the arguments do not fit")

// done is the result of every call that went well.
var done = json.RawMessage("null")

// call runs a method and answers, unless nobody waits for an answer. None of what
// may go wrong ends the connection.
func (c *Conn) call(m hubprotocol.Message) {
	var once sync.Once
	answer := func(failure string, queue func(Message)) {
		once.Do(func() {
			if m.InvocationID == "" {
				return
			}
			reply := hubprotocol.Message{Kind: hubprotocol.Completion, InvocationID: m.InvocationID, Error: failure}
			if failure == "" {
				reply.Result = done
			}
			queue(c.append(reply))
		})
	}
	window := c.Window()
	wait := func(reply Message) { _ = window.Push(c.ctx, reply) } // an error says that it has ended: nobody to tell
	method, ok := c.server.methods[strings.ToLower(m.Target)]
	switch {
	case !ok:
		answer("Unknown hub method '"+m.Target+"'", wait)
		return
	case m.Kind == hubprotocol.StreamInvocation:
		answer("The client attempted to invoke the non-streaming '"+m.Target+"' method with a streaming invocation.", wait)
		return
	}
	err := method(c.ctx, c, m.Arguments, func() { answer("", window.Put) })
	answer(failure(m.Target, err), wait)
}

// failure is what .NET's hubs say, word for word, so that clients which look into
// the text find what they look for. Our code comes first in it.
func failure(method string, err error) string {
	code := fault.CodeOf(err)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrArguments):
		return "Failed to invoke '" + method + "' due to an error on the server."
	case code.Kind() == fault.Ours:
		return "An unexpected error occurred invoking '" + method + "' on the server."
	}
	return "An unexpected error occurred invoking '" + method + "' on the server. HubException: " + told(err)
}
