package event

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the event in the CloudEvents JSON format, as one line.
// JSON data is embedded as it came, except that raw line breaks, which mean
// nothing in JSON, become spaces; text is a string, anything else data_base64.
// Times are written in UTC. The event must be one that Decode, ParseJSON or
// FromHTTP gave, or that Validate accepts: data that claims to be JSON is not
// checked again here.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0"`...)
	for i := range attributes {
		dst = attributes[i].appendMember(dst, e)
	}
	if len(e.Extensions) > 0 {
		dst = appendExtensions(dst, e.Extensions)
	}
	if len(e.Data) > 0 {
		dst = e.appendData(dst)
	}
	return append(dst, '}')
}

func (a *attribute) appendMember(dst []byte, e *Event) []byte {
	switch f := a.field(e).(type) {
	case *string:
		if *f != "" {
			dst = appendString(append(dst, a.member...), *f)
		}
	case *time.Time:
		if !f.IsZero() {
			dst = appendTime(append(dst, a.member...), *f)
		}
	case **int64:
		if n := *f; n != nil {
			dst = appendInteger(append(dst, a.member...), *n)
		}
	case **bool:
		if b := *f; b != nil {
			dst = strconv.AppendBool(append(dst, a.member...), *b)
		}
	case *bool:
		if *f {
			dst = append(append(dst, a.member...), "true"...)
		}
	}
	return dst
}

// appendExtensions writes in the order of names, so that an event has one text.
func appendExtensions(dst []byte, extensions map[string]any) []byte {
	names := make([]string, 0, len(extensions))
	for n := range extensions {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		mark := len(dst)
		dst = append(appendString(append(dst, ','), n), ':')
		switch v := extensions[n].(type) {
		case string:
			dst = appendString(dst, v)
		case bool:
			dst = strconv.AppendBool(dst, v)
		case int32:
			dst = strconv.AppendInt(dst, int64(v), 10)
		default: // no type of CloudEvents: Validate refuses it
			dst = dst[:mark]
		}
	}
	return dst
}

func (e *Event) appendData(dst []byte) []byte {
	if isJSON(e.DataContentType) || isText(e.DataContentType) && utf8.Valid(e.Data) {
		return e.appendValue(append(dst, `,"data":`...))
	}
	return e.appendValue(append(dst, `,"data_base64":`...))
}

// appendValue appends the data as one JSON value: itself, a string, or a string
// of base64.
func (e *Event) appendValue(dst []byte) []byte {
	switch {
	case isJSON(e.DataContentType):
		return appendLine(dst, e.Data)
	case isText(e.DataContentType) && utf8.Valid(e.Data):
		return appendString(dst, string(e.Data))
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, e.Data)
	return append(dst, '"')
}

// appendLine copies a JSON value without the space around it, and turns raw line
// breaks into spaces. Inside strings there are none: JSON has them escaped.
func appendLine(dst, data []byte) []byte {
	data = bytes.Trim(data, " \t\r\n")
	start := len(dst)
	dst = append(dst, data...)
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return dst // the ordinary case, at the speed of memory
	}
	for i, c := range dst[start:] {
		if c == '\n' || c == '\r' {
			dst[start+i] = ' '
		}
	}
	return dst
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = t.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano)
	return append(dst, '"')
}

// appendInteger writes a number where CloudEvents has one, and a string where
// it is too large for its 32 bits.
func appendInteger(dst []byte, n int64) []byte {
	if fits32(n) {
		return strconv.AppendInt(dst, n, 10)
	}
	dst = strconv.AppendInt(append(dst, '"'), n, 10)
	return append(dst, '"')
}

// verbatim are the bytes that stand for themselves in a JSON string.
var verbatim = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString writes a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if verbatim[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
