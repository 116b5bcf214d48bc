package hubprotocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Versions of the protocols: 2 is 1 with Ack and Sequence, and what clients ask
// for when they want to come back to the same connection.
const (
	minVersion = 1
	maxVersion = 2
)

// Handshake is a client's first message.
type Handshake struct {
	Protocol Protocol
	Version  int
}

// CutHandshake finds the handshake in the first bytes of a connection, and what
// follows it: the client may have sent more right away. It is JSON and ends with
// 0x1e whatever protocol it asks for. A nil message with a nil error: more must
// come.
func CutHandshake(b []byte, limit int) (message, rest []byte, err error) { return JSON.Cut(b, limit) }

// ParseHandshake reads what CutHandshake found. Errors are what HandshakeAnswer
// is to tell the client.
func ParseHandshake(b []byte) (Handshake, error) {
	var asked struct {
		Protocol *string `json:"protocol"`
		Version  *int    `json:"version"`
	}
	switch err := json.Unmarshal(b, &asked); {
	case err != nil || !utf8.Valid(b) || bytes.TrimSpace(b)[0] != '{':
		return Handshake{}, errors.New(`a connection begins with {"protocol":"json","version":1} and 0x1e, or "messagepack"`)
	case asked.Protocol == nil:
		return Handshake{}, errors.New("a handshake needs a protocol")
	case asked.Version == nil:
		return Handshake{}, errors.New("a handshake needs a version")
	}
	p, ok := protocols[*asked.Protocol]
	if !ok {
		return Handshake{}, fmt.Errorf("the protocol '%.32s' is not supported; json and messagepack are", *asked.Protocol)
	}
	if *asked.Version < minVersion || *asked.Version > maxVersion {
		return Handshake{}, fmt.Errorf("version %d of the protocol '%s' is not supported; %d and %d are", *asked.Version, p.Name(), minVersion, maxVersion)
	}
	return Handshake{p, *asked.Version}, nil
}

// AppendHandshakeAnswer writes the answer, which is the first thing a client
// reads: welcome without an error.
func AppendHandshakeAnswer(dst []byte, err error) []byte {
	dst = append(dst, '{')
	if err != nil {
		dst = appendString(append(dst, `"error":`...), err.Error())
	}
	return append(dst, '}', separator)
}
