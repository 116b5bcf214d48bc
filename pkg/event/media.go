package event

import (
	"mime"
	"strings"
	"unicode/utf8"
)

// Media types that data falls back to when nothing better is known of it.
const (
	jsonType   = "application/json"
	textType   = "text/plain"
	binaryType = "application/octet-stream"
)

// Media types that announce an envelope instead of data.
const (
	envelopeType = "application/cloudevents"
	batchType    = "application/cloudevents-batch"
	jsonSuffix   = "+json"
)

// media is the type of a content type without its parameters, in lower case.
func media(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// isJSON says whether data of this type is embedded in JSON as it came
// (CloudEvents JSON format §3.1: subtype json or +json; none means JSON).
func isJSON(contentType string) bool {
	if contentType == "" || contentType == jsonType {
		return true
	}
	t := media(contentType)
	return strings.HasSuffix(t, "/json") || strings.HasSuffix(t, jsonSuffix)
}

// isText says whether data of this type is shown as a JSON string, if it is
// UTF-8. All other data travels in base64.
func isText(contentType string) bool {
	t := media(contentType)
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "/xml") || strings.HasSuffix(t, "+xml")
}

// guess is the type of data that is not JSON and does not say what it is.
func guess(data []byte) string {
	if utf8.Valid(data) {
		return textType
	}
	return binaryType
}

// utf8Only says whether the charset parameter, if any, is one that JSON text
// may have.
func utf8Only(contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
		return true
	}
	return false
}
