package endpoint

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// The media types of YAML documents (RFC 9512; the others are what tools sent
// before it).
var yamlTypes = []string{"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}

// documentTypes are the media types a document comes in.
var documentTypes = func() map[string]string {
	types := map[string]string{jsonType: jsonType}
	for _, media := range yamlTypes {
		types[media] = media
	}
	return types
}()

// JSONDocument lays JSON out for people, who read it with curl.
func JSONDocument(status int, value any) (*Answer, error) {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return &Answer{Status: status, Body: append(escapeJSON(encoded), '\n'), Type: jsonType}, nil
}

// Document answers in the syntax that the request asks for, JSON unless it
// prefers YAML.
func (r *Request) Document(status int, value any) (*Answer, error) {
	answer, err := JSONDocument(status, value)
	if err != nil {
		return nil, err
	}
	answer.Header = http.Header{"Vary": {"Accept"}}
	if answer.Type = r.DocumentType(); answer.Type != jsonType {
		answer.Body, err = YAML(answer.Body)
	}
	return answer, err
}

// DocumentType is the media type that documents are answered in.
func (r *Request) DocumentType() string { return r.Prefers(documentTypes, jsonType) }

// Prefers chooses by the media type of Accept with the highest weight among those
// that are known (RFC 9110 section 12.5.1). Otherwise is what a range such as */*
// stands for, and for a request that prefers none of them.
func (r *Request) Prefers(known map[string]string, otherwise string) string {
	best, weight := otherwise, 0.0
	usual, closest := 0.0, unnamed // the weight of otherwise, by what names it most closely
	for _, header := range r.Header["Accept"] {
		for entry := range strings.SplitSeq(header, ",") {
			media, parameters, err := mime.ParseMediaType(entry)
			if err != nil {
				continue
			}
			q := 1.0
			if text, ok := parameters["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			if named := closeness(media, known, otherwise); named > closest {
				usual, closest = q, named
			}
			if choice, ok := known[media]; ok && q > weight {
				best, weight = choice, q
			}
		}
	}
	if closest != byName && usual > weight {
		return otherwise
	}
	return best
}

// How closely an entry of Accept names a choice.
const (
	unnamed  = iota
	byAny    // */*
	byFamily // application/*
	byName
)

func closeness(entry string, known map[string]string, choice string) int {
	if named, ok := known[entry]; ok && named == choice {
		return byName
	}
	if entry == "*/*" {
		return byAny
	}
	if family, ok := strings.CutSuffix(entry, "*"); ok {
		for media, named := range known {
			if named == choice && strings.HasPrefix(media, family) {
				return byFamily
			}
		}
	}
	return unnamed
}

// ContentType is the media type of the body, without parameters.
func (r *Request) ContentType() string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// ReadDocument reads a body that is a document, and whether it is one in YAML.
func (r *Request) ReadDocument() (body []byte, inYAML bool, err error) {
	media := r.ContentType()
	if _, known := documentTypes[media]; !known {
		return nil, false, oauth.UnsupportedMediaType("Content-Type must be %s or %s", jsonType, yamlTypes[0])
	}
	text, err := r.ReadBody()
	return []byte(text), media != jsonType, err
}

// escapeJSON writes the hidden characters of an encoded JSON text as \u escapes,
// which leaves its meaning and keeps a terminal from obeying them.
func escapeJSON(encoded []byte) []byte {
	if !slices.ContainsFunc(encoded, func(b byte) bool { return b >= 0x7f }) {
		return encoded // the encoder escapes those below
	}
	var out strings.Builder
	for _, r := range string(encoded) {
		switch {
		case r < 0x7f || !oauth.Hidden(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}
