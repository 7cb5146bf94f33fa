package endpoint

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/fapid/fapid/oauth"
)

func TestEscapeJSON(t *testing.T) {
	encoded, err := json.Marshal("\u202e\u009b\U000e0041é\U0001f600")
	if err != nil {
		t.Fatal(err)
	}
	var back string
	escaped := escapeJSON(encoded)
	if err := json.Unmarshal(escaped, &back); err != nil || back != "\u202e\u009b\U000e0041é\U0001f600" {
		t.Errorf("%s: %q, %v", escaped, back, err)
	}
}

func TestYAML(t *testing.T) {
	for document, want := range map[string]string{
		`{}`:                                     "{}\n",
		`[]`:                                     "[]\n",
		`"x"`:                                    "x\n",
		`{"a":1,"b":-2.50}`:                      "a: 1\nb: -2.50\n",
		`{"a":true,"b":null}`:                    "a: true\nb: null\n",
		`{"a":"true","b":"12"}`:                  "a: \"true\"\nb: \"12\"\n",
		`{"a":["x","y"],"b":[]}`:                 "a:\n- x\n- \"y\"\nb: []\n",
		`{"a":{"b":{"c":"d"}}}`:                  "a:\n  b:\n    c: d\n",
		`{"a":[{"b":1,"c":[{"d":2}]},{}],"e":3}`: "a:\n- b: 1\n  c:\n  - d: 2\n- {}\ne: 3\n",
		`[[1,[2]],[3]]`:                          "- - 1\n  - - 2\n- - 3\n",
		`{"12":{"*":"a: b"}}`:                    "\"12\":\n  \"*\": \"a: b\"\n",
		`{"scope":"accounts payments","dn":"CN=a,O=b c,C=GB","url":"https://a.example/x"}`: "scope: accounts payments\ndn: CN=a,O=b c,C=GB\nurl: https://a.example/x\n",
		`{"a":"x #y","b":"- x","c":"","d":"x ","e":"Norway: no"}`:                          "a: \"x #y\"\nb: \"- x\"\nc: \"\"\nd: \"x \"\ne: \"Norway: no\"\n",
		`{"a":"\u202e\n\"\\\udb40\udc41"}`:                                                 "a: \"\\u202e\\u000a\\\"\\\\\\U000e0041\"\n",
	} {
		got, err := YAML([]byte(document))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", document, got, err, want)
		}
	}
	if _, err := YAML([]byte(`{"a":`)); err == nil {
		t.Error("half a document is written")
	}
}

// FuzzYAML: what is written as YAML reads as the same, and shows every character.
func FuzzYAML(f *testing.F) {
	f.Add(`{"a":[{"b":"c: d"},[],{}],"yes":"no","1":1e3,"x":"\u0085 \ud83d\ude00"}`)
	f.Add(`{"- a":"? b","":"","~":"null","0x1f":"1_000","=":"<<"}`)
	f.Add(`[1e21,-1E-7,1.5e9,66666666666666660000,-9223372036854775809,9223372036854775807]`)
	f.Add(`["2026-01-31T12:00:00Z","12:30:45","1.5","+1",".inf","a:b","a :b","%x","@x","` + "`x`" + `"]`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return // the reader takes time that grows with the square
		}
		var want any
		decoder := json.NewDecoder(strings.NewReader(text))
		if decoder.Decode(&want) != nil || decoder.More() {
			return
		}
		document, err := json.Marshal(want)
		if err != nil {
			return
		}
		written, err := YAML(document)
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if at := bytes.IndexFunc(written, func(r rune) bool { return r != '\n' && oauth.Hidden(r) }); at >= 0 {
			t.Fatalf("%q has hidden characters", written)
		}
		var got any
		if err := yaml.Unmarshal(written, &got); err != nil {
			t.Fatalf("%s is written as\n%s, which is not read: %v", document, written, err)
		}
		back, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := json.Unmarshal(back, &again); err != nil || !reflect.DeepEqual(again, want) {
			t.Fatalf("%s is written as\n%s and read as %s", document, written, back)
		}
	})
}

func TestPrefers(t *testing.T) {
	for accept, want := range map[string]string{
		"": jsonType, "*/*": jsonType, "text/html": jsonType, "application/json": jsonType, "text/yaml": "text/yaml",
		"application/yaml;q=0.5, application/json": jsonType, "application/json;q=0.1,application/x-yaml;q=0.2": "application/x-yaml",
		"application/yaml;q=x": jsonType, "application/yaml;q=0": jsonType, ",;,": jsonType,
		// A range stands for JSON, unless that is named itself.
		"application/yaml;q=0.5, */*": jsonType, "application/yaml;q=0.5, application/*": jsonType, "application/yaml, */*;q=0.8": "application/yaml",
		"application/yaml, */*": "application/yaml", "application/json;q=0.1, application/yaml;q=0.5, */*": "application/yaml",
		"*/*, application/*;q=0.1, application/yaml;q=0.5": "application/yaml", "text/*, application/yaml;q=0.5": "application/yaml",
	} {
		r := &Request{Request: httptest.NewRequest(http.MethodGet, "/", nil)}
		r.Header.Set("Accept", accept)
		if got := r.DocumentType(); got != want {
			t.Errorf("Accept %q: %s, want %s", accept, got, want)
		}
	}
}
