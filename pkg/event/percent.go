package event

import "strings"

const upperHex = "0123456789ABCDEF"

// escapes says which bytes a header value percent-encodes: everything outside
// U+0021 to U+007E, and the quote and the percent sign (CloudEvents HTTP
// binding §3.1.3.2, which the NATS binding repeats).
var escapes = func() (t [256]bool) {
	for c := range t {
		t[c] = c <= ' ' || c == '"' || c == '%' || c >= 0x7f
	}
	return t
}()

// encodeValue makes a header value of an attribute's text. also names one more
// byte to encode; 0 = none.
func encodeValue(s string, also byte) string {
	n := 0
	for i := range len(s) {
		if escapes[s[i]] || s[i] == also {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; escapes[c] || c == also {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// decodeValue reads a header value back: quotes around it are removed (older
// encoders sent them), then percent-encoding is undone once. A percent sign
// without two hex digits behind it stays itself, because there are encoders that
// send values as they are.
func decodeValue(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unquote undoes the backslashes of a quoted header value (RFC 7230 §3.2.6).
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
