package users

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a record: far above what people have.
const (
	maxValues   = 100  // of a multi-valued attribute
	maxText     = 2048 // bytes of a text
	maxBinary   = 16 << 10
	maxUserName = 255 // bytes
	maxPassword = 256 // bytes
)

// check refuses a record that a login, a page or the bank could not use.
func (u *User) check() error {
	if err := Attributes.check(reflect.ValueOf(u).Elem(), ""); err != nil {
		return err
	}
	if err := checkUserName(u.UserName); err != nil {
		return err
	}
	if len(u.Password) > maxPassword {
		return InvalidValue("password", "is longer than %d bytes", maxPassword)
	}
	accounts := map[string]bool{}
	for _, account := range u.Accounts {
		if accounts[account.ID] {
			return InvalidValue("accounts", "has %s twice", quote(account.ID))
		}
		accounts[account.ID] = true
	}
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("encode user: %w", err)
	}
	if len(text) > maxRecord {
		return InvalidValue("the record", "is longer than %d bytes", maxRecord)
	}
	return nil
}

// checkUserName refuses names that look like another to whoever reads them.
func checkUserName(name string) error {
	switch {
	case len(name) > maxUserName:
		return InvalidValue("userName", "is longer than %d bytes", maxUserName)
	case strings.TrimSpace(name) != name:
		return InvalidValue("userName", "begins or ends with a space")
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) }):
		return InvalidValue("userName", "has a character in it that cannot be seen")
	}
	return nil
}

func (a *Attribute) check(v reflect.Value, path string) error {
	if !a.Multi {
		return a.checkOne(v, path)
	}
	if v.Len() > maxValues {
		return InvalidValue(path, "has %d values, more than %d", v.Len(), maxValues)
	}
	primary, primaries := a.Find("primary"), 0
	for i := range v.Len() {
		if err := a.checkOne(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
		if primary != nil && primary.In(v.Index(i)).Interface() == Yes {
			primaries++
		}
	}
	if primaries > 1 {
		return InvalidValue(path, "has %d primary values; one may be", primaries) // RFC 7643 section 2.4
	}
	return nil
}

func (a *Attribute) checkOne(v reflect.Value, path string) error {
	switch a.Kind {
	case Complex:
		for _, sub := range a.Sub {
			if err := sub.check(sub.In(v), join(path, sub.Name)); err != nil {
				return err
			}
		}
	case String, Reference, Binary64:
		return a.checkText(v.String(), path)
	}
	return nil
}

func (a *Attribute) checkText(text, path string) error {
	most := maxText
	if a.Kind == Binary64 {
		most = maxBinary
	}
	switch {
	case text == "" && a.Required:
		return InvalidValue(path, "is required")
	case len(text) > most:
		return InvalidValue(path, "is longer than %d bytes", most)
	case strings.ContainsRune(text, utf8.RuneError):
		// A lone surrogate (\ud800) becomes U+FFFD; two records must not become one.
		return InvalidValue(path, "holds U+FFFD or half of a surrogate pair")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !(a.Lines && (r == '\n' || r == '\r')) }):
		return InvalidValue(path, "has a control character in it")
	}
	switch a.Kind {
	case Reference:
		return checkReference(text, path)
	case Binary64:
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return InvalidValue(path, "is not base64")
		}
	}
	return nil
}

// checkReference takes what a page can link to without harm.
func checkReference(text, path string) error {
	address, err := url.Parse(text)
	if err != nil || address.Scheme != "" && address.Scheme != "http" && address.Scheme != "https" {
		return InvalidValue(path, "is not an http or https address")
	}
	return nil
}
