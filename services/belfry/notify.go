package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

func newNotify(std stdio) *cobra.Command {
	c := newCaller(std, gatewayv1connect.NewGatewayServiceClient)
	var to string
	var everybody bool
	cmd := &cobra.Command{
		Use:   "notify <code> [<payload> | @<file> | -] (--to <user> | --everybody)",
		Short: "Send a real-time event to whoever is there",
		Long: `Send a real-time event to every window its recipient has open, and say how many
there are. It is never stored: nobody there is the error nobody_there.

The codes are ` + strings.Join(realtime.Codes(), ", ") + `.
What a payload may have, the API's description at /docs shows; everything may be absent.`,
		Example: `  belfry notify SYS_MSG '{"title":"Closing of the year"}' --to anna --tenant AA
  belfry notify SHUTDOWN '{"text":"Planned maintenance"}' --everybody`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (to == "") == !everybody && !cmd.Flags().Changed("tenant") {
				return fault.New(fault.UsageError, "whom is it for? --to <user>, --tenant <tenant> for all of it, or --everybody")
			}
			if err := c.dial(cmd); err != nil {
				return err
			}
			ask, err := notification(args, func(arg string) ([]byte, error) {
				return readData(arg, std.in, int64(c.set.process.Events.MaxBytes))
			})
			if err != nil {
				return err
			}
			if ask.Recipient, ask.Everybody = to, everybody; !everybody {
				ask.Tenant = c.tenant
			}
			ctx, cancel := within(cmd, answerWithin)
			defer cancel()
			answer, err := c.api.Notify(ctx, ask)
			if err != nil {
				return err
			}
			return c.show(answer, func() error {
				more := ""
				if !answer.GetComplete() {
					more = ", perhaps more: not every gateway has answered"
				}
				return c.print("id       %s\nreached  %d connections at %d gateways%s", answer.GetId(), answer.GetConnections(), answer.GetGateways(), more)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `user` it is for (default: everybody of the tenant)")
	cmd.Flags().BoolVar(&everybody, "everybody", false, "to all tenants; takes the grant admin")
	c.flags(cmd)
	return cmd
}

// notification is the request with one payload, read as the API reads it, so that
// an error names the member that is wrong.
func notification(args []string, read func(string) ([]byte, error)) (*gatewayv1.NotifyRequest, error) {
	code, err := realtime.Code(args[0])
	if err != nil {
		return nil, err
	}
	payload := []byte("{}")
	if len(args) == 2 {
		if payload, err = read(args[1]); err != nil {
			return nil, err
		}
	}
	if !json.Valid(payload) {
		return nil, fault.Field(fault.InvalidRequest, code, "is not valid JSON")
	}
	ask := &gatewayv1.NotifyRequest{}
	body := bytes.Join([][]byte{[]byte(`{"` + code + `":`), payload, []byte("}")}, nil)
	return ask, api.JSON{}.Unmarshal(body, ask)
}
