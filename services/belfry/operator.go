package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/belfry-events/belfry/pkg/api"
	"github.com/belfry-events/belfry/pkg/fault"
)

// answerWithin bounds a command that asks once and prints the answer.
const answerWithin = 15 * time.Second

// operator is what the commands have in common that call a service's API: who calls
// and where, and how the answer is shown.
type operator struct {
	std    stdio
	set    *settings
	remote remote
	json   bool
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

// group makes cmd the head of other commands. Alone it shows its help; what it does
// not know is told with the nearest it does.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
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
