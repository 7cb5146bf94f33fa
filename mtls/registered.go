package mtls

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// The five client metadata members of RFC 8705 section 2.1.2. A client has
// exactly one of them.
const (
	KindSubjectDN = "tls_client_auth_subject_dn"
	KindSANDNS    = "tls_client_auth_san_dns"
	KindSANURI    = "tls_client_auth_san_uri"
	KindSANIP     = "tls_client_auth_san_ip"
	KindSANEmail  = "tls_client_auth_san_email"
)

// sanLabels name the GeneralName choices as RFC 5280 does.
var sanLabels = map[string]string{
	KindSANDNS:   "dNSName",
	KindSANURI:   "uniformResourceIdentifier",
	KindSANIP:    "iPAddress",
	KindSANEmail: "rfc822Name",
}

// Registered is the certificate name a client has registered, parsed.
type Registered struct {
	Kind  string // one of the five Kind constants
	Value string // as registered

	matching Matching
	name     Name
	keys     []string
	ip       netip.Addr
	local    string // of an email address
	host     string // DNS name, or domain of an email address
}

// ParseRegistered parses one of the five names. matching counts for a subject DN
// only. The error is fit for an invalid_client_metadata description.
func ParseRegistered(kind, value string, matching Matching) (*Registered, error) {
	r := &Registered{Kind: kind, Value: value, matching: matching}
	if err := r.parse(); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return r, nil
}

func (r *Registered) parse() (err error) {
	if len(r.Value) > maxDN {
		return fmt.Errorf("%d bytes, more than %d", len(r.Value), maxDN)
	}
	switch r.Kind {
	case KindSubjectDN:
		parse := ParseDN
		if r.matching == MatchBrazil {
			parse = ParseBrazilDN
		}
		r.name, err = parse(r.Value)
		r.keys = r.name.keys()
	case KindSANDNS:
		r.host = r.Value
		err = checkDNSName(r.host)
	case KindSANURI:
		err = checkURI(r.Value)
	case KindSANIP:
		r.ip, err = netip.ParseAddr(r.Value)
		if err != nil || r.ip.Zone() != "" {
			err = fmt.Errorf("%q is not an IP address", clip(r.Value))
		}
	case KindSANEmail:
		at := strings.LastIndexByte(r.Value, '@')
		if at <= 0 || !printableASCII(r.Value) {
			return fmt.Errorf("%q is not an email address", clip(r.Value))
		}
		r.local, r.host = r.Value[:at], r.Value[at+1:]
		err = checkDNSName(r.host)
	default:
		err = errors.New("not a certificate name of RFC 8705 section 2.1.2")
	}
	return err
}

// checkDNSName wants a host name in the preferred syntax of RFC 1034 section
// 3.5, as RFC 5280 section 4.2.1.6 does; underscores are let through because
// they occur. A wildcard would make one client of everybody in a domain.
func checkDNSName(s string) error {
	switch {
	case strings.Contains(s, "*"):
		return fmt.Errorf("%q: a wildcard is not a name", clip(s))
	case !printableASCII(s):
		return fmt.Errorf("%q: write the name in ASCII (xn-- form)", clip(s))
	case len(s) > 253:
		return errors.New("a DNS name has at most 253 characters")
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return fmt.Errorf("%q is an IP address; register it as %s", s, KindSANIP)
	}
	for label := range strings.SplitSeq(s, ".") {
		odd := strings.ContainsFunc(label, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
		})
		if odd || label == "" || len(label) > 63 {
			return fmt.Errorf("%q is not a DNS name", clip(s))
		}
	}
	return nil
}

func checkURI(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || !printableASCII(s) {
		return fmt.Errorf("%q is not an absolute URI", clip(s))
	}
	return nil
}

func printableASCII(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= utf8.RuneSelf-1 })
}

// Match compares the registered name with the names of that one type in the
// leaf: never another type, never the CN for a DNS name, never a wildcard
// (RFC 8705 section 2.1.2). The chain is [Trust.Verify]'s business. Without a
// certificate (p is nil) the finding says so.
func (r *Registered) Match(p *Presented) Finding {
	f := Finding{Check: r.Kind, Expected: r.Value}
	switch {
	case p == nil:
		f.Presented = "no certificate"
		f.Advice = "Connect to the mTLS address with the client's certificate and key."
		return f
	case r.Kind == KindSubjectDN:
		return r.matchSubject(p, f)
	}
	if presented, ok := r.find(&p.names); ok {
		f.Presented, f.OK = presented, true
		return f
	}
	f.Presented = p.names.describe(r.Kind)
	f.Advice = fmt.Sprintf("Use a certificate whose subject alternative name of type %s is exactly the registered value, or register the value it has.", sanLabels[r.Kind])
	return f
}

// Names reports whether the registered name is this subject or one of these
// alternative names: a certificate with them would be the client's.
func (r *Registered) Names(subject Name, dns, uri, email []string, ip []netip.Addr) bool {
	if r.Kind == KindSubjectDN {
		return CompareNames(r.name, subject, r.matching) == nil
	}
	_, named := r.find(&altNames{dns: dns, uri: uri, email: email, ip: ip})
	return named
}

func (r *Registered) matchSubject(p *Presented, f Finding) Finding {
	f.Presented = p.subjectText
	difference := compareKeys(r.name, p.subject, r.keys, p.subjectKeys, r.matching.ordered())
	if difference == nil {
		f.OK = true
		return f
	}
	f.Advice = fmt.Sprintf("RDN %d differs: registered %q, presented %q. To use this certificate, register %q.",
		difference.Index, difference.Registered, difference.Presented, p.subjectText)
	if r.matching.ordered() && compareKeys(r.name, p.subject, r.keys, p.subjectKeys, false) == nil {
		f.Advice = "The RDNs are the same but in another order; the string starts with the last RDN of the certificate. " + f.Advice
	}
	return f
}

// find returns the name of the registered type that is equal, as spelled in
// the certificate. Hosts are equal ignoring ASCII case and the local part of an
// email address is exact (RFC 5280 sections 7.2 and 7.5); an IP address is
// compared as its bytes, so an IPv4-mapped one is not the IPv4 one; a URI is
// compared character by character.
func (r *Registered) find(names *altNames) (string, bool) {
	switch r.Kind {
	case KindSANDNS:
		for _, name := range names.dns {
			if equalASCII(name, r.host) {
				return name, true
			}
		}
	case KindSANURI:
		if slices.Contains(names.uri, r.Value) {
			return r.Value, true
		}
	case KindSANIP:
		if slices.Contains(names.ip, r.ip) {
			return r.Value, true
		}
	case KindSANEmail:
		for _, name := range names.email {
			at := strings.LastIndexByte(name, '@')
			if at >= 0 && name[:at] == r.local && equalASCII(name[at+1:], r.host) {
				return name, true
			}
		}
	}
	return "", false
}

// equalASCII compares ignoring the case of ASCII letters only:
// strings.EqualFold would take the Kelvin sign for a k.
func equalASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
