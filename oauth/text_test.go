package oauth_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
)

// TestJSONText: no error names what the document is read into.
func TestJSONText(t *testing.T) {
	type record struct {
		Text   string         `json:"text"`
		Switch bool           `json:"switch"`
		Object map[string]any `json:"object"`
		List   []string       `json:"list"`
		Number int64          `json:"number"`
		Any    chan int       `json:"any"`
	}
	for document, want := range map[string]string{
		`{"text":1}`:             "expected a string, not: number",
		`{"switch":"yes"}`:       "expected a boolean, not: string",
		`{"object":[]}`:          "expected an object, not: array",
		`{"list":{}}`:            "expected an array, not: object",
		`{"number":1e400}`:       "expected a number that fits, not: number 1e400",
		`{"any":true}`:           "expected another type, not: bool",
		`[]`:                     "expected an object, not: array",
		`{"text":"","text":"a"}`: "duplicate key 'text' in object",
		`{"text":`:               "unexpected end of JSON input",
	} {
		err := json.Unmarshal([]byte(document), new(record))
		if err == nil {
			t.Errorf("%s is decoded", document)
		} else if got := oauth.JSONText(err); got != want {
			t.Errorf("%s: %q, want %q", document, got, want)
		}
	}
}
