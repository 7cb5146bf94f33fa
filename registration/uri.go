package registration

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// webURI checks a URI a client registers: https, absolute, nothing in it that
// two readers could understand differently.
func webURI(value string) error {
	u, err := absoluteURI(value)
	if err != nil {
		return err
	}
	if u.Scheme != "https" {
		return fmt.Errorf("%s must begin with https://", quote(value))
	}
	return nil
}

// redirectURI is webURI, except that http is allowed to the loopback interface
// for native apps (RFC 8252 section 7.3).
func redirectURI(value string) error {
	u, err := absoluteURI(value)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s must begin with https:// (http:// is for 127.0.0.1, [::1] and localhost only, RFC 8252 section 7.3)", quote(value))
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && !addr.Is4In6()
}

func absoluteURI(value string) (*url.URL, error) {
	shown := quote(value)
	for i := range len(value) {
		if c := value[i]; c <= 0x20 || c > 0x7e || c == '\\' {
			return nil, fmt.Errorf("%s holds a character that does not belong in a URI; percent-encode it", shown)
		}
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("%s is not an absolute URI with a host", shown)
	}
	authority, _, _ := strings.Cut(strings.TrimPrefix(value[len(u.Scheme):], "://"), "/")
	switch {
	// An empty fragment or user is dropped by the parser, so look at the text.
	case strings.Contains(value, "#"):
		return nil, fmt.Errorf("%s must not have a fragment", shown)
	case u.User != nil || strings.Contains(authority, "@"):
		return nil, fmt.Errorf("%s must not have user information", shown)
	case strings.Contains(value, "*"):
		return nil, fmt.Errorf("%s must not have a wildcard; register each URI", shown)
	}
	if err := checkHost(u); err != nil {
		return nil, fmt.Errorf("%s %w", shown, err)
	}
	return u, nil
}

// checkHost refuses spellings of an address that some resolvers understand and
// others do not: decimal, octal, hexadecimal and shortened IPv4, zones.
func checkHost(u *url.URL) error {
	host := u.Hostname()
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return errors.New("has a port that is not 1 to 65535")
		}
	}
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return errors.New("has no plain IPv6 address in its brackets")
		}
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return errors.New("has no valid host name")
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errors.New("has a host that is a number; write the name, or the address as four decimals")
	}
	return nil
}
