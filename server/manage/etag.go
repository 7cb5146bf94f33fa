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
	if err := c.matches(before); err != nil {
		return err
	}
	const name = "If-None-Match"
	if _, named, err := c.named(name, before); err != nil || !named {
		return err
	}
	return c.doesNotHold(name, before)
}

// matches holds a request against If-Match.
func (c *call) matches(version string) error {
	const name = "If-Match"
	if given, named, err := c.named(name, version); err != nil || named || !given {
		return err
	}
	return c.doesNotHold(name, version)
}

// removable holds the end of a thing against the preconditions. Of one that is not
// there they say nothing: it is not found, whatever they are (section 13.2.1).
func (c *call) removable(version string) error {
	if version == "" {
		return nil
	}
	return c.preconditions(version)
}

// named reports whether a precondition is given, and whether it names the version.
func (c *call) named(precondition, version string) (given, named bool, err error) {
	headers := c.Header[precondition]
	if len(headers) == 0 {
		return false, false, nil
	}
	named, err = names(strings.Join(headers, ","), version, precondition == "If-None-Match")
	return true, named, err
}

func (c *call) doesNotHold(precondition, version string) error {
	c.Event.Fail(precondition, strings.Join(c.Header[precondition], ", "), version, "read it again, and repeat the request if it is still meant")
	return oauth.PreconditionFailed("%s does not hold: it was changed, or it is not there, or it is there already", precondition)
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
