package admin

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Difference is the first place where what was presented differs from what was
// expected.
type Difference struct {
	Unit     string `json:"unit"`     // "RDN" or "character"
	Position int    `json:"position"` // counted from 1
	// Expected and Presented are the two RDNs or characters; empty when one of
	// the texts has ended.
	Expected  string `json:"expected"`
	Presented string `json:"presented"`

	// Where the difference is in the two texts of the check.
	expected, presented span
}

// span is a part of a text, in bytes.
type span struct{ from, to int }

// FirstDifference finds it for a failed check whose texts are values: two
// distinguished names, or two words. It is nil for texts that describe.
func FirstDifference(check oauth.Check) *Difference {
	if check.OK || check.Expected == check.Presented {
		return nil
	}
	if d := differenceOfNames(check.Expected, check.Presented); d != nil {
		return d
	}
	return differenceOfWords(check.Expected, check.Presented)
}

// differenceOfNames compares as authentication does, so that a difference in
// case or spacing, which does not matter, is not pointed at.
func differenceOfNames(expected, presented string) *Difference {
	a, err := mtls.ParseDN(expected)
	if err != nil {
		return nil
	}
	b, err := mtls.ParseDN(presented)
	if err != nil {
		return nil
	}
	d := mtls.CompareNames(a, b, mtls.MatchStrict)
	if d == nil {
		return nil
	}
	return &Difference{
		Unit: "RDN", Position: d.Index, Expected: d.Registered, Presented: d.Presented,
		expected: rdn(expected, d.Index), presented: rdn(presented, d.Index),
	}
}

// rdn finds the n-th RDN, counted from 1, in the string of a name: RDNs end at
// a comma that is neither escaped (RFC 4514) nor quoted (RFC 2253).
func rdn(name string, n int) span {
	from, quoted := 0, false
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '\\':
			i++
		case name[i] == '"':
			quoted = !quoted
		case name[i] == ',' && !quoted:
			if n--; n == 0 {
				return span{from, i}
			}
			from = i + 1
		}
	}
	if n > 1 {
		return span{len(name), len(name)}
	}
	return span{from, len(name)}
}

// differenceOfWords compares the values two texts consist of or end with.
func differenceOfWords(expected, presented string) *Difference {
	a, b := value(expected), value(presented)
	if a.from == a.to || b.from == b.to {
		return nil
	}
	left, right := expected[a.from:a.to], presented[b.from:b.to]
	at, runes := 0, 0
	for at < len(left) && at < len(right) {
		r, size := utf8.DecodeRuneInString(left[at:])
		if s, _ := utf8.DecodeRuneInString(right[at:]); s != r {
			break
		}
		at += size
		runes++
	}
	if at == 0 || left == right { // without a common start they are just other words
		return nil
	}
	first := func(text string) span {
		_, size := utf8.DecodeRuneInString(text[at:])
		return span{at, at + size}
	}
	l, r := first(left), first(right)
	return &Difference{
		Unit: "character", Position: runes + 1,
		Expected: left[l.from:l.to], Presented: right[r.from:r.to],
		expected: span{a.from + l.from, a.from + l.to}, presented: span{b.from + r.from, b.from + r.to},
	}
}

// shortestValue keeps ordinary last words ("a registered client") from being
// taken for values (a thumbprint, an address).
const shortestValue = 12

// value is the text itself if it is one word, or its last word if that is long.
func value(text string) span {
	at := strings.LastIndexByte(text, ' ')
	if at >= 0 && len(text)-at-1 < shortestValue {
		return span{}
	}
	return span{at + 1, len(text)}
}

// String says where the difference is, with code points for characters that
// look like others.
func (d *Difference) String() string {
	return d.Unit + " " + strconv.Itoa(d.Position) + ": expected " + d.quote(d.Expected) + ", presented " + d.quote(d.Presented)
}

func (d *Difference) quote(part string) string {
	if part == "" {
		return "nothing"
	}
	quoted := `"` + oauth.Visible(part) + `"`
	if r, size := utf8.DecodeRuneInString(part); d.Unit == "character" && size == len(part) && r > '~' {
		quoted += " (U+" + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + ")"
	}
	return quoted
}
