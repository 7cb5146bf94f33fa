package manage

import (
	"strings"

	"github.com/fapid/fapid/oauth"
)

// An entity tag is the version of a thing and the form that the answer has it in,
// because a strong one is of the bytes (RFC 9110 section 8.8.1). A precondition is
// about the version: what was read as YAML may be put back as JSON.

func entityTag(version, form string) string { return `"` + version + "." + form + `"` }

// preconditions holds a change against If-Match and If-None-Match (RFC 9110
// section 13.1); before is the version that is there, empty for none.
func (c *call) preconditions(before string) error {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		headers := c.Header[name]
		if len(headers) == 0 {
			continue
		}
		named, err := names(strings.Join(headers, ","), before, name == "If-None-Match")
		if err != nil {
			return err
		}
		if named == (name == "If-Match") {
			continue
		}
		c.Event.Fail(name, strings.Join(headers, ", "), before, "read it again, and repeat the change if it is still meant")
		return oauth.PreconditionFailed("%s does not hold: it was changed, or it is not there, or it is there already", name)
	}
	return nil
}

// names reports whether a list of entity tags, or *, names a version. Weak tags
// count where weak is true.
func names(list, version string, weak bool) (bool, error) {
	if strings.TrimSpace(list) == "*" {
		return version != "", nil
	}
	named := false
	for list = strings.TrimLeft(list, " \t,"); list != ""; {
		tag, isWeak := strings.CutPrefix(list, "W/")
		tag, opened := strings.CutPrefix(tag, `"`)
		tag, rest, closed := strings.Cut(tag, `"`)
		rest = strings.TrimLeft(rest, " \t")
		if !opened || !closed || rest != "" && rest[0] != ',' {
			return false, oauth.InvalidRequest("If-Match and If-None-Match are * or entity tags in quotes, with commas between")
		}
		of, _, _ := strings.Cut(tag, ".")
		named = named || of == version && version != "" && (weak || !isWeak)
		list = strings.TrimLeft(rest, " \t,")
	}
	return named, nil
}
