package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/fault"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

func newDisconnect(std stdio) *cobra.Command {
	c := newCaller(std, gatewayv1connect.NewGatewayServiceClient)
	var ask gatewayv1.DisconnectRequest
	cmd := &cobra.Command{
		Use:   "disconnect <user>",
		Short: "Close a user's windows and streams",
		Long: `Close what a user has open for a tenant, at every gateway. The clients are told not
to come back, and theirs decide; with --reconnect they are told to come back at once,
which moves them to where there is room. What keeps a user away is "belfry revoke".

It takes the grant admin.`,
		Example: `  belfry disconnect anna --tenant AA
  belfry disconnect anna --tenant AA --reconnect`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return fault.New(fault.UsageError, "the user's name is empty")
			}
			return c.run(func(ctx context.Context, args []string) error {
				ask.User, ask.Tenant = args[0], c.tenant
				answer, err := c.api.Disconnect(ctx, &ask)
				if err != nil {
					return err
				}
				return c.show(answer, func() error {
					return c.print("closed %d connections of %s at %d gateways", answer.GetConnections(), ask.GetUser(), answer.GetGateways())
				})
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&ask.Reconnect, "reconnect", false, "tell the clients to come back at once")
	c.flags(cmd)
	return cmd
}
