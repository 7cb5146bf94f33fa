package registration

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/fapid/fapid/oauth"
)

// FuzzDocuments: the records of APIs and access policies are refused with an
// invalid_request or read, and what was read can be written and read again as the
// same.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"identifier":"a","scopes":["s"],"clients":{"*":{},"b":{"roles":[]}},"access_token_expiration":5}`))
	f.Add([]byte("clients:\n  a: {scopes: [x]}\n  \"b.c\": {}\n"))
	f.Add([]byte(`{"engine":"allow","link":[{"resourceType":"Client","id":"a"}],"scope":["fapid:keys.read"]}`))
	f.Add([]byte("id: a\nengine: allow\nlink:\n- id: b\n  resourceType: Client\n"))
	f.Add([]byte("{\n\"clients\":\n{\"\\ud800\":{}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, syntax := range []Syntax{JSON, YAML} {
			again(t, data, syntax, ParseAPI)
			again(t, data, syntax, ParseAccessPolicy)
		}
	})
}

func again[T any](t *testing.T, data []byte, syntax Syntax, parse func([]byte, Syntax) (T, error)) {
	t.Helper()
	record, err := parse(data, syntax)
	if err != nil {
		var refusal oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidRequest {
			t.Fatalf("refused with %v", err)
		}
		return
	}
	written, err := json.Marshal(record)
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", record, err)
	}
	back, err := parse(written, JSON)
	if err != nil {
		t.Fatalf("%s is not read again: %v", written, err)
	}
	if twice, _ := json.Marshal(back); string(twice) != string(written) {
		t.Fatalf("%s became %s", written, twice)
	}
}
