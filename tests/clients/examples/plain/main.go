// Plain is a whole client of the plain WebSocket protocol (proto/README.md §9) that loses nothing, with
// no package of Belfry's. It prints events: plain http://127.0.0.1:8080 "$TOKEN" '{"topic":"invoices"}'
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
)

// follow opens one connection, asks for events, and answers the newest cursor it saw and why it ended.
func follow(url, token, ask, askAnew string) (cursor string, err error) {
	ctx, cut := context.WithCancel(context.Background())
	silence := time.AfterFunc(time.Minute, cut) // the server pings every 25 seconds
	heard := func(context.Context, []byte) bool { return silence.Reset(time.Minute) }
	o := &websocket.DialOptions{Subprotocols: []string{"belfry.v1"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, OnPingReceived: heard}
	ws, _, err := websocket.Dial(ctx, url, o) //nolint:bodyclose // the library's
	if err == nil {
		ws.SetReadLimit(-1)
		err = ws.Write(ctx, websocket.MessageText, []byte(ask))
	}
	for message := []byte(nil); err == nil; _, message, err = ws.Read(ctx) {
		for line := range bytes.Lines(message) { // each is a frame
			f := struct {
				Cursor       *string // real-time events have none
				Subscribed   struct{ Cursor *string }
				Event, Error struct{ Type, Data, Code json.RawMessage }
			}{Cursor: &cursor, Subscribed: struct{ Cursor *string }{&cursor}}
			if err := json.Unmarshal(line, &f); f.Event.Type != nil {
				fmt.Fprintf(os.Stdout, "%s %s %s\n", cursor, f.Event.Type, f.Event.Data)
			} else if string(f.Error.Code) == `"cursor_gone"` { // what was missed is lost: fetch your state here
				_ = ws.Write(ctx, websocket.MessageText, []byte(askAnew)) // a failure shows at the next Read
			} else if err != nil || f.Error.Code != nil {
				return cursor, websocket.CloseError{Code: 4500, Reason: string(line)}
			}
		}
	}
	return cursor, err
}

func main() {
	for ask, attempt := `{"subscribe":`+os.Args[3]+`}`, 0; ; attempt++ {
		newest, err := follow(os.Args[1]+"/v1/ws", os.Args[2], ask, `{"subscribe":`+os.Args[3]+`}`)
		if code := websocket.CloseStatus(err); code >= 4500 && code <= 4999 {
			fmt.Fprintln(os.Stderr, "refused:", err)
			return
		} else if newest != "" {
			ask, attempt = `{"resume":{"cursor":"`+newest+`","subscriptions":[`+os.Args[3]+`]}}`, 0
		}
		fmt.Fprintln(os.Stderr, "cut:", err)
		<-time.After(rand.N(min(30*time.Second, time.Second<<min(attempt, 5)))) // not all windows at once
	}
}
