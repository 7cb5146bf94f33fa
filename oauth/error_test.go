package oauth

import "testing"

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
