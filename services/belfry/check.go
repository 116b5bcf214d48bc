package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
	"github.com/belfry-events/belfry/pkg/telemetry"
)

func newCheck(std stdio) *cobra.Command {
	s := newSettings()
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask a running process whether it is ready (for probes)",
		Long: `Ask /readyz at the admin address. The exit code is 0 when every part is ready;
otherwise the parts that are not are listed, and the exit code is that of the first.`,
		Example: `  belfry check
  belfry check --admin 127.0.0.1:9090 --timeout 2s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return fault.New(fault.UsageError, "--timeout: %s is not above 0", timeout)
			}
			if _, _, err := s.load(cmd); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			state, err := askReady(ctx, s.process)
			if err != nil {
				return err
			}
			for _, p := range state.Parts {
				if !p.Ready {
					return fault.New(p.Code, "%s: %s", p.Name, p.Message).With("part", p.Name)
				}
			}
			_, err = fmt.Fprintf(std.out, "ready: %d parts\n", len(state.Parts))
			return err
		},
	}
	config.DurationVar(cmd.Flags(), &timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	s.flags(cmd.Flags(), "admin")
	return cmd
}

// askReady reads /readyz of the process that has these settings. Code unavailable
// when nothing of ours answers.
func askReady(ctx context.Context, c process.Config) (telemetry.State, error) {
	var state telemetry.State
	if c.Admin == "" {
		return state, fault.Field(fault.InvalidConfig, "admin.addr", "is empty, so there is nobody to ask")
	}
	down := func(err error) error {
		return fault.Wrap(fault.Unavailable, err, "nothing of ours answers at %s", c.Admin)
	}
	scheme, client := "http://", http.Client{}
	if c.AdminTLSCert != "" {
		scheme = "https://"
		// The certificate is for the name others use; this is the machine asking
		// itself, and it sends no secret.
		config := &tls.Config{InsecureSkipVerify: true}
		if c.AdminClientCA != "" { // we are asked for one, too: the only one there is
			own, err := tls.LoadX509KeyPair(c.AdminTLSCert, c.AdminTLSKey)
			if err != nil {
				return state, fault.Wrap(fault.InvalidConfig, err, "admin.tls_cert: %s", err).With("field", "admin.tls_cert")
			}
			config.Certificates = []tls.Certificate{own}
		}
		client.Transport = &http.Transport{TLSClientConfig: config}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+c.Admin+"/readyz", nil)
	if err != nil {
		return state, fault.Field(fault.InvalidConfig, "admin.addr", "%q is not host:port", c.Admin)
	}
	req.Close = true
	resp, err := client.Do(req)
	if err != nil {
		return state, down(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&state) != nil || state.Parts == nil {
		return state, down(fmt.Errorf("what it answers (%s) is not that of /readyz", resp.Status))
	}
	return state, nil
}
