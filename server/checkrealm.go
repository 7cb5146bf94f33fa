package server

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/manage"
)

func (k *check) realms() {
	issuers, alone := map[string]string{}, map[string]string{}
	for _, name := range sortedKeys(k.config.Realms) {
		realm, at := k.config.Realms[name], join("realms", name)
		if realm.Issuer != "" {
			k.issuer(at+".issuer", realm.Issuer)
			if other, taken := issuers[realm.Issuer]; taken {
				k.refuse(at+".issuer", "%s is the issuer of realm %s, too", realm.Issuer, other)
			}
			issuers[realm.Issuer] = name
		}
		// Paths without the realm's name in them can be one realm's only.
		if layout, ok := k.config.layout(realm.Layout); ok && single(layout) {
			if other, taken := alone[realm.Layout]; taken {
				k.refuse(at+".layout", "layout %q has room for one realm, which is %s", realm.Layout, other)
			}
			alone[realm.Layout] = name
		}
		if !strings.Contains(realm.Subject, "{client_id}") {
			k.refuse(at+".subject", "%q has no {client_id} in it: every client would be the same subject", realm.Subject)
		}
		k.scopes(at+".scopes", realm.Scopes)
		k.management(at+".management", realm)
		k.trust(at+".trust", realm.Trust)
		k.fetch(at+".jwks", realm.JWKS)
		if realm.Registration != nil {
			k.registration(at+".registration", realm)
		}
	}
}

// directory checks that the realm of the directory can have its clients.
func (k *check) directory() {
	if k.config.Listeners.Directory == nil {
		if k.config.Directory != nil {
			k.refuse("directory", "is served at listeners.directory, which is not set")
		}
		return
	}
	name := k.config.realmOrder()[0]
	realm, at := k.config.Realms[name], join("realms", name)
	if !slices.Contains(realm.Scopes, directory.Scope) {
		k.refuse(at+".scopes", "the directory of listeners.directory takes tokens of this realm with scope %s, which it does not offer", directory.Scope)
	}
	if !realm.Trust.SandboxCA {
		k.refuse(at+".trust", "the directory of listeners.directory issues certificates of the sandbox CA, which this realm does not trust; set sandbox_ca: true")
	}
}

// issuer checks RFC 8414 section 2, and that the issuer's documents can be served.
func (k *check) issuer(at, issuer string) {
	u, ok := k.url(at, issuer, []string{"https"})
	if !ok {
		return
	}
	standard := k.config.Listeners.Standard.URL
	switch {
	case strings.HasSuffix(issuer, "/"):
		k.refuse(at, "%q ends with a slash", issuer)
	case standard != "" && origin(u) != standard:
		k.refuse(at, "%q is not below %s, the URL of the standard listener, where its documents are served", issuer, standard)
	case u.Path != "" && path.Clean(u.Path) != u.Path, issuer != origin(u)+u.EscapedPath():
		k.refuse(at, "%q is not written plainly: lower case host, no default port, no empty or dotted segments", issuer)
	}
}

func (k *check) scopes(at string, scopes []string) {
	for i, scope := range scopes {
		if parsed, err := oauth.ParseScope(scope); err != nil || len(parsed) != 1 {
			k.refuse(fmt.Sprintf("%s[%d]", at, i), "%q is not a scope: printable ASCII without space, quote and backslash", scope)
		}
		if strings.HasPrefix(scope, manage.ScopePrefix) {
			k.refuse(fmt.Sprintf("%s[%d]", at, i), "%q is of the management API, whose scopes are offered where the realm has the key management", scope)
		}
	}
	if _, err := oauth.ParseScope(strings.Join(scopes, " ")); err != nil {
		k.refuse(at, "is more than one request could ask for")
	}
}

// management checks what callers of the management API may do.
func (k *check) management(at string, realm *Realm) {
	if realm.Management == nil {
		return
	}
	all := append([]string{realm.Policy}, realm.Policies...)
	for i, policy := range realm.Management.Policies {
		if !slices.Contains(all, policy) {
			k.refuse(fmt.Sprintf("%s.policies[%d]", at, i), "%q is not a policy of this realm, which has %s", policy, strings.Join(all, ", "))
		}
	}
	if realm.Management.Basic && !slices.ContainsFunc(all, func(name string) bool {
		policy, ok := k.config.Policy(name)
		return ok && policy.Allows(oauth.AuthSecretBasic)
	}) {
		k.refuse(at+".basic", "no policy of this realm has %s, so nobody could use it", oauth.AuthSecretBasic)
	}
}

func (k *check) trust(at string, trust Trust) {
	if !trust.SandboxCA && len(trust.CAs) == 0 {
		k.refuse(at, "names nobody, so every client certificate would be refused; set sandbox_ca: true or list cas")
	}
	if len(trust.CRLs) > 0 && len(trust.CAs) == 0 {
		k.refuse(at+".crls", "are of the CAs listed in cas, and there are none")
	}
	k.certificates(at+".cas", trust.CAs)
	for i, name := range trust.CRLs {
		k.file(fmt.Sprintf("%s.crls[%d]", at, i), name)
	}
}

// linkLocal is where clouds keep the credentials of their machines.
var linkLocal = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}

func (k *check) fetch(at string, fetch Fetch) {
	for i, prefix := range fetch.AllowPrivate {
		item := fmt.Sprintf("%s.allow_private[%d]", at, i)
		// fc00::/7 is the widest private block there is.
		k.prefix(item, prefix, 8, 7)
		for _, never := range linkLocal {
			if prefix.Overlaps(never) {
				k.refuse(item, "%s covers %s, where machines keep their credentials", prefix, never)
			}
		}
	}
	k.certificates(at+".cas", fetch.CAs)
}

// prefix refuses one that is wider than could be meant, or not what it seems.
func (k *check) prefix(at string, prefix netip.Prefix, bits4, bits6 int) {
	least := bits6
	if prefix.Addr().Is4() {
		least = bits4
	}
	switch {
	case prefix.Addr().Is4In6():
		k.refuse(at, "%s is compared with no address; write it as an IPv4 prefix", prefix)
	case prefix.Bits() < least:
		k.refuse(at, "%s is too wide; a prefix has at least /%d here", prefix, least)
	case prefix != prefix.Masked():
		k.refuse(at, "%s has bits beyond its length; write %s", prefix, prefix.Masked())
	}
}

// headerName is a token of RFC 9110 section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (k *check) proxy(at string, proxy *Proxy) {
	if proxy == nil {
		return
	}
	before := len(k.problems)
	for i, prefix := range proxy.Trusted {
		k.prefix(fmt.Sprintf("%s.trusted[%d]", at, i), prefix, 8, 16)
	}
	for _, header := range [][2]string{{at + ".header", proxy.Header}, {at + ".chain_header", proxy.ChainHeader}} {
		if header[1] != "" && !headerName.MatchString(header[1]) {
			k.refuse(header[0], "%q is not the name of a header", header[1])
		}
	}
	if !slices.Contains(choices["format"].words, proxy.Format) || len(proxy.Trusted) == 0 || len(k.problems) > before {
		return
	}
	if _, err := proxy.forwarding(); err != nil {
		k.refuse(at, "%s", err)
	}
}

// path makes a configured path absolute: relative ones start in Dir.
func (k *check) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(k.config.Dir, name)
}

// maxBundle bounds a file of certificates, keys or revocation lists.
const maxBundle = 64 << 20

// file returns the content of a file that must be there and hold something.
func (k *check) file(at, name string) ([]byte, bool) {
	content, err := readAtMost(k.path(name), maxBundle)
	switch {
	case err != nil:
		k.refuse(at, "%s %s", k.path(name), unreadable(err))
	case len(content) == 0:
		k.refuse(at, "%s is empty", k.path(name))
	}
	return content, err == nil && len(content) > 0
}

// certificates checks PEM files: a bundle that holds no certificate must not
// come to mean that nobody is trusted, or everybody.
func (k *check) certificates(at string, files []string) {
	for i, name := range files {
		item := fmt.Sprintf("%s[%d]", at, i)
		content, ok := k.file(item, name)
		if !ok {
			continue
		}
		if _, err := parseCertificates(content); err != nil {
			k.refuse(item, "%s: %s", k.path(name), err)
		}
	}
}

func (k *check) serverTLS() {
	files := k.config.TLS
	if files.RSA == nil && files.ECDSA == nil {
		return
	}
	if files.RSA == nil {
		k.refuse("tls.rsa", "is needed beside ecdsa: TLS 1.2 clients without ECDSA could not connect")
	}
	if len(files.Hosts) > 0 {
		k.refuse("tls.hosts", "are for certificates of the sandbox CA; those in files have their own names")
	}
	k.pair("tls.rsa", files.RSA, reflect.TypeFor[*rsa.PublicKey]())
	k.pair("tls.ecdsa", files.ECDSA, reflect.TypeFor[*ecdsa.PublicKey]())
}

// pair checks that a certificate and a key belong together and are of the type
// that the clients they are for can use.
func (k *check) pair(at string, pair *KeyPair, key reflect.Type) {
	if pair == nil || pair.Certificate == "" || pair.Key == "" {
		return
	}
	certificate, ok := k.file(at+".certificate", pair.Certificate)
	private, readable := k.file(at+".key", pair.Key)
	if !ok || !readable {
		return
	}
	loaded, err := tls.X509KeyPair(certificate, private)
	if err != nil {
		k.refuse(at, "%s", strings.TrimPrefix(err.Error(), "tls: "))
		return
	}
	if reflect.TypeOf(loaded.Leaf.PublicKey) != key {
		k.refuse(at+".certificate", "%s has a %s key", k.path(pair.Certificate), loaded.Leaf.PublicKeyAlgorithm)
	}
}
