package mtls

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matching says how a registered subject is held against a certificate's. The
// zero value is strict.
type Matching string

const (
	// MatchStrict compares RDN by RDN, as RFC 4517 section 4.2.15 says.
	MatchStrict Matching = "strict"
	// MatchAnyOrder accepts the same RDNs in any order, for ecosystems whose
	// participants registered what different tools printed.
	MatchAnyOrder Matching = "any_order"
	// MatchBrazil is the rule of Open Finance Brasil: the registered string must be
	// in its spelling (see [ParseBrazilDN]), and since orders of RDNs older than the
	// present one stay good, any order matches.
	MatchBrazil Matching = "brazil"
)

// ordered reports whether the order of RDNs counts.
func (m Matching) ordered() bool { return m != MatchAnyOrder && m != MatchBrazil }

// Difference is the first place where two names differ.
type Difference struct {
	Index      int    // RDN number, 1 is the most specific, as in the string
	Registered string // that RDN with short names; empty if there is none
	Presented  string
}

// CompareNames returns nil if the names are equal by distinguishedNameMatch
// (RFC 4517 section 4.2.15): text ignoring case, outer spaces, the length of
// inner spaces and the ASN.1 string type; other values by their bytes; the
// attributes of an RDN as a set. The two mappings of RFC 4518 that make a
// character vanish or decompose are not applied, so that names which look the
// same but are encoded differently do not match.
func CompareNames(registered, presented Name, matching Matching) *Difference {
	return compareKeys(registered, presented, registered.keys(), presented.keys(), matching.ordered())
}

// compareKeys is CompareNames for names whose keys are at hand. It allocates
// only to describe a difference.
func compareKeys(registered, presented Name, r, p []string, ordered bool) *Difference {
	if slices.Equal(r, p) {
		return nil
	}
	if !ordered {
		return compareUnordered(registered, presented, r, p)
	}
	for i := 1; ; i++ {
		// The string counts from the end of the ASN.1 sequence.
		a, b := len(r)-i, len(p)-i
		if a >= 0 && b >= 0 && r[a] == p[b] {
			continue
		}
		difference := &Difference{Index: i, Registered: registered.at(a), Presented: presented.at(b)}
		difference.tellApart()
		return difference
	}
}

// tellApart writes letters beyond ASCII as RFC 4514 section 2.4 has them escaped, where
// they are what differs: a Cyrillic letter looks like a Latin one.
func (d *Difference) tellApart() {
	registered, presented := []rune(d.Registered), []rune(d.Presented)
	for i := range min(len(registered), len(presented)) {
		r, p := foldRune(registered[i]), foldRune(presented[i])
		switch {
		case r == p:
			continue
		case r > unicode.MaxASCII || p > unicode.MaxASCII:
			d.Registered, d.Presented = escapeBeyondASCII(d.Registered), escapeBeyondASCII(d.Presented)
		}
		return
	}
}

func escapeBeyondASCII(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if text[i] < utf8.RuneSelf {
			b.WriteByte(text[i])
		} else {
			fmt.Fprintf(&b, "\\%02X", text[i])
		}
	}
	return b.String()
}

func compareUnordered(registered, presented Name, r, p []string) *Difference {
	left := slices.Clone(p) // what of the presented name has no partner yet
	for i := len(r) - 1; i >= 0; i-- {
		j := slices.Index(left, r[i])
		if j < 0 {
			return &Difference{Index: len(r) - i, Registered: registered.at(i)}
		}
		left = slices.Delete(left, j, j+1)
	}
	if len(left) == 0 {
		return nil
	}
	extra := slices.Index(p, left[len(left)-1])
	return &Difference{Index: len(p) - extra, Presented: presented.at(extra)}
}

func (n Name) at(i int) string {
	if i < 0 || i >= len(n) {
		return ""
	}
	return n[i : i+1].shortNames(false)
}

// keys returns one string per RDN, such that two RDNs match if and only if
// their strings are equal.
func (n Name) keys() []string {
	keys := make([]string, len(n))
	for i, rdn := range n {
		parts := make([]string, len(rdn))
		for j, a := range rdn {
			parts[j] = a.key()
		}
		// NUL separates, because fold leaves none in a part.
		slices.Sort(parts)
		keys[i] = strings.Join(parts, "\x00")
	}
	return keys
}

func (a Attribute) key() string {
	if a.Text && !strings.ContainsRune(a.Value, 0) {
		return a.OID.String() + "=" + fold(a.Value)
	}
	return a.OID.String() + "#" + hex.EncodeToString(a.Raw.FullBytes)
}

// fold prepares text for caseIgnoreMatch (RFC 4517 section 4.2.11, RFC 4518
// sections 2.2 and 2.6.1): one spelling per letter, no space at the ends, one
// space between words.
func fold(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(foldRune(r))
	}
	return b.String()
}

// foldRune returns the smallest of the letters that differ from r in case only.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
