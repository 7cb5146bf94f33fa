package server

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/fapid/fapid/testkeys"
)

// Unsafe is what a configuration that is complete and valid still must not be
// served with, beyond the sandbox that `fapid dev` makes; call it after
// [Config.Complete]. Refused are:
//
//   - client secrets that nobody wrote down: a policy of one's own that takes
//     them over from its base without listing token_endpoint_auth_methods (a
//     realm that names the built-in oauth2 did write it down);
//   - a sandbox realm that other machines reach, unless the operator's listener
//     has a URL that they reach too: error_uri would lead them to themselves,
//     and tell about the inside for nothing;
//   - a clock that is off, outside a sandbox realm: what has expired would be
//     taken again;
//   - jwks_uri allowed into loopback while other machines reach the server: any
//     client could make it ask what listens on this machine only;
//   - a management API that takes tokens bound to nothing, or secrets, in a realm
//     whose policy binds every token: whoever has one manages the realm;
//   - a server certificate, a trusted CA or an issuer of software statements whose
//     private key is public.
//
// An operator's listener beyond loopback is refused by Complete already. The
// error is [Problems], all of them.
func (c *Config) Unsafe() error {
	k := &check{config: c}
	for _, name := range sortedKeys(c.Realms) {
		realm, at := c.Realms[name], join("realms", name)
		k.secrets(realm)
		if realm.Clock != 0 && !realm.Sandbox {
			k.refuse(at+".clock", "certificates and tokens that have expired would be taken again; only a realm with sandbox: true may have it")
		}
		k.openManagement(at+".management", realm)
		if !c.Listeners.local() {
			k.publicRealm(at, realm)
		}
		k.knownKeys(at+".trust.cas", realm.Trust.CAs...)
		if realm.Registration != nil {
			k.statementKeys(at+".registration", realm.Registration)
		}
	}
	if c.TLS.RSA != nil {
		k.knownKeys("tls.rsa.certificate", c.TLS.RSA.Certificate)
	}
	if c.TLS.ECDSA != nil {
		k.knownKeys("tls.ecdsa.certificate", c.TLS.ECDSA.Certificate)
	}
	return k.problems.err()
}

// local reports whether only this machine reaches the doors.
func (l *Listeners) local() bool {
	return l.Standard.local() && l.MTLS.local() && (l.Directory == nil || l.Directory.local())
}

// local reports whether only this machine reaches the listener, directly or
// through a proxy.
func (l Listener) local() bool {
	host, _, err := net.SplitHostPort(l.Address)
	u, malformed := url.Parse(l.URL)
	return err == nil && malformed == nil && loopback(host) && loopback(u.Hostname())
}

func (k *check) secrets(realm *Realm) {
	for _, name := range append([]string{realm.Policy}, realm.Policies...) {
		own, isOwn := k.config.Policies[name]
		if !isOwn || len(own.AuthMethods) > 0 {
			continue
		}
		var secrets []string
		for _, method := range policies[own.Base].AuthMethods {
			if strings.HasPrefix(method, "client_secret_") {
				secrets = append(secrets, method)
			}
		}
		if len(secrets) > 0 {
			k.refuse(join("policies", name), "takes %s from %s without saying so; list token_endpoint_auth_methods", strings.Join(secrets, ", "), own.Base)
		}
	}
}

// openManagement checks that the management API asks for no less than the realm.
func (k *check) openManagement(at string, realm *Realm) {
	policy, ok := k.config.Policy(realm.Policy)
	if realm.Management == nil || !ok || !policy.SenderConstrained {
		return
	}
	if realm.Management.UnboundTokens {
		k.refuse(at+".unbound_tokens", "policy %s of this realm binds every token, and whoever saw an unbound one could manage the realm; leave it out", realm.Policy)
	}
	if realm.Management.Basic {
		k.refuse(at+".basic", "policy %s of this realm binds every token, and whoever learned a secret could manage the realm; leave it out", realm.Policy)
	}
}

// publicRealm checks a realm that other machines reach.
func (k *check) publicRealm(at string, realm *Realm) {
	if realm.Sandbox && k.config.Listeners.Admin.local() {
		k.refuse(at+".sandbox", "other machines reach this realm, and error_uri would lead them to %s; leave it out, or set listeners.admin.url to what they reach", k.config.Listeners.Admin.URL)
	}
	for i, prefix := range realm.JWKS.AllowPrivate {
		for _, own := range Loopback {
			if prefix.Overlaps(own) {
				k.refuse(fmt.Sprintf("%s.jwks.allow_private[%d]", at, i), "%s is this machine, and other machines reach the server: their jwks_uri could ask what listens here only", prefix)
			}
		}
	}
}

// knownKeys reads files that Complete has checked; one that is gone since is
// found when the server opens it.
func (k *check) knownKeys(at string, files ...string) {
	certificates, _ := readCertificates(k.path, files)
	for _, certificate := range certificates {
		if testkeys.Known(certificate.PublicKey) {
			k.refuse(at, "the private key of %q is a public test key", certificate.Subject.CommonName)
		}
	}
}
