package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/client"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/realtime"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
	"github.com/belfry-events/belfry/proto/belfry/gateway/v1/gatewayv1connect"
)

// presenceView is the presence command's way to the platform.
type presenceView struct {
	*caller[gatewayv1connect.GatewayServiceClient]
	follow bool
}

func newPresence(std stdio) *cobra.Command {
	v := &presenceView{caller: newCaller(std, gatewayv1connect.NewGatewayServiceClient)}
	cmd := &cobra.Command{
		Use:   "presence [<user>]",
		Short: "Show who is online, and who comes and goes",
		Long: `Show who has a window open in a tenant: since when, and how many, over all gateways.
With --follow it goes on and shows who comes and goes, until Ctrl-C.`,
		Example: `  belfry presence --tenant AA
  belfry presence anna --tenant AA
  belfry presence --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: v.look,
	}
	cmd.Flags().BoolVar(&v.follow, "follow", false, "go on: show who comes and goes")
	v.flags(cmd)
	return cmd
}

func (v *presenceView) look(cmd *cobra.Command, args []string) error {
	if v.follow && len(args) == 1 {
		return fault.New(fault.UsageError, "--follow shows all of a tenant; leave the user out")
	}
	if !v.follow {
		return v.run(v.show)(cmd, args)
	}
	client, url, _, err := v.operator.dial(cmd)
	if err != nil {
		return err
	}
	window, err := v.open(cmd.Context(), client, url) // before the list, so that nobody is missed between the two
	if err != nil {
		return err
	}
	defer window.Close()
	if err := v.run(v.show)(cmd, args); err != nil {
		return err
	}
	return v.changes(cmd.Context(), window)
}

// show shows one user, or a tenant page by page.
func (v *presenceView) show(ctx context.Context, args []string) error {
	if len(args) == 1 {
		one, err := v.api.GetPresence(ctx, &gatewayv1.GetPresenceRequest{Tenant: v.tenant, User: args[0]})
		if err != nil {
			return err
		}
		return v.operator.show(one, func() error { return v.table([]*gatewayv1.Presence{one.GetPresence()}) })
	}
	limit := int32(1000)
	ask := &gatewayv1.ListPresenceRequest{Tenant: v.tenant, Limit: &limit}
	for {
		page, err := v.api.ListPresence(ctx, ask)
		if err != nil {
			return err
		}
		if err := v.operator.show(page, func() error { return v.table(page.GetUsers()) }); err != nil || !page.GetMore() {
			return err
		}
		ask.After = page.GetUsers()[len(page.GetUsers())-1].GetUser()
	}
}

func (v *presenceView) table(users []*gatewayv1.Presence) error {
	return tabulate(v.std.out, "nobody is online", "USER\tONLINE SINCE\tCONNECTIONS\tGATEWAYS", users, func(u *gatewayv1.Presence) []any {
		if !u.GetOnline() {
			return []any{u.GetUser(), "offline"}
		}
		return []any{u.GetUser(), u.GetSince().AsTime().Local().Format(time.DateTime), u.GetConnections(), u.GetGateways()}
	})
}

// open is a window onto who comes and goes.
func (v *presenceView) open(ctx context.Context, hc *http.Client, url string) (*client.Window, error) {
	token, err := v.remote.tokens(v.set)
	if err != nil {
		return nil, err
	}
	return client.Open(ctx, strings.Replace(url, "http", "ws", 1)+"/v1/ws?code=none", client.OpenOptions{
		TokenFunc:     func(context.Context) (string, error) { return token() },
		HTTPClient:    hc,
		Subscriptions: []client.Subscription{{Tenant: v.tenant, Name: "presence"}},
	})
}

// changes shows who comes and goes until Ctrl-C.
func (v *presenceView) changes(ctx context.Context, w *client.Window) error {
	for it, err := range w.Events(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		var p realtime.Presence
		if json.Unmarshal(it.Event.Data, &p) != nil {
			continue
		}
		if v.json {
			if _, err := v.std.out.Write(append(it.Event.AppendJSON(nil), '\n')); err != nil {
				return err
			}
			continue
		}
		what := "offline"
		if p.Online {
			what = "online"
		}
		if err := v.print("%s  %s  %s", it.Event.Time.Local().Format(time.TimeOnly), what, p.User); err != nil {
			return err
		}
	}
	return nil
}
