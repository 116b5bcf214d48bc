package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/process"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// Groups of commands in --help.
const (
	groupRun     = "run"
	groupEvents  = "events"
	groupOperate = "operate"
)

// execute runs one command line. What is wrong before a command begins is wrong
// with the line: code usage.
func execute(ctx context.Context, args []string, std stdio) error {
	began := false
	root := newRoot(std)
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !began {
		text := strings.ReplaceAll(err.Error(), "\n\nDid you mean this?\n\t", "; did you mean ")
		text = strings.ReplaceAll(strings.TrimSpace(text), "\n\t", " or ")
		return fault.New(fault.UsageError, "%s; see %s --help", text, cmd.CommandPath())
	}
	return err
}

// inOurOrder lists commands in the order of use, not of the alphabet. It is a
// global of cobra's, so it is written once.
var inOurOrder = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "belfry",
		Short: "Business events to every window and every partner",
		Long: `Belfry carries business events: a back-end says "this happened"; every open window
shows it within a millisecond, and every partner who was away finds it in its mailbox.

Start with "belfry run": one process with everything inside, nothing to install.
It prints a URL to open and things to try.`,
		Example: `  belfry run
  belfry tail --topic invoices                                  # in a second terminal
  belfry publish invoices.created '{"total":12}' --tenant AA    # in a third`,
		SilenceErrors: true, SilenceUsage: true, // run.Main prints errors, once
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupEvents, Title: "Work with events:"},
		&cobra.Group{ID: groupOperate, Title: "Look after it:"},
	)
	for _, add := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{groupRun, newRun(std)},
		{groupRun, newNATS(std)},
		{groupEvents, newPublish(std)},
		{groupEvents, newTail(std)},
		{groupEvents, newNotify(std)},
		{groupEvents, newPresence(std)},
		{groupEvents, newMailbox(std)},
		{groupEvents, newSchedule(std)},
		{groupEvents, newObject(std)},
		{groupEvents, newHook(std)},
		{groupEvents, newAlert(std)},
		{groupOperate, newToken(std)},
		{groupOperate, newRevoke(std)},
		{groupOperate, newErase(std)},
		{groupOperate, newDisconnect(std)},
		{groupOperate, newBackup(std)},
		{groupOperate, newRestore(std)},
		{groupOperate, newConfig(std)},
		{groupOperate, newDoctor(std)},
		{groupOperate, newCheck(std)},
		{groupOperate, newBench(std)},
		{groupOperate, newVersion(std)},
	} {
		add.cmd.GroupID = add.group
		add.cmd.Flags().SortFlags = false
		root.AddCommand(add.cmd)
	}
	inOurOrder()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" { // of what there is not
			cmd.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		}
	}
	root.SetHelpCommandGroupID(groupOperate)
	return root
}

// flags adds the settings' flags to a command and shows only those named, in
// --help; the others work the same.
func (s *settings) flags(fs *pflag.FlagSet, shown ...string) {
	own := map[string]bool{}
	fs.VisitAll(func(f *pflag.Flag) { own[f.Name] = true })
	process.AddFlags(fs, &s.process, s.services()...)
	if shown == nil {
		return
	}
	fs.VisitAll(func(f *pflag.Flag) { f.Hidden = !own[f.Name] && f.Name != "config" && !slices.Contains(shown, f.Name) })
}

// load fills the settings for a command.
func (s *settings) load(cmd *cobra.Command) (*slog.Logger, *config.Values, error) {
	return process.Load(cmd.Flags(), cmd.ErrOrStderr(), &s.process, s.services()...)
}
