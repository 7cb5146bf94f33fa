package admin

import (
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// textAnswer is for terminals.
func textAnswer(status int, text string) *endpoint.Answer {
	return &endpoint.Answer{Status: status, Body: []byte(text), Type: "text/plain; charset=utf-8"}
}

// The forms an explanation comes in.
const (
	formatHTML = "html"
	formatJSON = "json"
	formatText = "text"
)

var formats = map[string]string{
	"text/html": formatHTML, "application/xhtml+xml": formatHTML,
	"application/json": formatJSON, "text/plain": formatText,
}

// format chooses by the parameter format, or by the media type of Accept with
// the highest weight (RFC 9110 section 12.5.1). Without a preference it is text,
// because that is curl in a terminal.
func format(r *endpoint.Request) (string, error) {
	if asked := r.URL.Query().Get("format"); asked != "" {
		if asked != formatHTML && asked != formatJSON && asked != formatText {
			return "", oauth.InvalidRequest("format is html, json or text")
		}
		return asked, nil
	}
	return r.Prefers(formats, formatText), nil
}
