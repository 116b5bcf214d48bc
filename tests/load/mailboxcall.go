package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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
