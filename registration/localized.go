package registration

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// memberLocalized is what the operator calls the members in other languages; software
// sends and is answered each by its own name.
const memberLocalized = "localized"

// languageTag has the form of BCP 47; which languages there are is not asked.
var languageTag = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,8}$`)

// localizable are the members that people read, and whether they are addresses (RFC
// 7591 section 2.2).
var localizable = map[string]bool{"client_name": false, "client_uri": true, "logo_uri": true, "policy_uri": true, "tos_uri": true}

// localized is the member that a name such as client_name#fr is a translation of.
func localized(name string) (member string, ok bool) {
	member, _, tagged := strings.Cut(name, "#")
	_, ok = localizable[member]
	return member, tagged && ok
}

func isLocalized(name string) bool {
	_, ok := localized(name)
	return ok
}

// sameTranslation reports whether two names are of one member in one language, whose tag
// is the same in another case (RFC 5646 section 2.1.1).
func sameTranslation(a, b string) bool {
	return strings.EqualFold(a, b) && isLocalized(a) && isLocalized(b)
}

// takeLocalized reads one translation.
func (j *judgement) takeLocalized(name string) error {
	var value string
	if err := oauth.DecodeString(j.members[name], &value); err != nil {
		return j.refuseMember(name, "a text", err.Error(), "correct its type", "%s", err)
	}
	if j.metadata.Localized == nil {
		j.metadata.Localized = map[string]string{}
	}
	j.metadata.Localized[name] = value
	return nil
}

// checkLocalized holds translations to what their members are held to.
func checkLocalized(c *Client) error {
	all := c.Metadata.Localized
	if len(all) > maxListLength {
		return invalid(memberLocalized, "has %d entries, more than %d", len(all), maxListLength)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		member, ok := localized(name)
		if _, tag, _ := strings.Cut(name, "#"); !ok || !languageTag.MatchString(tag) {
			return invalid(quote(name), "is no human-readable member with a language tag, such as client_name#fr (RFC 7591 section 2.2)")
		}
		value := all[name]
		if err := checkText(value); err != nil {
			return invalid(name, "%s", err.Error())
		}
		if value == "" {
			return invalid(name, "is empty")
		}
		if localizable[member] {
			if err := webURI(value); err != nil {
				return invalid(name, "%s", err.Error())
			}
		}
	}
	return nil
}

// dropLocalized takes out the translations of a member about which a statement has
// spoken, unless they are the statement's, too: they would say another thing to some
// of its readers.
func (j *judgement) dropLocalized(member string) {
	for _, name := range slices.Sorted(maps.Keys(j.metadata.Localized)) {
		if of, _ := localized(name); of == member && !j.stated(name) {
			j.event.Pass(name, "the statement's "+member, quote(j.metadata.Localized[name]))
			delete(j.metadata.Localized, name)
		}
	}
}
