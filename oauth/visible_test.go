package oauth

import "testing"

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "Müller & Söhne, 東京": "Müller & Söhne, 東京", "a\nb": `a\u000ab`,
		"\u202ex": `\u202ex`, "\x1b[0m": `\u001b[0m`, "\xff": `\xff`, "a\u200bb": `a\u200bb`, "\u2028": `\u2028`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
