package subject

import "strings"

const (
	mbx = "mbx"

	mailboxCopy  = "m" // after mbx: a copy that waits
	mailboxTable = "t" // after mbx: the table of subscriptions, and the cursor
	mailboxDead  = "d" // after mbx: a dead letter of a mailbox

	subscription = "sub" // after ctl
	wake         = "wake"
)

// Patterns of the mailboxes. Everything under mbx. is in the stream MAILBOX.
var (
	Mailbox            = join(mbx, rest)
	MailboxCopies      = join(mbx, mailboxCopy, rest)
	MailboxDeadLetters = join(mbx, mailboxDead, rest)
	MailboxTable       = join(mbx, mailboxTable, rest)     // every subscription, and the cursor as the newest message
	MailboxCursor      = join(mbx, mailboxTable, "cursor") // how far the mailbox relay is
	MailboxRecords     = join(ctl, subscription, rest)     // who subscribed when, in EVENTS
	// MailboxWake says which subscribers have something new; never stored.
	MailboxWake = join(wake, mbx)
)

// The tokens below are ids that the mailbox service makes, of letters and digits.

// MailboxRecord is what a subscriber decided about its subscriptions, as a record
// in EVENTS, so that its place among the events is exact: ctl.sub.<subscriber>.
func MailboxRecord(subscriber string) string { return join(ctl, subscription, subscriber) }

// MailboxCopy is where the copies for one mailbox wait: mbx.m.<subscriber>.<subscription>.
// "*" as subscription is all mailboxes of the subscriber.
func MailboxCopy(subscriber, subscription string) string {
	return join(mbx, mailboxCopy, subscriber, subscription)
}

// MailboxEntry is a subscription in the table: mbx.t.<subscriber>.<subscription>.
func MailboxEntry(subscriber, subscription string) string {
	return join(mbx, mailboxTable, subscriber, subscription)
}

// MailboxDead is a dead letter of a mailbox, by the id its message had:
// mbx.d.<subscriber>.<subscription>.<message>.
func MailboxDead(subscriber, subscription, message string) string {
	return join(mbx, mailboxDead, subscriber, subscription, message)
}

// ParseMailbox reads subscriber and subscription of any of the three; ok is
// false for another subject.
func ParseMailbox(s string) (subscriber, subscription string, ok bool) {
	parts := strings.Split(s, sep)
	if len(parts) < 4 || parts[0] != mbx {
		return "", "", false
	}
	return parts[2], parts[3], true
}

// ParseMailboxRecord reads the subscriber of a record in EVENTS; ok is false for
// any other subject.
func ParseMailboxRecord(s string) (subscriber string, ok bool) {
	subscriber, ok = strings.CutPrefix(s, join(ctl, subscription)+sep)
	return subscriber, ok && subscriber != "" && !strings.Contains(subscriber, sep)
}

// MailboxOf is everything of one subscriber: mbx.*.<subscriber>.>.
func MailboxOf(subscriber string) string { return join(mbx, "*", subscriber, rest) }

// TopicKey is where a bucket keeps what it knows of a tenant's topic, compared
// ignoring case: <tenant>.<topic>. Codes invalid_name, invalid_topic.
func TopicKey(bucket, tenant, topic string) (string, error) {
	if err := (Address{tenant, topic, "-"}).Check(); err != nil {
		return "", err
	}
	return Key(bucket, join(escape(tenant), escape(Fold(topic)))), nil
}

// TopicKeys is TopicKey of every topic of a tenant. Code invalid_name.
func TopicKeys(bucket, tenant string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	return Key(bucket, join(escape(tenant), "*")), nil
}

// LastToken is what stands behind the last dot of a subject.
func LastToken(s string) string { return s[strings.LastIndex(s, sep)+1:] }
