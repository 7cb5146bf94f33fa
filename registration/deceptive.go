package registration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/fapid/fapid/oauth"
)

// alike are letters and digits that look like others, in lower case. It is what
// names are forged with, not all there is in Unicode (UTS 39).
var alike = func() map[rune]string {
	pairs := map[string]string{
		// Cyrillic
		"а": "a", "в": "b", "е": "e", "ё": "e", "к": "k", "м": "m", "н": "h", "о": "o", "р": "p", "с": "c", "т": "t", "у": "y", "х": "x",
		"ѕ": "s", "і": "l", "ї": "l", "ј": "j", "һ": "h", "ԁ": "d", "ԛ": "q", "ԝ": "w", "ь": "b", "ӏ": "l", "г": "r", "п": "n",
		// Greek
		"α": "a", "β": "b", "ε": "e", "η": "n", "ι": "l", "κ": "k", "μ": "u", "ν": "v", "ο": "o", "ρ": "p", "σ": "o", "τ": "t", "υ": "u", "χ": "x", "γ": "y", "ω": "w",
		// Latin and digits
		"ı": "l", "i": "l", "1": "l", "|": "l", "!": "l", "0": "o", "ɑ": "a", "ɡ": "g", "ø": "o", "đ": "d", "ł": "l", "5": "s",
	}
	runes := make(map[rune]string, len(pairs))
	for from, to := range pairs {
		runes[[]rune(from)[0]] = to
	}
	return runes
}()

// look is what a name looks like to somebody who does not look closely: names that
// have it in common can be taken for each other. It is empty for a name of nothing
// but marks.
func look(name string) string {
	if name == "" {
		return ""
	}
	var out strings.Builder
	for _, c := range norm.NFKD.String(name) {
		c = unicode.ToLower(c)
		switch same, ok := alike[c]; {
		case ok:
			out.WriteString(same)
		case unicode.IsLetter(c) || unicode.IsDigit(c):
			out.WriteRune(c)
		}
	}
	return strings.NewReplacer("rn", "m", "vv", "w").Replace(out.String())
}

// scripts of the letters of names; Common is in all of them.
var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{
	{"Latin", unicode.Latin}, {"Cyrillic", unicode.Cyrillic}, {"Greek", unicode.Greek}, {"Arabic", unicode.Arabic}, {"Hebrew", unicode.Hebrew},
	{"Armenian", unicode.Armenian}, {"Cherokee", unicode.Cherokee}, {"Georgian", unicode.Georgian},
}

// deceptions say what about a name could deceive whoever reads it.
func deceptions(name string) (all []string) {
	if strings.ContainsFunc(name, oauth.Hidden) {
		all = append(all, "has characters that cannot be seen, or that turn around what stands beside them: "+oauth.Visible(name))
	}
	if strings.ContainsAny(name, "<>&\"'`{}$") {
		all = append(all, "has characters of markup or code")
	}
	var used []string
	for _, script := range scripts {
		if strings.ContainsFunc(name, func(c rune) bool { return unicode.Is(script.table, c) }) {
			used = append(used, script.name)
		}
	}
	if len(used) > 1 {
		all = append(all, "has letters of "+strings.Join(used, " and "))
	}
	return all
}

// Warnings are what an operator should know about a client that registered itself,
// empty for nothing: that its name could deceive those who are asked to trust it.
func (r *Registry) Warnings(client *Client) []string {
	m := &client.Metadata
	if m.RegisteredBy == "" {
		return nil
	}
	var warnings []string
	for _, deception := range deceptions(m.ClientName) {
		warnings = append(warnings, "client_name "+deception)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Localized)) {
		if of, _ := localized(name); of != "client_name" {
			continue
		}
		for _, deception := range deceptions(m.Localized[name]) {
			warnings = append(warnings, name+" "+deception)
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	others := slices.Clone(r.looks[look(m.ClientName)])
	of, vouched := m.software()
	others = slices.DeleteFunc(others, func(id string) bool {
		other := r.registeredAs(id)
		theirs, also := other.software()
		// Software has a client at its directory, which nobody but that registers.
		atDirectory := of.issuer == DirectoryIssuer && other.RegisteredBy == "" && other.SoftwareID == of.id
		return id == client.ID || vouched && (also && of == theirs || atDirectory)
	})
	const shown = 3
	slices.Sort(others)
	if more := len(others) - shown; more > 0 {
		others = append(others[:shown], fmt.Sprintf("%d more", more))
	}
	if len(others) > 0 {
		warnings = append(warnings, "client_name looks like that of "+strings.Join(others, ", "))
	}
	return warnings
}
