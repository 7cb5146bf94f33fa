package admin

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// jsonAnswer lays JSON out for people, who read it with curl.
func jsonAnswer(status int, value any) (*endpoint.Answer, error) {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return &endpoint.Answer{Status: status, Body: append(escapeJSON(encoded), '\n'), Type: "application/json"}, nil
}

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
	best, weight := formatText, 0.0
	for _, header := range r.Header["Accept"] {
		for entry := range strings.SplitSeq(header, ",") {
			media, parameters, err := mime.ParseMediaType(entry)
			known, ok := formats[media]
			if err != nil || !ok {
				continue
			}
			q := 1.0
			if text, ok := parameters["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			if q > weight {
				best, weight = known, q
			}
		}
	}
	return best, nil
}

// query reads the parameters of a list. One that is not known, or given twice,
// is refused: a filter that does nothing is worse than none.
func query(r *endpoint.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, oauth.InvalidRequest("the query is malformed").Because("%w", err)
	}
	for name, list := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, oauth.InvalidRequest("unknown parameter %s; there are %s", oauth.Clip(name), strings.Join(known, ", "))
		case len(list) > 1:
			return nil, oauth.InvalidRequest("parameter %s is given %d times", name, len(list))
		}
	}
	return values, nil
}

// page sizes of the lists.
const (
	defaultPage = 100
	maxPage     = 1000
)

func limit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, oauth.InvalidRequest("limit is a number from 1 to %d", maxPage)
	}
	return n, nil
}

// contentType gives the media type of the body, without parameters.
func contentType(r *endpoint.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

func unsupportedMediaType(wanted string) error {
	return oauth.Error{
		Code: oauth.CodeUnsupportedMediaType, Status: http.StatusUnsupportedMediaType,
		Description: "Content-Type must be " + wanted,
	}
}
