package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/event"
	eventv1 "github.com/belfry-events/belfry/proto/belfry/event/v1"
	gatewayv1 "github.com/belfry-events/belfry/proto/belfry/gateway/v1"
)

// singly is how often a step is done that waits for each of its answers.
const singly = 200

// noise is a JSON string of so many bytes that no compression makes smaller than half.
func noise(n int) []byte {
	random := make([]byte, n/2)
	_, _ = rand.Read(random) // never fails
	return fmt.Appendf(nil, `"%s"`, (hex.EncodeToString(random) + "0")[:n-2])
}

// event is one of this run, and counted as one that stays. Its id is <verb>-<id>, as
// the log keeps a source's id once.
func (b *bench) event(verb, id string) event.Event {
	b.report.Left.Events++
	return event.Event{ID: verb + "-" + id, Source: b.run, Tenant: b.report.Left.Tenant, Topic: benchName, Verb: verb, Data: b.data}
}

// raw is a message as our client would send it, made without its work.
type raw struct {
	*nats.Msg
	id string
}

func (b *bench) raw(verb string) (raw, error) {
	e := b.event(verb, "raw-")
	b.report.Left.Events-- // a pattern only
	e.Complete(time.Now())
	m, err := e.Msg()
	return raw{m, e.ID}, err
}

// number is the same message with another id.
func (r raw) number(n int) *nats.Msg {
	h, id := maps.Clone(r.Header), r.id+strconv.Itoa(n)
	h["ce-id"] = []string{id}
	h[nats.MsgIdHdr] = []string{strings.TrimSuffix(h[nats.MsgIdHdr][0], r.id) + id}
	return &nats.Msg{Subject: r.Subject, Header: h, Data: r.Data}
}

// inTurn does different things in turn, so often, so that whatever else happens
// strikes all of them alike, and answers how long each took. When ctx or the
// measurement's time ends, what was measured until then counts.
func (b *bench) inTurn(ctx context.Context, often int, things ...func(i int) error) ([]ages, error) {
	took, began := make([]ages, len(things)), time.Now()
	for i := range often {
		for k, do := range things {
			before := time.Now()
			err := do(i)
			switch {
			case ctx.Err() != nil:
				return took, nil
			case err != nil:
				return took, err
			}
			took[k] = append(took[k], time.Since(before))
		}
		if time.Since(began) > b.within {
			break
		}
	}
	return took, nil
}

// oneByOne is a publisher that waits for each acknowledgement.
func (b *bench) oneByOne(ctx context.Context) error {
	js, err := jetstream.New(b.nc)
	if err != nil {
		return err
	}
	pattern, err := b.raw("stored")
	if err != nil {
		return err
	}
	took, err := b.inTurn(ctx, singly, func(i int) error {
		_, err := b.publisher.Publish(ctx, b.event("stored", strconv.Itoa(i)))
		return err
	}, func(i int) error {
		b.report.Left.Events++
		_, err := js.PublishMsg(ctx, pattern.number(i))
		return err
	}, func(i int) error {
		return b.overHTTP(ctx, "stored", "http-"+strconv.Itoa(i))
	}, func(int) error { return b.emptyCall(ctx) })
	b.add("publish_nats", "publish over NATS, one by one", took[0], took[1], "nats.go, the same message, acknowledged by JetStream")
	b.add("publish_http", "publish over HTTP, one by one", took[2], took[3], "an HTTP call that is refused at once")
	return err
}

// overHTTP publishes one event as whoever has no NATS does.
func (b *bench) overHTTP(ctx context.Context, verb, id string) error {
	e := b.event(verb, id)
	e.Complete(time.Now())
	_, err := b.gateway.Publish(ctx, &gatewayv1.PublishRequest{Events: []*eventv1.Event{{Json: e.AppendJSON(nil)}}})
	return err
}

// emptyCall is a round trip that costs the platform nothing but HTTP.
func (b *bench) emptyCall(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.report.URL+"/v1/no-such-route", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := b.web.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

// atOnce publishes as fast as it is acknowledged, in turn with nats.go.
func (b *bench) atOnce(ctx context.Context) error {
	const pending, turns = 4096, 4
	js, err := jetstream.New(b.nc, jetstream.WithPublishAsyncMaxPending(pending))
	if err != nil {
		return err
	}
	pattern, err := b.raw("stored")
	if err != nil {
		return err
	}
	share := max(b.events/turns, 1)
	ours, raws := 0, 0
	took, err := b.inTurn(ctx, turns, func(int) error {
		for range share {
			if _, err := b.publisher.PublishAsync(ctx, b.event("stored", "many-"+strconv.Itoa(ours))); err != nil {
				return err
			}
			ours++
		}
		return b.publisher.Flush(ctx)
	}, func(int) error {
		for range share {
			b.report.Left.Events++
			if _, err := js.PublishMsgAsync(pattern.number(raws+singly), jetstream.WithStallWait(straggle)); err != nil {
				return err
			}
			raws++
		}
		select {
		case <-js.PublishAsyncComplete():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if len(took[1]) == 0 {
		return err
	}
	perSecond := func(a ages) float64 {
		sum := time.Duration(0)
		for _, d := range a {
			sum += d
		}
		return float64(share*len(a)) / sum.Seconds()
	}
	b.report.Figures = append(b.report.Figures, figure{
		"publish_rate", "publish over NATS, as fast as acknowledged", "events/s",
		perSecond(took[0]), perSecond(took[1]), "nats.go, the same messages", share * len(took[0]),
	})
	return err
}
