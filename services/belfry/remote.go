package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

// tokenVariable holds the token of commands that call the platform, so that it
// need not stand on a command line, which others can read.
const tokenVariable = "BELFRY_TOKEN"

// remote is how a command calls the services' APIs: over HTTP, with a token that
// it is given, or that it makes as "belfry token" does.
type remote struct {
	url     string
	token   string
	user    string
	tenants []string
}

// flags adds the command's ways to say where the platform is and who is calling.
// Tenants that are set already are the command's default.
func (r *remote) flags(cmd *cobra.Command, s *settings, shown ...string) {
	fs := cmd.Flags()
	if r.tenants == nil {
		r.tenants = []string{"AA"}
	}
	fs.StringVar(&r.url, "url", "", "where the platform serves HTTP (default: where \"belfry run\" does)")
	fs.StringVar(&r.token, "token", "", "bearer `token` (default $"+tokenVariable+", else one made for --user and --tenant)")
	fs.StringVar(&r.user, "user", "operator", "who calls: the `user` of a token made here")
	fs.StringArrayVar(&r.tenants, "tenant", r.tenants, "for which `tenant`; a token made here is for all that are named (repeatable)")
	s.flags(fs, append(shown, "data-dir")...)
}

// dial answers what a generated client is made with. Call it after s.load. The
// client's errors are the platform's faults; code unavailable if nobody answers.
func (r *remote) dial(s *settings) (client *http.Client, url string, option connect.ClientOption, err error) {
	if url, err = r.where(s); err != nil {
		return nil, "", nil, err
	}
	token, err := r.tokens(s)
	madeIn := ""
	if r.given() == "" {
		madeIn = s.process.DataDir
	}
	return &http.Client{}, url, connect.WithInterceptors(bearer(token, url, madeIn)), err
}

// where is the platform's address, without a slash at its end. Code usage.
func (r *remote) where(s *settings) (string, error) {
	if r.url == "" {
		scheme := "http://"
		if s.process.HTTPTLSCert != "" {
			scheme = "https://"
		}
		return scheme + s.process.HTTP, nil
	}
	u, err := url.Parse(r.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fault.New(fault.UsageError, "--url: %q is no address such as http://127.0.0.1:8080", r.url)
	}
	return strings.TrimRight(r.url, "/"), nil
}

// given is the token that the command was given; "" = one is made for each call.
func (r *remote) given() string {
	if r.token != "" {
		return r.token
	}
	return os.Getenv(tokenVariable)
}

// tokens answers what has the token of the next call. One that is made here has
// every right in the tenants, as whoever may read the secret could give himself,
// and lives for one call.
func (r *remote) tokens(s *settings) (func() (string, error), error) {
	if token := r.given(); token != "" {
		return func() (string, error) { return token, nil }, nil
	}
	tokens, err := s.process.KnownTokens()
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), err, "%s (--data-dir says where one has; or give a token: --token, $%s)", err, tokenVariable)
	}
	return func() (string, error) {
		return tokens.Sign(auth.Claims{
			Subject: r.user, Tenants: r.tenants, TTL: callLife,
			Grants: append(auth.Everything(), auth.Grant{Action: auth.Admin}),
		})
	}, nil
}

// callLife is how long a token made for one call is valid: longer than the longest
// call, a Peek of 90 seconds.
const callLife = 5 * time.Minute

// bearer adds the token to every call, and turns what Connect answers into what
// the platform said. madeIn is the data directory whose secret signed the token;
// "" = it was given.
func bearer(token func() (string, error), url, madeIn string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			t, err := token()
			if err != nil {
				return nil, err
			}
			r.Header().Set("Authorization", "Bearer "+t)
			answer, err := next(ctx, r)
			if err == nil || ctx.Err() != nil {
				return answer, err
			}
			switch told := api.FaultOf(err); {
			case told == nil:
				return nil, silent(err, url)
			case told.Code() == fault.TokenInvalid && madeIn != "":
				return nil, fault.Wrap(told.Code(), told, "%s (it was made with the secret in %s: is that the data directory of the platform at %s?)", told, madeIn, url)
			default:
				return nil, told
			}
		}
	}
}

// silent is for what answers nothing, or not as the platform does.
func silent(err error, url string) error {
	if c := new(connect.Error); errors.As(err, &c) {
		err = c.Unwrap() // without Connect's word for it
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return fault.Wrap(fault.Unavailable, err, "%s shows a certificate of an authority that this machine does not know; if it is yours: SSL_CERT_FILE=<the authority's certificate>", url)
	}
	return fault.Wrap(fault.Unavailable, err, "%s does not answer as the platform (is belfry run running? --url says where): %s", url, err)
}
