package oauth

import (
	"slices"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                                  "plain",
		`a "b" c\d`:                              "a 'b' c/d",
		Quote(`emails[type eq "work"]`):          "'emails[type eq 'work']'",
		"tab\t, umlaut \u00e4, new line\n, \x7f": "tab?, umlaut ?, new line?, ?",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%s is printed as %s, want %s", text, got, want)
		}
	}
}

func TestAlike(t *testing.T) {
	names := []string{"/token", "/realms/b/token", "/realms/a/token", "/revoke", "https://api.example.com"}
	for text, want := range map[string]string{
		"/tokens": "/token", "/oauth/token": "/token", "/realms/c/token": "/realms/a/token", "/revocation": "/revoke",
		"https://api.example.com/": "https://api.example.com", "http://api.example.com": "https://api.example.com",
		"/": "", "": "", "x": "", "/token": "/token",
	} {
		if got := Alike(text, slices.Values(names)); got != want {
			t.Errorf("%q is like %q, want %q", text, got, want)
		}
	}
}
