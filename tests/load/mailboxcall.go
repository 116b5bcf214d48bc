package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// call makes one call of the ITAS services.
func (o *postOffice) call(ctx context.Context, service, body string) (string, error) {
	return request(ctx, o.client, http.MethodPost, "http://"+o.service.http+"/Events/"+service, o.service.token, body)
}

// describe makes a topic that can be subscribed to.
func (o *postOffice) describe(ctx context.Context, topic string) error {
	_, err := request(ctx, o.client, http.MethodPut, "http://"+o.service.http+"/v1/topics/"+topic, o.service.token, `{}`)
	return err
}

func request(ctx context.Context, client *http.Client, method, url, token, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // it has been read
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, b)
	}
	return string(b), err
}

// member finds a member of a JSON object that is text without escapes.
func member(object, name string) string {
	_, rest, _ := strings.Cut(object, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// atOnce does n things, so many at the same time.
func atOnce(width, n int, do func(int) error) error {
	var group sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, width)
	for range width {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	return errors.Join(<-failed) // one says enough
}

// asOftenAsCan does it for the length of a run, so many at the same time, and
// answers how often.
func asOftenAsCan(p plan, do func(i int) error) (int, error) {
	var done atomic.Int64
	began := time.Now()
	err := atOnce(partnersAtOnce, 1<<40, func(i int) error {
		if time.Since(began) > p.length {
			return errTimeUp
		}
		if err := do(i); err != nil {
			return err
		}
		done.Add(1)
		return nil
	})
	if errors.Is(err, errTimeUp) {
		err = nil
	}
	return int(done.Load()), err
}

var errTimeUp = errors.New("time is up")

// emptyCalls makes HTTP calls of the same bytes that do nothing, and answers how many.
func emptyCalls(ctx context.Context, p plan, addr, token string) (int, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	body := `{"subscriberId":"0123456789abcdef01234567","messageId":"0123456789-0000000000000001","lockId":"0123456789abc"}`
	return asOftenAsCan(p, func(int) error {
		_, err := request(ctx, client, http.MethodPost, "http://"+addr+"/Events/Nothing", token, body)
		return err
	})
}

// serveEmpty answers every call with as much as a Receive does, and does nothing.
func serveEmpty(ctx context.Context) error {
	answer := append(append([]byte(`{"lockId":"0123456789abc","message":{"data":`), stamped(time.Now())...), "}}\n"...)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // as a service that reads what it is asked
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // who has left is not measured
	})}
	return server.Serve(l)
}

// rawSteps is how many cycles NATS alone can do: what Peek, Receive and Confirm
// cannot do without, one after the other.
//
//	Peek     the document, the first copy and how many follow
//	Receive  the document changed
//	Confirm  the document changed, the copy deleted
func rawSteps(ctx context.Context, p plan, c *cluster, n int) (pace, error) {
	const copies, documents = "LOADBOX", "LOADSTATE"
	for _, stream := range []jetstream.StreamConfig{
		{Name: copies, Subjects: []string{"loadbox.>"}, AllowDirect: true},
		{Name: documents, Subjects: []string{"loadstate.>"}, MaxMsgsPerSubject: 1}, // as a bucket
	} {
		_ = c.bus.JS.DeleteStream(ctx, stream.Name) // of the round before, if any
		if _, err := c.bus.JS.CreateStream(ctx, stream); err != nil {
			return pace{}, err
		}
	}
	js, err := jetstream.New(c.bus.NC, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return pace{}, err
	}
	header, data := sourceHeader(), stamped(time.Now())
	total := max(int(p.length.Seconds()*20_000), n)
	for i := range total {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "loadbox." + strconv.Itoa(i%n), Header: header, Data: data}, jetstream.WithStallWait(time.Minute)); err != nil {
			return pace{}, err
		}
	}
	<-js.PublishAsyncComplete()
	document := bytes.Repeat([]byte("x"), 300)
	ask := func(subject string, body []byte) (*nats.Msg, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return c.bus.NC.RequestWithContext(ctx, subject, body)
	}
	cycle := func(i int) error {
		box := strconv.Itoa(i % n)
		if _, err := ask("$JS.API.STREAM.MSG.GET."+documents, []byte(`{"last_by_subj":"loadstate.`+box+`"}`)); err != nil {
			return err
		}
		head, err := ask("$JS.API.DIRECT.GET."+copies, []byte(`{"seq":1,"next_by_subj":"loadbox.`+box+`","batch":1}`))
		if err != nil {
			return err
		}
		for range 2 {
			if _, err := ask("loadstate."+box, document); err != nil {
				return err
			}
		}
		_, err = ask("$JS.API.STREAM.MSG.DELETE."+copies, []byte(`{"no_erase":true,"seq":`+head.Header.Get("Nats-Sequence")+`}`))
		return err
	}
	return c.timed(nil, func() (int, error) { return asOftenAsCan(p, cycle) })
}
