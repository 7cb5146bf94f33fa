package server

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/directory"
)

// Complete fills in what was left out and checks everything, files included; it
// may be called again after a change. The error is [Problems], all of them,
// each with the place its value came from.
func (c *Config) Complete() error {
	c.fill()
	k := &check{config: c}
	k.listeners()
	k.section("", reflect.ValueOf(c).Elem())
	k.serverTLS()
	k.proxy("proxy", c.Proxy)
	k.proxy("gateways", c.Gateways)
	for _, name := range sortedKeys(c.Policies) {
		k.policy(name, c.Policies[name])
	}
	for _, name := range sortedKeys(c.Layouts) {
		k.layout(name, c.Layouts[name])
	}
	k.realms()
	k.paths()
	k.directory()
	return k.problems.err()
}

func (c *Config) fill() {
	if c.Dir == "" {
		c.Dir = DefaultDir
	}
	// Absolute, so that what is printed means the same wherever it is read. The
	// error is that of a working directory that is gone; opening Dir will say so.
	if dir, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = dir
	}
	c.Listeners.Standard.fill("https", "localhost:8443")
	c.Listeners.MTLS.fill("https", "localhost:8444")
	if c.Listeners.Directory != nil {
		c.Listeners.Directory.fill("https", "localhost:8445")
		if c.Directory == nil {
			c.Directory = &Directory{}
		}
		preset(&c.Directory.Ecosystem, registration.Dialects()[0])
		preset(&c.Directory.StatementAlg, directory.StatementAlgs[0])
	}
	c.Listeners.Admin.fill("http", "localhost:9000")
	c.Proxy.fill()
	c.Gateways.fill()
	if len(c.Realms) == 0 {
		c.Realms = map[string]*Realm{"default": nil}
	}
	for name, realm := range c.Realms {
		if realm == nil {
			realm = new(Realm)
			c.Realms[name] = realm
		}
		realm.fill(name, c)
	}
	preset(&c.Log.Level, "info")
}

func preset[T comparable](at *T, value T) {
	var none T
	if *at == none {
		*at = value
	}
}

func (l *Listener) fill(scheme, address string) {
	preset(&l.Address, address)
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil || unspecified(host) {
		return
	}
	// Browsers leave the port of the scheme out, and hosts are compared as texts.
	if port == defaultPort(scheme) {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	} else {
		host = net.JoinHostPort(host, port)
	}
	preset(&l.URL, scheme+"://"+strings.ToLower(host))
}

// unspecified reports whether a host means every address of the machine.
func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

func (p *Proxy) fill() {
	if p == nil {
		return
	}
	preset(&p.Format, mtls.FormatRFC9440)
	switch p.Format {
	case mtls.FormatRFC9440:
		preset(&p.Header, "Client-Cert")
		preset(&p.ChainHeader, "Client-Cert-Chain")
	case mtls.FormatPEMEscaped:
		preset(&p.Header, "X-SSL-Client-Cert")
	case mtls.FormatXFCC:
		preset(&p.Header, "X-Forwarded-Client-Cert")
	}
}

func (r *Realm) fill(name string, c *Config) {
	if name == "default" {
		preset(&r.Layout, "default")
	}
	preset(&r.Layout, "realm")
	layout, _ := c.layout(r.Layout) // an unknown one is refused, with its place
	if c.Listeners.Standard.URL != "" {
		preset(&r.Issuer, c.Listeners.Standard.URL+first(layout.Paths("issuer", name)))
	}
	if c.Listeners.MTLS.URL != "" {
		preset(&r.Audience, c.Listeners.MTLS.URL+first(layout.Paths("bank", name)))
	}
	preset(&r.Policy, "fapi2")
	preset(&r.Subject, "{client_id}")
	if r.Management != nil && len(r.Management.Policies) == 0 {
		r.Management.Policies = []string{r.Policy}
	}
	if len(r.Scopes) == 0 {
		r.Scopes = []string{"openid", "accounts", "payments", directory.Scope}
	}
	if r.Registration != nil {
		r.Registration.fill(r, c)
	}
}

// managementAudience is the identifier of a realm's management API: its address at
// the standard listener; empty where it is not served.
func (c *Config) managementAudience(name string) string {
	realm := c.Realms[name]
	if realm.Management == nil {
		return ""
	}
	layout, _ := c.layout(realm.Layout)
	return c.Listeners.Standard.URL + first(layout.Paths("management_endpoint", name))
}

// first is the first of some texts, or none.
func first(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

// Policy returns a security profile by name, built-in or of one's own, as a
// value that the caller may keep.
func (c *Config) Policy(name string) (*oauth.Policy, bool) {
	own := c.Policies[name]
	row, ok := policies[name]
	if !ok {
		row, ok = policies[own.Base]
	}
	if !ok {
		return nil, false
	}
	row.Name = name
	replaceList(&row.AuthMethods, own.AuthMethods)
	replaceList(&row.AssertionAlgs, own.AssertionAlgs)
	replaceList(&row.TokenAlgs, own.TokenAlgs)
	replaceList(&row.DPoPAlgs, own.DPoPAlgs)
	replaceList(&row.GrantTypes, own.GrantTypes)
	replace(&row.AssertionAudience, own.AssertionAudience)
	replace(&row.DNMatching, string(own.DNMatching))
	replace(&row.AssertionLifetime, own.AssertionLifetime.std())
	replace(&row.ClockSkew, own.ClockSkew.std())
	replace(&row.AccessTokenLifetime, own.AccessTokenLifetime.std())
	replace(&row.MaxAccessTokenLifetime, own.MaxAccessTokenLifetime.std())
	replace(&row.RefreshTokenLifetime, own.RefreshTokenLifetime.std())
	replace(&row.MaxRefreshTokenLifetime, own.MaxRefreshTokenLifetime.std())
	for _, choice := range []struct {
		at    *bool
		value *bool
	}{
		{&row.HTTPSRedirects, own.HTTPSRedirects},
		{&row.SenderConstrained, own.SenderConstrained},
		{&row.DPoPNonce, own.DPoPNonce},
		{&row.RefreshRotation, own.RefreshRotation},
		{&row.RefreshForClientCredentials, own.RefreshForClientCredentials},
		{&row.RefreshWithRenewedCertificate, own.RefreshWithRenewedCertificate},
	} {
		if choice.value != nil {
			*choice.at = *choice.value
		}
	}
	return &row, true
}

// LogLevel is log.level, info for a level that Complete refuses.
func (c *Config) LogLevel() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // leaves info
	return level
}

func replace[T comparable](at *T, value T) {
	var none T
	if value != none {
		*at = value
	}
}

// replaceList copies, because the built-in rows are shared.
func replaceList(at *[]string, values []string) {
	if len(values) == 0 {
		values = *at
	}
	*at = slices.Clone(values)
}

// origin returns a URL's scheme, host and port as they are compared: in lower
// case and without the port of the scheme.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if n, err := strconv.Atoi(u.Port()); err == nil && strconv.Itoa(n) == defaultPort(u.Scheme) {
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}
