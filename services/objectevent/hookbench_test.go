package objectevent

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/belfry-events/belfry/pkg/client"
)

// BenchmarkBeforeDelete, without hooks and with one of either kind, beside a raw
// program that makes the same steps on NATS one after the other: claim, note, where
// is the log, event, who is asked, note, release.
func BenchmarkBeforeDelete(b *testing.B) {
	for name, register := range map[string]func(*hookWorld){
		"none": func(*hookWorld) {},
		"nats": func(w *hookWorld) {
			w.register("guard", nil)
			w.serve("guard", func(context.Context, client.Before) client.Verdict { return client.Allow() })
		},
		"http": func(w *hookWorld) { w.register("guard", object{"url": w.handler(answering(`{"allow":true}`))}) },
	} {
		b.Run(name, func(b *testing.B) {
			w := newHookWorld(b)
			register(w)
			i := 0
			for b.Loop() {
				i++
				if out := w.mustBefore(object{"object": fmt.Sprint(i)}); !out.GetAllowed() {
					b.Fatal(out)
				}
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		w := newHookWorld(b)
		js, ctx := w.nats.Bus().JS, b.Context()
		kv, err := js.KeyValue(ctx, DeletionsBucket)
		if err != nil {
			b.Fatal(err)
		}
		hooks, err := js.KeyValue(ctx, HooksBucket)
		if err != nil {
			b.Fatal(err)
		}
		body := make([]byte, 256)
		i := 0
		for b.Loop() {
			i++
			key := fmt.Sprint("k", i)
			claim, err := kv.Create(ctx, "asking."+key, body[:36], jetstream.KeyTTL(hookPatience))
			if err != nil {
				b.Fatal(err)
			}
			noted, err := kv.Create(ctx, key, body)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.h.events.State(ctx); err != nil {
				b.Fatal(err)
			}
			if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: "evt.AA.users.deleting", Data: body, Header: nats.Header{nats.MsgIdHdr: {key}}}); err != nil {
				b.Fatal(err)
			}
			_, _ = hooks.Get(ctx, "AA")
			if _, err := kv.Update(ctx, key, body, noted); err != nil {
				b.Fatal(err)
			}
			if err := kv.Purge(ctx, "asking."+key, jetstream.LastRevision(claim), jetstream.PurgeTTL(markersKept)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
