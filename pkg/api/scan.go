package api

// What stands in JSON that is known to be valid. encoding/json's Decoder would find
// it as well, with a buffer and an allocation for each part.

// members visits the members of a valid JSON object; values are parts of b.
func members(b []byte, visit func(name string, value []byte) error) error {
	for rest, more := inside(b); more; rest, more = behind(rest) {
		var key, value []byte
		key, rest = next(rest)
		value, rest = next(rest[1:]) // behind the colon
		name, _ := text(key)
		if err := visit(name, value); err != nil {
			return err
		}
	}
	return nil
}

// elements visits the elements of a valid JSON array; values are parts of b.
func elements(b []byte, visit func(i int, value []byte) error) error {
	i := 0
	for rest, more := inside(b); more; rest, more = behind(rest) {
		var value []byte
		value, rest = next(rest)
		if err := visit(i, value); err != nil {
			return err
		}
		i++
	}
	return nil
}

// inside is what stands behind the opening of an object or array; more says that
// there is something in it.
func inside(b []byte) (rest []byte, more bool) {
	rest = skip(skip(b)[1:])
	return rest, rest[0] != '}' && rest[0] != ']'
}

// behind is what stands behind one part; more says that another one follows.
func behind(rest []byte) (_ []byte, more bool) { return rest[1:], rest[0] == ',' }

// next cuts the value off with which b begins; rest begins with what is behind it
// and is no space.
func next(b []byte) (value, rest []byte) {
	b = skip(b)
	n := length(b)
	return b[:n], skip(b[n:])
}

// length is that of the value with which b begins.
func length(b []byte) int {
	depth, n := 0, 0
	for n < len(b) {
		switch b[n] {
		case '"':
			n += quoted(b[n:])
		case '{', '[':
			depth++
			n++
		case '}', ']':
			depth--
			n++
		case ',', ':', ' ', '\t', '\n', '\r':
			n++
		default:
			n += plain(b[n:])
		}
		if depth == 0 {
			break
		}
	}
	return n
}

// quoted is the length of the string with which b begins, its quotes included.
func quoted(b []byte) int {
	for n := 1; n < len(b); n++ {
		switch b[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
	return len(b)
}

// plain is the length of the number or word with which b begins.
func plain(b []byte) int {
	for n, c := range b {
		switch c {
		case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
			return n
		}
	}
	return len(b)
}

// skip leaves out spaces.
func skip(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}
