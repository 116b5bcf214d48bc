package event

import "unicode/utf8"

// maxDepth is how deep JSON data may nest. encoding/json goes to 10,000, but
// browsers' and partners' parsers give up much earlier.
const maxDepth = 1000

// validJSON says whether b is one JSON text (RFC 8259) in UTF-8. It exists
// because it runs for every message received: json.Valid takes twice as long
// and lets invalid UTF-8 pass, for which a browser closes a WebSocket.
func validJSON(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	i := skipValue(b, skipSpace(b, 0), 0)
	return i > 0 && skipSpace(b, i) == len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index behind the value that begins at i, or 0 if there
// is none. The other skip functions do likewise.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return 0
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i)
	case c == '{':
		return skipObject(b, i, depth)
	case c == '[':
		return skipArray(b, i, depth)
	case c == '-' || '0' <= c && c <= '9':
		return skipNumber(b, i)
	case c == 't':
		return skipWord(b, i, "true")
	case c == 'f':
		return skipWord(b, i, "false")
	case c == 'n':
		return skipWord(b, i, "null")
	}
	return 0
}

func skipObject(b []byte, i, depth int) int {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return 0
		}
		if i = skipString(b, i); i == 0 {
			return 0
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return 0
		}
		if i = skipValue(b, skipSpace(b, i+1), depth+1); i == 0 {
			return 0
		}
		if i = skipSpace(b, i); i >= len(b) {
			return 0
		}
		switch b[i] {
		case '}':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return 0
		}
	}
}

func skipArray(b []byte, i, depth int) int {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = skipValue(b, i, depth+1); i == 0 {
			return 0
		}
		if i = skipSpace(b, i); i >= len(b) {
			return 0
		}
		switch b[i] {
		case ']':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return 0
		}
	}
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		if verbatim[b[i]] {
			continue
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return 0
		case c == '\\':
			if i++; i >= len(b) {
				return 0
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || unhex(b[i]) < 0 {
						return 0
					}
				}
			default:
				return 0
			}
		}
	}
	return 0
}

func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return 0
	case b[i] == '0': // no digit may follow a leading zero
		i++
	default:
		if i = skipDigits(b, i); i == 0 {
			return 0
		}
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i == 0 {
			return 0
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i
}

// skipDigits wants at least one.
func skipDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return 0
	}
	return i
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return 0
	}
	return i + len(word)
}
