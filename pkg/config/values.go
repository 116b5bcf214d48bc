package config

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
)

// Origin is the kind of place a value came from.
type Origin uint8

// The origins, in rising order of precedence.
const (
	Default Origin = iota
	File
	Environment
	Flag
)

// String is the origin's name in lower case.
func (o Origin) String() string { return [...]string{"default", "file", "environment", "flag"}[o] }

// Source is where one value came from.
type Source struct {
	Origin Origin
	Name   string // path, variable or flag; "" for defaults
}

// String is "default", "file belfry.yaml", "environment BELFRY_HTTP_ADDR" or
// "flag --http".
func (s Source) String() string { return strings.TrimSpace(s.Origin.String() + " " + s.Name) }

// Entry is the effective value of one key.
type Entry struct {
	Key    string
	Value  string // as it could be written in a file; secrets are "***"
	Source Source
	Env    string // the environment variable that sets it
	Usage  string
}

// Values is what Load found, in the order of the structs.
type Values struct {
	Entries  []Entry
	Warnings []string // environment variables that set nothing
}

const (
	masked      = "***"
	maskedInURL = "xxxxx" // as url.Redacted does; a star would be escaped
)

func entryOf(f field, s Source, prefix string) Entry {
	e := Entry{Key: f.key, Value: f.text(), Source: s, Env: f.env(prefix), Usage: f.usage}
	if f.secret && e.Value != "" {
		e.Value = masked
	} else if strings.Contains(e.Value, "@") {
		e.Value = maskURLs(e.Value)
	}
	return e
}

// maskURLs hides passwords in a list of URLs, nats://user:password@host.
func maskURLs(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		u, err := url.Parse(item)
		switch {
		case err != nil, strings.Contains(u.Opaque, "@"): // user:password@host, without a scheme
			items[i] = masked // cannot be read, so it cannot be shown
			continue
		case u.User == nil:
			continue
		}
		// nats://token@host carries a secret as its user name.
		user := url.User(maskedInURL)
		if _, hasPassword := u.User.Password(); hasPassword {
			user = url.UserPassword(u.User.Username(), maskedInURL)
		}
		u.User = user
		items[i] = u.String()
	}
	return strings.Join(items, ",")
}

// Print writes key, value and source as a table, with a blank line between the keys of
// one prefix and the next.
func (v *Values) Print(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "KEY\tVALUE\tSOURCE") // a Builder has no errors
	group := ""
	for _, e := range v.Entries {
		prefix, _, _ := strings.Cut(e.Key, ".")
		if prefix != group {
			_, _ = fmt.Fprintln(t, "\t\t") // an empty line would end the columns
		}
		group = prefix
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", e.Key, e.Value, e.Source)
	}
	_ = t.Flush()
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}
