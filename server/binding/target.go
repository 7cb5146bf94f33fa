package binding

import (
	"net/url"
	"strings"
)

// calls reports whether htu is the address the request went to, on either
// listener (RFC 9449 section 4.3, check 9). Those addresses are configured and
// advertised; no header of the request has a say in them. Query and fragment do
// not count; spellings that RFC 3986 sections 6.2.2 and 6.2.3 call equivalent do.
func (s *Sender) calls(htu string) bool {
	plain := withoutQuery(htu)
	for _, base := range s.Bases {
		if rest, ok := strings.CutPrefix(plain, base); ok && rest == s.Path && base != "" {
			return true
		}
	}
	named, ok := normalize(plain)
	if !ok {
		return false
	}
	for _, base := range s.Bases {
		if address, ok := normalize(base + s.Path); ok && address == named {
			return true
		}
	}
	return false
}

// addresses are those that htu may be, for people.
func (s *Sender) addresses() string {
	if s.Bases[1] == "" || s.Bases[1] == s.Bases[0] {
		return s.Bases[0] + s.Path
	}
	return s.Bases[0] + s.Path + " or " + s.Bases[1] + s.Path
}

// withoutQuery cuts a URL before its query and fragment.
func withoutQuery(address string) string {
	if end := strings.IndexAny(address, "?#"); end >= 0 {
		return address[:end]
	}
	return address
}

// defaultPorts are left out of a URL, or might as well be.
var defaultPorts = map[string]string{"https": "443", "http": "80"}

// normalize spells a URL without query and fragment in one way: scheme and host
// in lower case, without the scheme's port, what needs no escape unescaped, the
// other escapes in upper case, no dot segments, and a path of at least "/".
func normalize(address string) (string, bool) {
	plain, ok := plainEscapes(address)
	if !ok {
		return "", false
	}
	u, err := url.Parse(plain)
	if err != nil || u.Host == "" || u.User != nil || defaultPorts[u.Scheme] == "" {
		return "", false
	}
	if u.RawPath != "" && u.EscapedPath() != u.RawPath {
		return "", false // not a URI: net/url would escape it anew, and lose %2F
	}
	u = u.ResolveReference(u) // takes dot segments out and leaves empty ones in
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":")
	host = strings.TrimSuffix(host, ":"+defaultPorts[u.Scheme])
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + host + path, true
}

// plainEscapes unescapes the unreserved characters of RFC 3986 section 2.3 and
// writes the escapes that stay with upper case digits (section 2.1).
func plainEscapes(text string) (string, bool) {
	if strings.IndexByte(text, '%') < 0 {
		return text, true
	}
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			plain.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
			return "", false
		}
		c := fromHex(text[i+1])<<4 | fromHex(text[i+2])
		if unreserved(c) {
			plain.WriteByte(c)
		} else {
			plain.WriteString(strings.ToUpper(text[i : i+3]))
		}
		i += 2
	}
	return plain.String(), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func unreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}
