package subject

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	alert   = "alert"   // after ctl
	alerted = "alerted" // after ctl
)

// AlertRecords is every change of an alert rule, in EVENTS: ctl.alert.*.
var AlertRecords = join(ctl, alert, "*")

// AlertRecord is where a tenant's alert rules change, as records in EVENTS, so that
// the place of a change among the events is exact: ctl.alert.<tenant>. Code
// invalid_name.
func AlertRecord(tenant string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	return join(ctl, alert, escape(tenant)), nil
}

// ParseAlertRecord reads the tenant of a record in EVENTS; ok is false for any
// other subject.
func ParseAlertRecord(s string) (tenant string, ok bool) {
	token, ok := strings.CutPrefix(s, join(ctl, alert)+sep)
	if !ok || token == "" || strings.Contains(token, sep) {
		return "", false
	}
	return Unescape(token), true
}

// Alerted is the record of a rule's last alert about an object, in EVENTS:
// ctl.alerted.<tenant>.<rule>.<object>. Of the object it is a hash, because any id
// may be one. Code invalid_name for the tenant or the rule.
func Alerted(tenant, rule, object string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	name, err := Escape("rule", Fold(rule))
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(object))
	return join(ctl, alerted, escape(tenant), name, hex.EncodeToString(hash[:16])), nil
}

// TopicEvents is the filter for all durable events of a topic, evt.<tenant>.<topic>.*.
// Codes invalid_name, invalid_topic.
func TopicEvents(tenant, topic string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	if err := CheckTopic(topic); err != nil {
		return "", err
	}
	return join(evt, escape(tenant), escape(Fold(topic)), "*"), nil
}

// Pair is two tokens that are escaped already, as a key of a bucket.
func Pair(kind, token string) string { return join(kind, token) }

// BucketStream is the stream behind a key-value bucket.
func BucketStream(bucket string) string { return "KV_" + bucket }
