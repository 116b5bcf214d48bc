// Plain is a whole client of the plain WebSocket protocol (belfry.v1) that loses
// nothing, with no package of Belfry's:
//
//	plain http://127.0.0.1:8080 "$TOKEN" '{"topic":"invoices"}'
//
// prints every event with its cursor. The protocol: proto/README.md §9.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// follow opens one connection, from a cursor if there is one, and answers the newest
// cursor it saw when the connection ended, and why.
func follow(url, token, subscription, cursor string) (string, error) {
	ctx := context.Background()
	url = "ws" + strings.TrimPrefix(url, "http") + "/v1/ws?access_token=" + token
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"belfry.v1"}})
	if err != nil {
		return cursor, err
	}
	ws.SetReadLimit(-1)
	ask := `{"id":"1","subscribe":` + subscription + `}`
	if cursor != "" {
		ask = `{"id":"1","resume":{"cursor":"` + cursor + `","subscriptions":[` + subscription + `]}}`
	}
	if err := ws.Write(ctx, websocket.MessageText, []byte(ask)); err != nil {
		return cursor, err
	}
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			return cursor, err
		}
		for line := range bytes.Lines(message) {
			var f struct {
				Cursor     string
				Event      *struct{ Type, Data json.RawMessage }
				Subscribed *struct{ Cursor string }
				Error      *struct{ Code string }
			}
			switch err := json.Unmarshal(line, &f); {
			case err != nil:
				return cursor, err
			case f.Subscribed != nil:
				cursor = f.Subscribed.Cursor
			case f.Event != nil:
				cursor = f.Cursor
				fmt.Fprintf(os.Stdout, "%s %s %s\n", f.Cursor, f.Event.Type, f.Event.Data)
			case f.Error != nil && f.Error.Code == "cursor_gone":
				return "", fmt.Errorf("gone: fetch your state anew") // what was missed is lost
			case f.Error != nil:
				return cursor, websocket.CloseError{Code: 4500, Reason: f.Error.Code}
			}
		}
	}
}

func main() {
	for cursor, attempt := "", 0; ; attempt++ {
		newest, err := follow(os.Args[1], os.Args[2], os.Args[3], cursor)
		if newest != cursor {
			cursor, attempt = newest, 0
		}
		if code := websocket.CloseStatus(err); code >= 4500 && code <= 4999 {
			fmt.Fprintln(os.Stderr, "refused:", err)
			return
		}
		fmt.Fprintln(os.Stderr, "cut:", err)
		<-time.After(rand.N(min(30*time.Second, time.Second<<min(attempt, 5)))) // not all windows at once
	}
}
