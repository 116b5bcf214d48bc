package event

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// sample is an ordinary event with 256 bytes of data.
func sample() Event {
	version := int64(7)
	data := []byte(`{"id":"573f4511088c772684a738f8","number":"2024/0001","customer":"Jan Novák","total":1234.50,` +
		`"currency":"EUR","lines":[{"sku":"A1","qty":2,"price":10.5},{"sku":"B2","qty":1,"price":99.0}],` +
		`"note":"deliver before noon, please","paid":false,"due":null}`)
	return Event{
		ID: "5d8XKq0000000000000001", Source: "/erp/invoicing", Type: "invoices.created", Subject: "573f4511088c772684a738f8",
		Time: time.Date(2026, 11, 21, 6, 40, 0, 123456789, time.UTC), DataContentType: jsonType, Data: data,
		Tenant: "AA", Topic: "invoices", Verb: "created", ObjectVersion: &version,
		SenderUser: "999", SenderDevice: "BackOffice",
	}
}

// republished is the sample as a gateway gets it.
func republished(tb testing.TB) *nats.Msg {
	e := sample()
	m, err := e.Msg()
	if err != nil {
		tb.Fatal(err)
	}
	m.Subject = "live." + m.Subject
	m.Header["Nats-Stream"] = []string{"EVENTS"}
	m.Header["Nats-Subject"] = []string{"evt.AA.invoices.created"}
	m.Header["Nats-Sequence"] = []string{"4711"}
	m.Header["Nats-Time-Stamp"] = []string{"2026-11-21T06:40:00.2Z"}
	m.Header["Nats-Last-Sequence"] = []string{"4700"}
	return m
}

func BenchmarkAppendJSON(b *testing.B) {
	e := sample()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkDecode(b *testing.B) {
	m := republished(b)
	b.ReportAllocs()
	for b.Loop() {
		Decode(m.Subject, m.Header, m.Data, StoredOf(m.Header, "abcd1234"))
	}
}

// BenchmarkDecodeAppendJSON is what a gateway does once per event.
func BenchmarkDecodeAppendJSON(b *testing.B) {
	m := republished(b)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		e := Decode(m.Subject, m.Header, m.Data, StoredOf(m.Header, "abcd1234"))
		dst = e.AppendJSON(dst[:0])
	}
}

func BenchmarkMsg(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Msg(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJSON(b *testing.B) {
	e := sample()
	text := e.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValidJSON stands beside the standard library's, which it replaces.
func BenchmarkValidJSON(b *testing.B) {
	data := sample().Data
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			validJSON(data)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			json.Valid(data)
		}
	})
}
