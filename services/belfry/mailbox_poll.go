package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/belfry-events/belfry/pkg/config"
	"github.com/belfry-events/belfry/pkg/event"
	"github.com/belfry-events/belfry/pkg/fault"
	mailboxv1 "github.com/belfry-events/belfry/proto/belfry/mailbox/v1"
)

// poller is one run of "belfry mailbox poll".
type poller struct {
	postman
	name, id string
	command  string        // handles an event; "" = print it
	confirm  bool          // what is printed
	count    int           // messages until it ends; 0 = until Ctrl-C
	lock     time.Duration // of a message
	retry    time.Duration // until a command that failed is run again
}

// peekSeconds is how long one Peek waits: as the ITAS text recommends, a little less
// than proxies do.
const peekSeconds = 55

func newMailboxPoll(std stdio) *cobra.Command {
	p := &poller{postman: newPostman(std)}
	cmd := &cobra.Command{
		Use:   "poll <name>",
		Short: "Take events out of a subscriber's mailboxes, in order",
		Long: `Wait for the next event, lock it, print it as CloudEvents JSON, and say how it is
confirmed. With --confirm, go on and on and confirm each one that was printed.

With --exec, run a command for each event, with the event on its standard input.
When it succeeds the event is confirmed; when it fails it is run again for the same
event, so the order is kept; while it runs the lock is kept. The command also finds
BELFRY_EVENT_ID, BELFRY_MESSAGE_ID and BELFRY_DELIVERY_COUNT in its environment.`,
		Example: `  belfry mailbox poll acme
  belfry mailbox poll acme --confirm | jq .data
  belfry mailbox poll acme --exec 'curl -fsS --json @- https://erp.example.com/invoices'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case p.lock < time.Second || p.lock > 12*time.Hour:
				return fault.New(fault.UsageError, "--lock: %s is outside 1s to 12h", p.lock)
			case p.retry < time.Second:
				return fault.New(fault.UsageError, "--retry: %s is below 1s", p.retry)
			case p.count < 0:
				return fault.New(fault.UsageError, "--count: %d is below 0", p.count)
			case p.command != "" && p.confirm:
				return fault.New(fault.UsageError, "--exec confirms what its command has done; it goes without --confirm")
			case p.command == "" && !p.confirm && p.count == 0:
				p.count = 1
			}
			if err := p.dial(cmd); err != nil {
				return err
			}
			p.name = args[0]
			if p.id, err = p.subscriber(cmd.Context(), p.name); err != nil {
				return err
			}
			err = p.poll(cmd.Context())
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is how a poll ends; what it had locked is offered again
			}
			return err
		},
	}
	cmd.Flags().StringVar(&p.command, "exec", "", "run this shell `command` for each event, and confirm it on success")
	cmd.Flags().BoolVar(&p.confirm, "confirm", false, "confirm each event that was printed")
	cmd.Flags().IntVar(&p.count, "count", 0, "end after so many events (default 1 without --exec and --confirm, else never)")
	config.DurationVar(cmd.Flags(), &p.lock, "lock", time.Minute, "how long an event is locked; a command that runs longer keeps it")
	config.DurationVar(cmd.Flags(), &p.retry, "retry", 5*time.Second, "how long until a failed command is run again")
	p.flags(cmd)
	return cmd
}

// poll is the cycle of peek, receive and confirm.
func (p *poller) poll(ctx context.Context) error {
	for done := 0; p.count == 0 || done < p.count; {
		m, err := p.next(ctx)
		switch {
		case err != nil && fault.CodeOf(err).Kind() == fault.Down && ctx.Err() == nil:
			p.complain(err)
			if err := pause(ctx, p.retry); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case m == nil:
			continue
		}
		if err := p.handle(ctx, m); err != nil {
			return err
		}
		done++
	}
	return nil
}

// next locks the next message; nil = there was none yet, or another was faster.
func (p *poller) next(ctx context.Context) (*mailboxv1.ReceiveResponse, error) {
	timeout := int32(peekSeconds)
	peek, err := p.api.Peek(ctx, &mailboxv1.PeekRequest{SubscriberId: p.id, Timeout: &timeout})
	if err != nil || peek.NextMessageId == nil {
		return nil, err
	}
	return p.take(ctx, peek.GetNextMessageId())
}

// take locks a message; nil = another poller was faster. When an answer is lost,
// the lock may be ours without our knowing it: then the message is waited for, so
// that it is not overtaken by the next.
func (p *poller) take(ctx context.Context, id string) (*mailboxv1.ReceiveResponse, error) {
	lock := int32(p.lock.Seconds())
	for lost := false; ; {
		m, err := p.api.Receive(ctx, &mailboxv1.ReceiveRequest{SubscriberId: p.id, MessageId: id, LockTimeout: &lock})
		code := fault.CodeOf(err)
		switch {
		case err == nil:
			return m, nil
		case code.Kind() == fault.Down && ctx.Err() == nil:
			lost = true
			p.complain(err)
		case code == fault.MessageLocked && lost:
		case code == fault.MessageLocked, code == fault.MessageUnknown:
			return nil, nil //nolint:nilnil // peek again
		default:
			return nil, err
		}
		if err := pause(ctx, p.retry); err != nil {
			return nil, err
		}
	}
}

// handle prints the event or runs the command with it, and confirms.
func (p *poller) handle(ctx context.Context, m *mailboxv1.ReceiveResponse) error {
	if p.command != "" {
		return p.insist(ctx, m)
	}
	if err := p.print("%s", m.GetMessage().GetJson()); err != nil {
		return err
	}
	if p.confirm {
		return p.settle(ctx, m)
	}
	_, err := fmt.Fprintf(p.std.err, "locked until %s; confirm it with\n  belfry mailbox confirm %s %s %s\n",
		m.GetLockedUntil().AsTime().Local().Format("15:04:05"), p.name, m.GetMessageId(), m.GetLockId())
	return err
}

// insist runs the command until it succeeds for this event. Whoever loses the lock
// leaves the event to whoever gets it next.
func (p *poller) insist(ctx context.Context, m *mailboxv1.ReceiveResponse) error {
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go p.keep(held, m, lose)
	for {
		err := p.execute(held, m)
		if err == nil {
			return p.settle(ctx, m)
		}
		if lost := context.Cause(held); held.Err() != nil {
			if fault.CodeOf(lost) == fault.LockLost && ctx.Err() == nil {
				p.complain(lost)
				return nil
			}
			return lost
		}
		p.complain(fmt.Errorf("%s: the command failed: %w; again in %s", m.GetMessageId(), err, p.retry))
		_ = pause(held, p.retry) // whether the lock is lost is asked next
	}
}

// keep renews the lock until ctx ends, and ends it with the reason if it is lost.
func (p *poller) keep(ctx context.Context, m *mailboxv1.ReceiveResponse, lose context.CancelCauseFunc) {
	lock := int32(p.lock.Seconds())
	for pause(ctx, p.lock/3) == nil {
		_, err := p.api.Renew(ctx, &mailboxv1.RenewRequest{SubscriberId: p.id, MessageId: m.GetMessageId(), LockId: m.GetLockId(), LockTimeout: &lock})
		if err != nil && fault.CodeOf(err).Kind() != fault.Down {
			lose(err)
			return
		}
	}
}

// execute runs the command once.
func (p *poller) execute(ctx context.Context, m *mailboxv1.ReceiveResponse) error {
	c := exec.CommandContext(ctx, "sh", "-c", p.command)
	c.Stdout, c.Stderr = p.std.out, p.std.err
	text := m.GetMessage().GetJson()
	e, err := event.ParseJSON(text)
	if err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	c.Stdin = bytes.NewReader(append(slices.Clip(text), '\n'))
	c.Env = append(os.Environ(),
		"BELFRY_EVENT_ID="+e.ID, "BELFRY_MESSAGE_ID="+m.GetMessageId(),
		"BELFRY_DELIVERY_COUNT="+strconv.Itoa(int(m.GetDeliveryCount())))
	return c.Run()
}

// settle confirms, for as long as the platform is away: that the command has run
// must not be forgotten.
func (p *poller) settle(ctx context.Context, m *mailboxv1.ReceiveResponse) error {
	for {
		_, err := p.api.Confirm(ctx, &mailboxv1.ConfirmRequest{SubscriberId: p.id, MessageId: m.GetMessageId(), LockId: m.GetLockId()})
		switch {
		case fault.CodeOf(err) == fault.LockLost:
			p.complain(fmt.Errorf("%s was handled but not confirmed in time, and will be delivered again: %w", m.GetMessageId(), err))
			return nil
		case err == nil || fault.CodeOf(err).Kind() != fault.Down || ctx.Err() != nil:
			return err
		}
		p.complain(err)
		if err := pause(ctx, p.retry); err != nil {
			return err
		}
	}
}

func (p *poller) complain(err error) {
	_, _ = fmt.Fprintf(p.std.err, "belfry: %s\n", err) // nobody to tell if this fails
}

// pause waits, and answers why it could not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}
