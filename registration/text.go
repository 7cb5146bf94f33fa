package registration

import "github.com/fapid/fapid/oauth"

// Limits of one registration. They are far above what real clients send.
const (
	maxListLength  = 100  // entries of one array member
	maxTextBytes   = 2048 // bytes of one string, and of one entry of an array
	maxIDBytes     = 255  // client_id
	maxSecretBytes = 512  // client_secret; longer ones are refused before hashing
)

// quote shows a foreign value in an error: clipped, escaped, in quotes.
func quote(text string) string { return oauth.Quote(text) }

// list shows values the reader may choose from.
func list(values []string) string { return oauth.List(values) }

// visible reports whether text is VSCHAR (%x20-7E, RFC 6749 appendix A) only.
func visible(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
