package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseForm compares with net/url: what passes here has the same one value
// for each name there, and a refusal has a text that may go on the wire.
func FuzzParseForm(f *testing.F) {
	for _, body := range []string{
		"", "a=1", "a=1&b=2", "a=1&a=2", "a=1;b=2", "a=%00", "a=%ff", "a=%zz", "&&", "=", "a", "a=&a=1", "a%3d=b%26", "%61=1&a=2",
		"grant_type=client_credentials&scope=a+b", strings.Repeat("a=1&", 200), strings.Repeat("<", 3000) + "&" + strings.Repeat("<", 3000),
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := ParseForm(body)
		if err != nil {
			refusal := AsError(err)
			if refusal.Code != CodeInvalidRequest || refusal.Description != Printable(refusal.Description) || len(refusal.Description) > 120 {
				t.Errorf("refused with %+v", refusal)
			}
			return
		}
		other, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("net/url refuses what passed: %v", err)
		}
		if len(form) > MaxFormParameters {
			t.Errorf("%d parameters passed", len(form))
		}
		for _, parameter := range form {
			values := other[parameter.Name]
			if len(values) > 1 || len(values) == 1 && values[0] != parameter.Value || form.Get(parameter.Name) != parameter.Value {
				t.Errorf("%q is %q here and %q there", parameter.Name, parameter.Value, values)
			}
			if text := parameter.Name + parameter.Value; !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				t.Errorf("%q passed", text)
			}
		}
	})
}

// FuzzParseCompact: what passes is exactly what an encoder writes.
func FuzzParseCompact(f *testing.F) {
	for _, compact := range []string{"", "..", "a.b.c", "AA.AA.AA", "AB.AA.AA", "AAA.AAA.AAB", "e30.e30.e30", "e30.e30.e30.", "e30\n.e30.e30", "_w.e30.e30"} {
		f.Add(compact)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		if _, err := ParseCompact(compact); err != nil {
			return
		}
		for part := range strings.SplitSeq(compact, ".") {
			if !canonical(part) {
				t.Errorf("%q passed", compact)
			}
		}
	})
}

func canonical(part string) bool {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && base64.RawURLEncoding.EncodeToString(decoded) == part
}
