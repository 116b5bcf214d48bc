package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The bound of a cycle, and how it can be reached: three HTTP calls that do nothing,
// the steps on NATS alone, and both in one program that does nothing else. It knows
// no tokens, locks, names or errors.
//
//	Peek     the document, the first copy and how many follow
//	Receive  the document changed
//	Confirm  the document changed, the copy deleted
const (
	bareCopies    = "LOADBOX"
	bareDocuments = "LOADSTATE"
)

// bareBoxes is n boxes on NATS, named by their numbers.
type bareBoxes struct {
	nc *nats.Conn
	n  int
}

// fillBare makes n boxes with messages for all cycles of a round.
func fillBare(ctx context.Context, p plan, c *cluster, n int) (bareBoxes, error) {
	b := bareBoxes{c.bus.NC, n}
	for _, stream := range []jetstream.StreamConfig{
		{Name: bareCopies, Subjects: []string{"loadbox.>"}, AllowDirect: true},
		{Name: bareDocuments, Subjects: []string{"loadstate.>"}, MaxMsgsPerSubject: 1}, // as a bucket
	} {
		_ = c.bus.JS.DeleteStream(ctx, stream.Name) // of the round before, if any
		if _, err := c.bus.JS.CreateStream(ctx, stream); err != nil {
			return b, err
		}
	}
	js, err := jetstream.New(c.bus.NC, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		return b, err
	}
	header, data := sourceHeader(), stamped(time.Now())
	for i := range max(int(p.length.Seconds()*20_000), n) {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "loadbox." + strconv.Itoa(i%n), Header: header, Data: data}, jetstream.WithStallWait(time.Minute)); err != nil {
			return b, err
		}
	}
	<-js.PublishAsyncComplete()
	return b, nil
}

// cycles does the steps of one cycle after the other, and answers how many.
func (b bareBoxes) cycles(p plan) (int, error) {
	return asOftenAsCan(p, func(i int) error {
		box := strconv.Itoa(i % b.n)
		message, err := b.peek(box)
		if err == nil {
			err = b.receive(box)
		}
		if err == nil {
			err = b.confirm(box, message)
		}
		return err
	})
}

func (b bareBoxes) ask(subject string, body []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return b.nc.RequestWithContext(ctx, subject, body)
}

func (b bareBoxes) peek(box string) (message string, err error) {
	if _, err := b.ask("$JS.API.STREAM.MSG.GET."+bareDocuments, []byte(`{"last_by_subj":"loadstate.`+box+`"}`)); err != nil {
		return "", err
	}
	head, err := b.ask("$JS.API.DIRECT.GET."+bareCopies, []byte(`{"seq":1,"next_by_subj":"loadbox.`+box+`","batch":1}`))
	if err != nil {
		return "", err
	}
	return head.Header.Get("Nats-Sequence"), nil
}

func (b bareBoxes) receive(box string) error {
	_, err := b.ask("loadstate."+box, bareDocument)
	return err
}

func (b bareBoxes) confirm(box, message string) error {
	if err := b.receive(box); err != nil { // the document, again
		return err
	}
	_, err := b.ask("$JS.API.STREAM.MSG.DELETE."+bareCopies, []byte(`{"no_erase":true,"seq":`+message+`}`))
	return err
}

var bareDocument = bytes.Repeat([]byte("x"), 300)

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

// serveBare answers calls with as much as a Receive does: Nothing does nothing, the
// others do their steps.
func serveBare(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	boxes := bareBoxes{nc: nc}
	tail := append(append([]byte(`","lockId":"0123456789abc","message":{"data":`), stamped(time.Now())...), "}}\n"...)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // it breaks off only if the bench does
		box, message := member(string(body), "subscriberId"), member(string(body), "messageId")
		var err error
		switch path.Base(r.URL.Path) {
		case "Peek":
			message, err = boxes.peek(box)
		case "Receive":
			err = boxes.receive(box)
		case "Confirm":
			err = boxes.confirm(box, message)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append([]byte(`{"nextMessageId":"`+message), tail...)) // who has left is not measured
	})}
	return server.Serve(l)
}
