package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Well-known suffixes: OpenID Connect Discovery section 4 appends its own to
// the issuer, RFC 8414 section 3.1 inserts its own before the issuer's path.
const (
	openIDSuffix = "/.well-known/openid-configuration"
	oauthSuffix  = "/.well-known/oauth-authorization-server"
)

// target is the server a URL names.
type target struct {
	issuer string // without a slash at the end
	path   string // of the issuer, empty or starting with a slash
	base   string // https://host
	host   *host
}

// parseTarget accepts what testers have at hand: the issuer, either well-known
// URL, or a host with or without port.
func parseTarget(raw string) (target, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return target{}, errors.New("no URL; give the issuer, for example https://localhost:8443")
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("URL: %w", err)
	}
	switch {
	case u.Scheme != "https":
		return target{}, fmt.Errorf("URL %q: only https can be examined", raw)
	case u.Hostname() == "":
		return target{}, fmt.Errorf("URL %q names no host", raw)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return target{}, fmt.Errorf("URL %q: an issuer has no user, query or fragment (RFC 8414 section 2)", raw)
	}
	t := target{base: "https://" + u.Host, host: hostOf(u)}
	t.path = strings.TrimRight(issuerPath(u.EscapedPath()), "/")
	t.issuer = t.base + t.path
	return t, nil
}

// issuerPath takes a well-known suffix out of a path, at either place.
func issuerPath(path string) string {
	for _, suffix := range []string{openIDSuffix, oauthSuffix} {
		if rest, ok := strings.CutPrefix(path, suffix); ok && (rest == "" || rest[0] == '/') {
			return rest
		}
		if rest, ok := strings.CutSuffix(path, suffix); ok {
			return rest
		}
	}
	return path
}

func (t target) openIDURL() string { return t.issuer + openIDSuffix }
func (t target) oauthURL() string  { return t.base + oauthSuffix + t.path }

// host is one TLS endpoint and everything seen there.
type host struct {
	addr string // host:port to connect to
	name string // name the certificate must carry
	visit

	browser bool   // people's browsers come here: the issuer's host
	mtls    bool   // clients present their certificate here
	token   string // URL of the token endpoint if clients use it here
}

func hostOf(u *url.URL) *host {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return &host{addr: net.JoinHostPort(u.Hostname(), port), name: u.Hostname()}
}
