package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/belfry-events/belfry/pkg/relay"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/pkg/topology"
	"github.com/belfry-events/belfry/services/objectevent"
)

// alertRules is how many rules there are on one topic.
const alertRules = 1000

// alertPlain is about how many changes a second pass without rules.
const alertPlain = 20_000

// alertWarm is which part of the changes come before the timed ones.
const alertWarm = 4

// alertKinds are the rules: of one customer each; above a limit each; with an
// expression that all have in them; and with one of each rule's own, which only CEL can
// decide and no index helps.
var alertKinds = []struct {
	name, condition string
	perSec          int // changes a second, about; without rules it is alertPlain
}{
	{"of a customer each", "new.customer == 'c%d' && new.total > 1000.0", 15_000},
	{"of a limit each", "new.total > %d000.0 && 'total' in changed", 10_000},
	{"of an expression", "new.customer + 'x' == 'y%d'", 12_000},
	{"of CEL only", "new.customer + '%d' == new.number", 600},
}

// measureAlerts lets the relay of alerts work off a log full of changes of a topic
// with a thousand rules, beside the same relay and the same log without any.
func measureAlerts(ctx context.Context, p plan) (figures []figure, err error) {
	for _, kind := range alertKinds {
		var ours, reference []float64
		for range p.rounds {
			rate, err := alertsOf(ctx, p, kind.condition, int(p.length.Seconds()*float64(kind.perSec)))
			if err != nil {
				return nil, fmt.Errorf("rules %s: %w", kind.name, err)
			}
			ours = append(ours, rate)
			if rate, err = alertsOf(ctx, p, "", int(p.length.Seconds()*alertPlain)); err != nil {
				return nil, fmt.Errorf("without rules: %w", err)
			}
			reference = append(reference, rate)
		}
		figures = append(figures, numbers(fmt.Sprintf("alerts, R1, %d rules %s, changes/s", alertRules, kind.name), "%.0f", ours, reference))
	}
	return figures, nil
}

// alertsOf answers how many changes a second pass rules of a condition, "" = none.
func alertsOf(ctx context.Context, p plan, condition string, n int) (rate float64, err error) {
	c, err := startCluster(ctx, p, 1, func(o topology.Options) topology.Spec {
		return topology.Platform(o).And(objectevent.Topology(o))
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	if condition != "" {
		if err := c.setRules(ctx, condition); err != nil {
			return 0, err
		}
	}
	// The first changes are not timed: the service starts, and compiles the rules.
	if err := fill(ctx, c.bus, n/alertWarm, changeOf); err != nil {
		return 0, err
	}
	warm, err := c.events(ctx)
	if err != nil {
		return 0, err
	}
	if err := fill(ctx, c.bus, n, changeOf); err != nil {
		return 0, err
	}
	last, err := c.events(ctx)
	if err != nil {
		return 0, err
	}
	service, err := startService(ctx, p, c, "objectevent")
	if err != nil {
		return 0, err
	}
	defer func() {
		_, stopped := service.stop()
		err = errors.Join(err, stopped)
	}()
	// It is never run; it only looks where the cursor of the service's is.
	eye, err := relay.New(relay.Options{
		Name: "alerts", Bus: c.bus, Source: topology.Events, Filter: []string{subject.Events}, Target: topology.Events,
		Map: func(context.Context, relay.Message) (relay.Effects, error) { return relay.Effects{}, nil },
	})
	if err != nil {
		return 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := eye.Await(waiting, warm); err != nil {
		return 0, err
	}
	began := time.Now()
	err = eye.Await(waiting, last)
	return float64(n) / time.Since(began).Seconds(), err
}

// setRules writes the records of rules, as the service does.
func (c *cluster) setRules(ctx context.Context, condition string) error {
	subj, err := subject.AlertRecord("AA")
	if err != nil {
		return err
	}
	return fill(ctx, c.bus, alertRules, func(i int) *nats.Msg {
		name := fmt.Sprintf("rule-%04d", i)
		data, _ := json.Marshal(map[string]any{"op": "set", "name": name, "rule": map[string]any{ // texts and a number: it never fails
			"name": name, "topics": []string{"invoices"}, "on": []string{"insert", "update"}, "condition": fmt.Sprintf(condition, i+1),
			"target": "finance", "target_verb": "raised", "severity": "warning", "revision": 1,
		}})
		return &nats.Msg{Subject: subj, Data: data}
	})
}

// changeOf is a change of an invoice; one in a thousand is large enough for an alert.
func changeOf(i int) *nats.Msg {
	total := 18.5
	if i%1000 == 999 {
		total = 1500
	}
	return &nats.Msg{Subject: "evt.AA.invoices.updated", Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {fmt.Sprintf("op-%d", i)}, "ce-source": {"/load"}, "ce-type": {"invoices.updated"}, "ce-senderuser": {"anna"},
		"ce-subject": {fmt.Sprint(i)}, "ce-objectversion": {"7"}, "ce-dataschema": {"urn:belfry:change:v1"}, "ce-datacontenttype": {"application/json"},
	}, Data: fmt.Appendf(nil, `{"old":{"number":"2026-0041","customer":"c%d","total":12.5},"new":{"number":"2026-0042","customer":"c%d","total":%v}}`, i%alertRules, i%alertRules, total)}
}
