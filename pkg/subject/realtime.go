package subject

import (
	"strings"
)

// Of subjects that are never stored.
const (
	toUser = "u"      // rt.<tenant>.u.<user>
	toAll  = "all"    // rt.<tenant>.all
	roster = "roster" // between gateways
)

// Everybody is where real-time events to all users of all tenants go: rt._.all.
var Everybody = join(rt, Platform, toAll)

// Roster is where gateways tell each other who is connected, roster.all, and
// RosterOf one of them alone. Both are the platform's own: nobody else may listen
// or publish there.
var Roster = join(roster, toAll)

// RosterOf is Roster for one gateway: roster.u.<gateway>, by its id.
func RosterOf(gateway string) string { return join(roster, toUser, escape(gateway)) }

// User is where real-time events to one user go: rt.<tenant>.u.<user>. A user may
// be any text of 1 to 255 bytes, as tokens name them. Code invalid_name for the
// tenant or the user.
func User(tenant, user string) (string, error) {
	return ofUser(tenant, user, func(t, u string) string { return join(rt, t, toUser, u) })
}

// Tenant is where real-time events to all users of a tenant go: rt.<tenant>.all.
// Code invalid_name.
func Tenant(tenant string) (string, error) {
	return ofTenant(tenant, func(token string) string { return join(rt, token, toAll) })
}

// Presence is where a user's coming and going is told: presence.<tenant>.<user>.
// Code invalid_name for the tenant or the user.
func Presence(tenant, user string) (string, error) {
	return ofUser(tenant, user, func(t, u string) string { return join(presence, t, u) })
}

// TokenPresence and TokenClock are what a tenant that is escaped already tells:
// presence.<tenant>.> and clock.<tenant>.>.
func TokenPresence(token string) string { return join(presence, token, rest) }

// TokenClock is clock.<tenant>.> of a token; of Platform it is PlatformClock.
func TokenClock(token string) string { return join(clock, token, rest) }

func ofUser(tenant, user string, build func(tenant, user string) string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	token, err := Escape("user", user)
	if err != nil {
		return "", err
	}
	return build(escape(tenant), token), nil
}

// Recipient is whom a real-time event is for: a user of a tenant; User "" is
// everybody of the tenant; both "" is everybody.
type Recipient struct{ Tenant, User string }

// Subject is where real-time events to the recipient go. Code invalid_name; also
// for a user without a tenant, who could be anybody's.
func (r Recipient) Subject() (string, error) {
	switch {
	case r.User != "":
		return User(r.Tenant, r.User)
	case r.Tenant != "":
		return Tenant(r.Tenant)
	}
	return Everybody, nil
}

// ParseRealtime reads whom rt.… is for; ok is false for any other subject.
func ParseRealtime(s string) (r Recipient, ok bool) {
	if s == Everybody {
		return Recipient{}, true
	}
	s, ok = strings.CutPrefix(s, rt+sep)
	if !ok {
		return r, false
	}
	tenant, s, ok := strings.Cut(s, sep)
	if !ok || tenant == "" || tenant == Platform {
		return r, false
	}
	if s == toAll {
		return Recipient{Tenant: Unescape(tenant)}, true
	}
	user, ok := strings.CutPrefix(s, toUser+sep)
	if !ok || user == "" || strings.Contains(user, sep) {
		return r, false
	}
	return Recipient{Tenant: Unescape(tenant), User: Unescape(user)}, true
}

// ParsePresence reads the user of presence.<tenant>.<user>; ok is false for any
// other subject.
func ParsePresence(s string) (r Recipient, ok bool) {
	tenant, user, ok := parsePair(s, presence)
	if !ok || tenant == Platform {
		return r, false
	}
	return Recipient{Tenant: Unescape(tenant), User: Unescape(user)}, true
}

// ParseClock reads clock._.<name>, tenant "", and clock.<tenant>.<name>; ok is
// false for any other subject.
func ParseClock(s string) (tenant, name string, ok bool) {
	tenant, name, ok = parsePair(s, clock)
	if tenant == Platform {
		return "", Unescape(name), ok
	}
	return Unescape(tenant), Unescape(name), ok
}

// parsePair reads <root>.<a>.<b>.
func parsePair(s, root string) (a, b string, ok bool) {
	s, ok = strings.CutPrefix(s, root+sep)
	if !ok {
		return "", "", false
	}
	a, b, ok = strings.Cut(s, sep)
	return a, b, ok && a != "" && b != "" && !strings.Contains(b, sep)
}
