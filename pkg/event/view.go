package event

// Form is how the events behind a view travel.
type Form uint8

// The forms.
const (
	Durable  Form = iota // evt.…, kept in EVENTS
	Clock                // clock.…, time events, never stored
	Realtime             // rt.…, to a user, a tenant or everybody, never stored
)

// View is an event under the name that one of the seeds gives it.
type View struct {
	Name  string   // the seed's spelling; compared ignoring case
	Form  Form     // where its events come from
	Topic string   // Durable: the one topic it is made from, in lower case; "" = any
	Verbs []string // Durable: the verbs it is made from, in lower case
}
