package registration

import (
	"strconv"
	"strings"
)

// Limits of one registration. They are far above what real clients send.
const (
	maxListLength  = 100  // entries of one array member
	maxTextBytes   = 2048 // bytes of one string, and of one entry of an array
	maxIDBytes     = 255  // client_id
	maxSecretBytes = 512  // client_secret; longer ones are refused before hashing
	maxShownBytes  = 80   // of a foreign value quoted in an error
)

// clip cuts a foreign value to what an error may show of it.
func clip(text string) string {
	if len(text) <= maxShownBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxShownBytes], "") + "..."
}

// quote shows a foreign value in an error: clipped, escaped, in quotes.
func quote(text string) string { return strconv.Quote(clip(text)) }

// list shows values the reader may choose from.
func list(values []string) string {
	if len(values) == 0 {
		return "(none)"
	}
	const most = 20
	if len(values) > most {
		return strings.Join(values[:most], ", ") + ", ..."
	}
	return strings.Join(values, ", ")
}

// visible reports whether text is VSCHAR (%x20-7E, RFC 6749 appendix A) only.
func visible(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
