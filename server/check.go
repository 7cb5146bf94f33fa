package server

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
)

// check collects what is wrong with a configuration that is filled in.
type check struct {
	config   *Config
	problems Problems
}

func (k *check) refuse(path, format string, args ...any) {
	origin := k.config.origins.of(path)
	k.problems = append(k.problems, Problem{Origin: origin, Path: path, Text: fmt.Sprintf(format, args...)})
}

// section checks what the tags of the fields say: required keys, choices,
// lengths of time, and that no list names a thing twice.
func (k *check) section(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		member, at := reflect.Indirect(v.Field(f.index)), join(path, f.key)
		if !member.IsValid() {
			continue
		}
		if f.required && member.IsZero() {
			k.refuse(at, "is missing")
			continue
		}
		switch kindOf(member.Type()) {
		case kindSection:
			k.section(at, member)
		case kindNamed:
			k.named(at, member)
		case kindList:
			k.list(at, f, member)
		case kindText:
			k.text(at, f, member)
		}
	}
}

// names of realms and policies become part of paths, tables and variables.
var names = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func (k *check) named(path string, v reflect.Value) {
	if kindOf(v.Type().Elem()) != kindSection {
		return // texts by a name: whose they are knows which names there are
	}
	for _, key := range v.MapKeys() {
		at := join(path, key.String())
		if !names.MatchString(key.String()) {
			k.refuse(at, "a name is 1 to 64 of a-z, 0-9 and -")
		}
		k.section(at, reflect.Indirect(v.MapIndex(key)))
	}
}

func (k *check) list(path string, f field, v reflect.Value) {
	seen := map[string]bool{}
	for i := range v.Len() {
		at := fmt.Sprintf("%s[%d]", path, i)
		text := textOf(v.Index(i))
		if seen[text] {
			k.refuse(at, "%q is listed twice", text)
		}
		seen[text] = true
		k.text(at, f, v.Index(i))
	}
}

func (k *check) text(path string, f field, v reflect.Value) {
	if v.IsZero() {
		return
	}
	if length, ok := v.Interface().(Duration); ok && (length < f.from || length > f.to) {
		k.refuse(path, "%s is not from %s to %s", length, f.from, f.to)
	}
	set, limited := choices[f.choices]
	if !limited {
		return
	}
	words, hint := set.words, ""
	if set.own != nil {
		words = slices.Sorted(slices.Values(append(set.own(k.config), words...)))
		hint = " (or " + set.elsewhere + ")"
	}
	if !slices.Contains(words, v.String()) {
		k.refuse(path, "no %s %q; there are %s%s", set.noun, v.String(), strings.Join(words, ", "), hint)
	}
}

// listeners checks the doors, and that no two stand in the same place.
func (k *check) listeners() {
	type door struct {
		path     string
		listener Listener
		schemes  []string
	}
	doors := []door{
		{"listeners.standard", k.config.Listeners.Standard, []string{"https"}},
		{"listeners.mtls", k.config.Listeners.MTLS, []string{"https"}},
		{"listeners.admin", k.config.Listeners.Admin, []string{"http", "https"}},
	}
	if directory := k.config.Listeners.Directory; directory != nil {
		doors = append(doors, door{"listeners.directory", *directory, []string{"https"}})
	}
	for i, door := range doors {
		host, port, ok := k.address(door.path+".address", door.listener.Address)
		if !ok {
			continue
		}
		if i == 2 && !loopback(host) {
			k.refuse(door.path+".address", "%s can be reached from other machines; the operator's listener is for this one alone, such as localhost:9000", door.listener.Address)
			continue
		}
		k.listenerURL(door.path, door.listener, door.schemes)
		for _, other := range doors[:i] {
			otherHost, otherPort, err := net.SplitHostPort(other.listener.Address)
			if err == nil && port == otherPort && sameHost(host, otherHost) {
				k.refuse(door.path+".address", "port %s is that of %s, too", port, other.path)
			}
			if door.listener.URL != "" && door.listener.URL == other.listener.URL {
				k.refuse(door.path+".url", "is that of %s, too; what is asked of each is another", other.path)
			}
		}
	}
}

func (k *check) address(path, address string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		k.refuse(path, "%q is not host:port, such as localhost:8443", address)
		return "", "", false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		k.refuse(path, "%q is not a port from 1 to 65535", port)
		return "", "", false
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostName.MatchString(host) {
		k.refuse(path, "%q is not a host name or an address", host)
		return "", "", false
	}
	return host, port, true
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// loopback reports whether only this machine can reach the host.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// sameHost reports whether two listeners on one port would be in each other's
// way: only two different addresses are not.
func sameHost(a, b string) bool {
	ipA, errA := netip.ParseAddr(a)
	ipB, errB := netip.ParseAddr(b)
	different := errA == nil && errB == nil && ipA.Unmap() != ipB.Unmap()
	return !different || unspecified(a) || unspecified(b)
}

func (k *check) listenerURL(path string, l Listener, schemes []string) {
	at := path + ".url"
	if l.URL == "" {
		k.refuse(at, "is needed: the address %s does not say how clients reach it", l.Address)
		return
	}
	u, ok := k.url(at, l.URL, schemes)
	if ok && l.URL != origin(u) {
		k.refuse(at, "%q should be scheme, host and port alone: %s", l.URL, origin(u))
	}
}

// url parses a URL that has no part beyond its path.
func (k *check) url(path, text string, schemes []string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
		k.refuse(path, "%q is not an %s URL", text, strings.Join(schemes, " or "))
		return nil, false
	}
	if u.User != nil || strings.ContainsAny(text, "?#") {
		k.refuse(path, "%q has a user, query or fragment", text)
		return nil, false
	}
	return u, true
}

// maxSkew is what FAPI 2 Security Profile section 5.3.2.1 leaves.
const maxSkew = Duration(time.Minute)

// policy checks one of the user's own. The built-in policies that bind every
// token are FAPI's, and what is built on them may only be narrower: a name like
// fapi2-bank must not stand for less than FAPI.
func (k *check) policy(name string, own Policy) {
	at := join("policies", name)
	if _, taken := policies[name]; taken {
		k.refuse(at, "is the name of a built-in policy; choose another")
		return
	}
	base, known := policies[own.Base]
	if !known {
		return
	}
	if row, _ := k.config.Policy(name); row.AccessTokenLifetime > row.MaxAccessTokenLifetime {
		k.refuse(at+".access_token_lifetime", "%s is longer than max_access_token_lifetime, %s",
			Duration(row.AccessTokenLifetime), Duration(row.MaxAccessTokenLifetime))
	}
	if row, _ := k.config.Policy(name); row.RefreshTokenLifetime > row.MaxRefreshTokenLifetime {
		k.refuse(at+".refresh_token_lifetime", "%s is longer than max_refresh_token_lifetime, %s",
			Duration(row.RefreshTokenLifetime), Duration(row.MaxRefreshTokenLifetime))
	}
	if !base.SenderConstrained {
		return
	}
	wider := func(key, text string) {
		k.refuse(join(at, key), "%s %s; a policy built on it can only narrow it (start from sandbox or oauth2 for free choice)", own.Base, text)
	}
	for key, lists := range map[string][2][]string{
		"token_endpoint_auth_methods":      {own.AuthMethods, base.AuthMethods},
		"token_endpoint_auth_signing_algs": {own.AssertionAlgs, base.AssertionAlgs},
		"access_token_signing_algs":        {own.TokenAlgs, base.TokenAlgs},
		"dpop_signing_algs":                {own.DPoPAlgs, base.DPoPAlgs},
	} {
		for i, word := range lists[0] {
			if !slices.Contains(lists[1], word) {
				wider(fmt.Sprintf("%s[%d]", key, i), "has no "+word)
			}
		}
	}
	if own.AssertionAudience == oauth.AudienceEndpoints && base.AssertionAudience == oauth.AudienceIssuer {
		wider("client_assertion_audience", "takes the issuer alone")
	}
	if own.SenderConstrained != nil && !*own.SenderConstrained {
		wider("sender_constrained_access_tokens", "binds every token")
	}
	if own.HTTPSRedirects != nil && !*own.HTTPSRedirects {
		wider("https_redirect_uris", "wants https")
	}
	if own.RefreshRotation != nil && *own.RefreshRotation {
		wider("refresh_rotation", "keeps a refresh token good")
	}
	if own.RefreshForClientCredentials != nil && *own.RefreshForClientCredentials {
		wider("refresh_for_client_credentials", "gives none")
	}
	if own.ClockSkew > maxSkew {
		wider("clock_skew", "allows at most "+maxSkew.String())
	}
}
