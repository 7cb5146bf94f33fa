package oauth

import "testing"

// FuzzParseJSONForm: whatever comes, each parameter but the repeatable ones is
// there once, and nothing in it is a NUL.
func FuzzParseJSONForm(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"resource":["a","b"],"audience":"c"}`, `{"a":null}`, `{"a":"\ud800"}`, `{}`, ``, `{"a":"b","a":"c"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := ParseJSONForm(body)
		if err != nil {
			if AsError(err).Code != CodeInvalidRequest {
				t.Fatal(err)
			}
			return
		}
		seen := map[string]bool{}
		for _, p := range form {
			if seen[p.Name] && !repeatable(p.Name) || !plainText(p.Name) || !plainText(p.Value) {
				t.Fatalf("%q gives %q", body, form)
			}
			seen[p.Name] = true
		}
	})
}
