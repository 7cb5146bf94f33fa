package mtls

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDN bounds a DN string; the longest seen in an ecosystem is 600 bytes.
const maxDN = 4 << 10

// ParseDN parses the RFC 4514 string of a distinguished name, most specific
// RDN first, and returns it in certificate order. Beyond RFC 4514 it reads what
// tools print: the short names of OpenSSL in any case, the OID. prefix, quoted
// values (RFC 2253 section 4) and spaces around separators. The empty name is
// refused, because every certificate without a subject would match it.
func ParseDN(s string) (Name, error) { return parseDN(s, false) }

// ParseBrazilDN is ParseDN for the one spelling that Open Finance Brasil lets
// participants register, which is that of [Name.Brazil]: the nine descriptors of
// RFC 4514 section 3 by their names, every other type as a bare OID with the hex
// of the encoded value. The error says how the string should have been written.
func ParseBrazilDN(s string) (Name, error) {
	name, err := parseDN(s, true)
	if err == nil {
		return name, nil
	}
	if meant, otherwise := ParseDN(s); otherwise == nil {
		err = fmt.Errorf("%w; expected %q", err, meant.Brazil())
	}
	return nil, err
}

func parseDN(s string, brazil bool) (Name, error) {
	switch {
	case len(s) > maxDN:
		return nil, fmt.Errorf("DN is %d bytes, more than %d", len(s), maxDN)
	case strings.Trim(s, " ") == "":
		return nil, errors.New("DN is empty")
	case strings.HasPrefix(strings.TrimLeft(s, " "), "/"):
		return nil, slashForm(strings.Trim(s, " "))
	}
	p := dnParser{rest: s, brazil: brazil}
	name := Name{}
	for {
		rdn, more, err := p.rdn()
		if err != nil {
			return nil, fmt.Errorf("DN, RDN %d: %w", len(name)+1, err)
		}
		name = append(name, rdn)
		if !more {
			slices.Reverse(name)
			return name, nil
		}
	}
}

// dnParser consumes a DN string from the left.
type dnParser struct {
	rest   string
	brazil bool // takes the spelling of Open Finance Brasil only
}

func (p *dnParser) skipSpaces() { p.rest = strings.TrimLeft(p.rest, " ") }

// rdn parses one RDN and its separator; more says that another must follow.
func (p *dnParser) rdn() (rdn RDN, more bool, err error) {
	for {
		attribute, err := p.attribute()
		if err != nil {
			return nil, false, err
		}
		rdn = append(rdn, attribute)
		if p.rest == "" {
			return rdn, false, nil
		}
		separator := p.rest[0]
		p.rest = p.rest[1:]
		if separator == ',' {
			return rdn, true, nil
		}
	}
}

// attribute parses type=value up to a ',' or '+', which it leaves in place.
func (p *dnParser) attribute() (Attribute, error) {
	p.skipSpaces()
	typ, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		return Attribute{}, fmt.Errorf("no \"=\" in %q", clip(p.rest))
	}
	typ = strings.TrimRight(typ, " ")
	oid, tag, err := parseType(typ)
	if err != nil {
		return Attribute{}, err
	}
	p.rest = rest
	p.skipSpaces()
	hexed := strings.HasPrefix(p.rest, "#")
	if p.brazil {
		if err := checkBrazil(typ, oid.String(), hexed); err != nil {
			return Attribute{}, err
		}
	}
	if hexed {
		return p.hexValue(oid)
	}
	value, err := p.textValue()
	if err != nil {
		return Attribute{}, fmt.Errorf("value of %s: %w", clip(typ), err)
	}
	return textAttribute(oid, tag, value)
}

// checkBrazil refuses what Open Finance Brasil has registrations refused for: a
// name outside the nine, one of the nine by another name, a prefix, or a value as
// text where its encoding belongs.
func checkBrazil(typ, oid string, hexed bool) error {
	t, known := typesByOID[oid]
	switch {
	case known && t.descriptor != "":
		if !strings.EqualFold(typ, t.descriptor) {
			return fmt.Errorf("Open Finance Brasil registers %s as %s", clip(typ), t.descriptor)
		}
	case typ != oid || !hexed:
		return fmt.Errorf("Open Finance Brasil registers %s as %s=# and the hex of its encoded value", clip(typ), oid)
	}
	return nil
}

// textAttribute gives text the string type its attribute has in certificates,
// or UTF8String if it does not fit that.
func textAttribute(oid asn1.ObjectIdentifier, tag int, value string) (Attribute, error) {
	switch {
	case !utf8.ValidString(value):
		return Attribute{}, errors.New("not valid UTF-8")
	case strings.ContainsRune(value, 0):
		return Attribute{}, errors.New("value contains NUL")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }) {
		tag = asn1.TagUTF8String
	}
	raw := asn1.RawValue{Class: asn1.ClassUniversal, Tag: tag, Bytes: []byte(value)}
	full, err := asn1.Marshal(raw)
	if err != nil {
		return Attribute{}, err
	}
	raw.FullBytes = full
	return Attribute{OID: oid, Raw: raw, Value: value, Text: true}, nil
}

// hexValue parses #hex, the BER encoding of a value (RFC 4514 section 2.4).
func (p *dnParser) hexValue(oid asn1.ObjectIdentifier) (Attribute, error) {
	end := strings.IndexAny(p.rest, ",+")
	if end < 0 {
		end = len(p.rest)
	}
	digits := strings.TrimRight(p.rest[1:end], " ")
	p.rest = p.rest[end:]
	der, err := hex.DecodeString(digits)
	if err != nil {
		return Attribute{}, fmt.Errorf("#%s: not hexadecimal", clip(digits))
	}
	a := Attribute{OID: oid}
	rest, err := asn1.Unmarshal(der, &a.Raw)
	if err != nil || len(rest) > 0 {
		return Attribute{}, fmt.Errorf("#%s: not one encoded ASN.1 value", clip(digits))
	}
	a.Value, a.Text = text(a.Raw)
	if a.Text && strings.ContainsRune(a.Value, 0) {
		return Attribute{}, errors.New("value contains NUL")
	}
	return a, nil
}

// textValue parses a quoted or plain value and the spaces after it.
func (p *dnParser) textValue() (string, error) {
	quoted := strings.HasPrefix(p.rest, `"`)
	if quoted {
		p.rest = p.rest[1:]
	}
	var value []byte
	keep := 0 // value[:keep] ends in a character that trimming must not take
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '\\':
			b, err := p.escape()
			if err != nil {
				return "", err
			}
			value = append(value, b)
			keep = len(value)
			continue
		case quoted && c == '"':
			p.rest = p.rest[1:]
			p.skipSpaces()
			if p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
				return "", fmt.Errorf("%q after the closing quote", clip(p.rest))
			}
			return string(value), nil
		case !quoted && (c == ',' || c == '+'):
			return string(value[:keep]), nil
		case !quoted && strings.IndexByte(`";<>`, c) >= 0:
			return "", fmt.Errorf(`%q must be written as \%c`, c, c)
		}
		value = append(value, c)
		if c != ' ' {
			keep = len(value)
		}
		p.rest = p.rest[1:]
	}
	if quoted {
		return "", errors.New("no closing quote")
	}
	return string(value[:keep]), nil
}

// escape parses a backslash and one special character or two hex digits.
func (p *dnParser) escape() (byte, error) {
	if len(p.rest) >= 2 && strings.IndexByte(` "#+,;<=>\`, p.rest[1]) >= 0 {
		b := p.rest[1]
		p.rest = p.rest[2:]
		return b, nil
	}
	if len(p.rest) >= 3 {
		if b, err := hex.DecodeString(p.rest[1:3]); err == nil {
			p.rest = p.rest[3:]
			return b[0], nil
		}
	}
	return 0, fmt.Errorf("bad escape %q", clip(p.rest))
}

// parseType returns the OID of a short name or dotted OID, and the string type
// its text values have.
func parseType(s string) (asn1.ObjectIdentifier, int, error) {
	if t, ok := typesByName[strings.ToLower(s)]; ok {
		oid, err := ParseOID(t.oid)
		return oid, t.tag, err
	}
	dotted := s
	if len(s) > 4 && strings.EqualFold(s[:4], "OID.") {
		dotted = s[4:]
	}
	if dotted == "" || dotted[0] < '0' || dotted[0] > '9' {
		return nil, 0, fmt.Errorf("unknown attribute type %q; write its dotted OID", clip(s))
	}
	oid, err := ParseOID(dotted)
	if err != nil {
		return nil, 0, err
	}
	if t, ok := typesByOID[dotted]; ok {
		return oid, t.tag, nil
	}
	return oid, asn1.TagUTF8String, nil
}

// ParseOID reads a dotted object identifier.
func ParseOID(s string) (asn1.ObjectIdentifier, error) {
	bad := fmt.Errorf("%q is not an object identifier", clip(s))
	parts := strings.Split(s, ".")
	oid := make(asn1.ObjectIdentifier, len(parts))
	for i, part := range parts {
		arc, err := strconv.ParseUint(part, 10, 31)
		if err != nil || (len(part) > 1 && part[0] == '0') {
			return nil, bad
		}
		oid[i] = int(arc)
	}
	// X.660: the first arc is 0, 1 or 2, and under 0 and 1 the second is < 40.
	// Under 2 the two share one base-128 number.
	if len(oid) < 2 || oid[0] > 2 || (oid[0] < 2 && oid[1] >= 40) || oid[1] > math.MaxInt32-80 {
		return nil, bad
	}
	return oid, nil
}

// slashForm is the error for the form that `openssl x509 -subject -nameopt
// compat` prints, with the same name as it should have been written.
func slashForm(s string) error {
	err := errors.New("DN is in the OpenSSL slash form; RFC 4514 has commas and the most specific RDN first")
	var name Name
	for part := range strings.SplitSeq(s[1:], "/") {
		typ, value, ok := strings.Cut(part, "=")
		if !ok {
			return err // a slash inside a value: where it ends is a guess
		}
		oid, tag, typeErr := parseType(typ)
		if typeErr != nil {
			return err
		}
		a, valueErr := textAttribute(oid, tag, value)
		if valueErr != nil {
			return err
		}
		name = append(name, RDN{a})
	}
	return fmt.Errorf("%w: expected %q", err, name.ShortNames())
}

// clip keeps foreign text in error messages short.
func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "..."
}
