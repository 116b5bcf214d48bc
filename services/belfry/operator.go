package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// answerWithin bounds a command that asks and prints the answer.
const answerWithin = 15 * time.Second

// operator is what the commands have in common that call a service's API: who calls
// and where, and how the answer is shown.
type operator struct {
	std    stdio
	set    *settings
	remote remote
	json   bool
	tenant string // of requests, after dial; "" = the only one of the token that was given
}

func newOperator(std stdio) operator { return operator{std: std, set: newSettings()} }

// flags adds what every such command takes; call it after the command's own.
func (o *operator) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print the API's answer as JSON")
	o.remote.flags(cmd, o.set)
}

// dial answers what a generated client is made with.
func (o *operator) dial(cmd *cobra.Command) (client *http.Client, url string, option connect.ClientOption, err error) {
	if _, _, err := o.set.load(cmd); err != nil {
		return nil, "", nil, err
	}
	if o.remote.given() == "" || cmd.Flags().Changed("tenant") {
		o.tenant = o.remote.tenants[0]
	}
	return o.remote.dial(o.set)
}

// within bounds a command's calls.
func within(cmd *cobra.Command, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), d)
}

// show prints an answer: as JSON if that was asked for, else as people read it.
func (o *operator) show(answer proto.Message, readable func() error) error {
	if !o.json {
		return readable()
	}
	b, err := api.JSON{}.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = o.std.out.Write(append(b, '\n'))
	return err
}

func (o *operator) print(format string, args ...any) error {
	_, err := fmt.Fprintf(o.std.out, format+"\n", args...)
	return err
}

// caller is an operator with the generated client of one service's API.
type caller[API any] struct {
	operator
	api  API // after dial
	make func(connect.HTTPClient, string, ...connect.ClientOption) API
}

func newCaller[API any](std stdio, make func(connect.HTTPClient, string, ...connect.ClientOption) API) *caller[API] {
	return &caller[API]{operator: newOperator(std), make: make}
}

func (c *caller[API]) dial(cmd *cobra.Command) error {
	client, url, option, err := c.operator.dial(cmd)
	if err != nil {
		return err
	}
	c.api = c.make(client, url, option)
	return nil
}

// run makes a command's function out of one that has the API, and answerWithin to ask it.
func (c *caller[API]) run(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := c.dial(cmd); err != nil {
			return err
		}
		ctx, cancel := within(cmd, answerWithin)
		defer cancel()
		return do(ctx, args)
	}
}

// table prints rows of cells in columns, under a head unless that is empty. Cells are
// separated by tabs, and what would be empty at a row's end is left out.
func table(out io.Writer, head string, rows []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if head != "" {
		_, _ = fmt.Fprintln(w, head) // errors are Flush's
	}
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.TrimRight(row, "\t"))
	}
	return w.Flush()
}

// tabulate prints things as a table, one row each; that there are none is said.
func tabulate[T any](out io.Writer, none, head string, things []T, row func(T) []any) error {
	if len(things) == 0 {
		_, err := fmt.Fprintln(out, none)
		return err
	}
	rows := make([]string, len(things))
	for i, thing := range things {
		cells := row(thing)
		rows[i] = fmt.Sprintf(strings.Repeat("%v\t", len(cells)), cells...)
	}
	return table(out, head, rows)
}

// group makes cmd the head of other commands. Alone it shows its help; what it does
// not know is told with the nearest it does.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ")
		}
		return fault.New(fault.UsageError, "%s; see %s --help", text, cmd.CommandPath())
	}
	for _, add := range commands {
		add.Flags().SortFlags = false
		cmd.AddCommand(add)
	}
	return cmd
}
