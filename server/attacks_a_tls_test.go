package server_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

func TestAttackA10(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	key := newKey(t)
	selfSigned := func(key crypto.Signer, from time.Time) *x509.Certificate {
		name, err := certs.NewName(certs.Attribute{Type: "CN", Value: "self"})
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := certs.SelfSigned(certs.Subject{Name: name}, key, from, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	stranger := newKey(t)
	own, sameKey, sameName := selfSigned(key, time.Now()), selfSigned(key, time.Now()), selfSigned(stranger, time.Now())
	expired := selfSigned(key, time.Now().Add(-2*time.Hour))
	set := func(chains ...[]*x509.Certificate) string {
		var set jose.JSONWebKeySet
		for i, chain := range chains {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: chain[0].PublicKey, KeyID: fmt.Sprint(i), Certificates: chain})
		}
		return encode(t, set)
	}
	p := publishing(t, s, set([]*x509.Certificate{own}, []*x509.Certificate{expired}))
	method := func(m *registration.Metadata) { m.TokenEndpointAuthMethod = oauth.AuthSelfSignedTLS }
	s.TPP("inline", method, func(m *registration.Metadata) { m.JWKS = []byte(set([]*x509.Certificate{own})) })
	s.TPP("remote", method, func(m *registration.Metadata) { m.JWKS, m.JWKSURI = nil, p.URL })
	chained := s.TPP("chained")
	for _, id := range []string{"inline", "remote"} {
		askAll(t, s, holder(t, s, key, own), s.MTLS, id, 200, "")
		for name, client := range map[string]*http.Client{
			"same key":    holder(t, s, key, sameKey),
			"same name":   holder(t, s, stranger, sameName),
			"expired":     holder(t, s, key, expired),
			"from the CA": chained.HTTP, "none": holder(t, s, nil),
			"own behind another": holder(t, s, key, sameKey, own),
		} {
			t.Run(id+" "+name, func(t *testing.T) { askAll(t, s, client, s.MTLS, id, 401, "invalid_client") })
		}
	}
	askAll(t, s, holder(t, s, key, own), s.Issuer, "inline", 401, "invalid_client")
	// A self-signed certificate is nothing to a client that registered a name.
	askAll(t, s, holder(t, s, key, own), s.MTLS, "chained", 401, "invalid_client")

	p.publish(set([]*x509.Certificate{sameKey}))
	s.Clock.Move(61 * time.Second)
	askAll(t, s, holder(t, s, key, own), s.MTLS, "remote", 401, "invalid_client")
	askAll(t, s, holder(t, s, key, sameKey), s.MTLS, "remote", 200, "")
}

func TestAttackA11(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)))
	victim := s.TPP("victim")
	key := newKey(t)
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	leaf := root.leaf(t, key, nil)
	for name, chain := range map[string][]*x509.Certificate{
		"appended": {leaf[0], victim.Transport[0]}, "chain appended": {leaf[0], victim.Transport[0], victim.Transport[1]},
		"root between": {leaf[0], root.certificate, victim.Transport[0]},
	} {
		t.Run(name, func(t *testing.T) {
			client := holder(t, s, key, chain...)
			askAll(t, s, client, s.MTLS, "victim", 401, "invalid_client")
			answer := post(t, s, client, s.MTLS+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"leaf"}})
			token, _ := answer.JSON["access_token"].(string)
			if got := claims(t, token)["cnf"].(map[string]any)["x5t#S256"]; got != mtls.Thumbprint(leaf[0]) {
				t.Errorf("the token is bound to %v, not to the leaf", got)
			}
		})
	}
	// In front of one's own key the handshake fails: it proves the first.
	if _, err := holder(t, s, key, victim.Transport[0], leaf[0]).Get(s.MTLS + "/jwks"); err == nil {
		t.Error("the victim's certificate passed with another key")
	}
}

func TestAttackA12(t *testing.T) {
	t.Parallel()
	// RFC 9440 section 4 lets a header from an untrusted peer be dropped or
	// refused; it is refused, so that nobody believes it was taken.
	plain := servertest.Start(t)
	proxied := servertest.Start(t, func(c *server.Config) {
		c.Proxy = &server.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	})
	behind := servertest.Start(t, func(c *server.Config) { c.Proxy = &server.Proxy{Trusted: server.Loopback} })
	for _, s := range []*servertest.Server{plain, proxied, behind} {
		tpp := s.TPP("tpp")
		der := tpp.Transport[0].Raw
		structured := ":" + base64.StdEncoding.EncodeToString(der) + ":"
		text := string(certs.CertificatePEM(tpp.Transport[0]))
		send := func(listener string, header http.Header) servertest.Answer {
			header["Content-Type"] = servertest.Form["Content-Type"]
			return exchange(t, s, holder(t, s, nil), http.MethodPost, listener+"/token", header, "grant_type=client_credentials&client_id=tpp")
		}
		if s != behind {
			for _, listener := range []string{s.Issuer, s.MTLS} {
				for name, value := range map[string]string{
					"Client-Cert": structured, "Client-Cert-Chain": structured, "X-SSL-Client-Cert": url.QueryEscape(text),
					"X-Forwarded-Client-Cert": "Cert=" + url.QueryEscape(text), "SSL_CLIENT_CERT": url.QueryEscape(text),
					"Ssl-Client-Cert": structured, "X-Client-Cert": structured, "client_cert": structured, "CLIENT-CERT": "",
				} {
					wantAnswer(t, send(listener, http.Header{name: {value}}), http.StatusBadRequest, "invalid_request")
				}
			}
			continue
		}
		wantAnswer(t, send(s.MTLS, http.Header{"Client-Cert": {structured}}), 200, "")
		wantAnswer(t, send(s.MTLS, http.Header{}), http.StatusUnauthorized, "invalid_client")
		for name, header := range map[string]http.Header{
			"twice": {"Client-Cert": {structured, structured}}, "in two spellings": {"Client-Cert": {structured}, "client_cert": {structured}},
			"not a byte sequence": {"Client-Cert": {base64.StdEncoding.EncodeToString(der)}}, "PEM": {"Client-Cert": {url.QueryEscape(text)}},
			"cut": {"Client-Cert": {structured[:100] + ":"}}, "list": {"Client-Cert": {structured + ", " + structured}},
			"empty": {"Client-Cert": {""}}, "large": {"Client-Cert": {":" + strings.Repeat("A", 20<<10) + ":"}}, "chain alone": {"Client-Cert-Chain": {structured}},
		} {
			t.Run(name, func(t *testing.T) { wantAnswer(t, send(s.MTLS, header), http.StatusBadRequest, "invalid_request") })
		}
		// The standard listener knows no proxy.
		wantAnswer(t, send(s.Issuer, http.Header{"Client-Cert": {structured}}), http.StatusBadRequest, "invalid_request")
	}
	// A13: trusting everybody does not start.
	for _, prefix := range []string{"0.0.0.0/0", "::/0"} {
		config := server.Config{Dir: t.TempDir(), Proxy: &server.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix(prefix)}}}
		if err := config.Complete(); err == nil {
			t.Errorf("a configuration that trusts %s is accepted", prefix)
		}
	}
}

func TestAttackA14(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) {
		c.TLS.Hosts = []string{"mtls.localhost", "other.localhost"}
	})
	tpp := s.TPP("tpp")
	for _, listener := range []string{s.Issuer, s.MTLS} {
		_, port, _ := strings.Cut(strings.TrimPrefix(listener, "https://"), ":")
		for _, row := range []struct {
			sni, host string
			status    int
		}{
			{"localhost", "mtls.localhost", 421}, {"mtls.localhost", "localhost", 421}, {"localhost", "localhost.evil.example", 421},
			{"localhost", "127.0.0.1", 421}, {"localhost", "", 421}, {"localhost", "LOCALHOST", 200}, {"localhost", "localhost.", 200}, {"mtls.localhost", "mtls.localhost", 200},
			// Go sends no server name where that is an address.
			{"127.0.0.1", "127.0.0.1", 200}, {"127.0.0.1", "localhost", 200}, {"127.0.0.1", "mtls.localhost", 421},
		} {
			for _, http2 := range []bool{false, true} {
				client := dialer(t, s, func(c *tls.Config) {
					c.ServerName, c.Certificates = row.sni, tpp.HTTP.Transport.(*http.Transport).TLSClientConfig.Certificates
				})
				client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
				header := http.Header{"Content-Type": servertest.Form["Content-Type"], "Host": {row.host + ":" + port}}
				answer := exchange(t, s, client, http.MethodPost, listener+"/token/introspection", header, "token=x&client_id=tpp")
				switch {
				case row.status == 421:
					wantAnswer(t, answer, 421, "misdirected_request")
				case answer.Status == 421:
					t.Errorf("SNI %s, host %s: %s", row.sni, row.host, answer)
				}
			}
		}
	}
}

func TestAttackA15A17(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a, b := s.TPP("a"), s.TPP("b")
	certificate := func(tpp *servertest.TPP) []tls.Certificate {
		if tpp == nil {
			return nil
		}
		return tpp.HTTP.Transport.(*http.Transport).TLSClientConfig.Certificates
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(10)
		// One cache for all, as an attacker with A's tickets would have it.
		for _, step := range []struct {
			listener string
			who      *servertest.TPP
			client   string
			status   int
		}{
			{s.MTLS, a, "a", 200}, {s.MTLS, a, "a", 200}, {s.MTLS, b, "a", 401}, {s.MTLS, nil, "a", 401}, {s.Issuer, nil, "a", 401},
			{s.MTLS, nil, "a", 401}, {s.MTLS, b, "b", 200},
		} {
			resumed := false
			client := dialer(t, s, func(c *tls.Config) {
				c.ClientSessionCache, c.MaxVersion, c.Certificates = cache, version, certificate(step.who)
				c.VerifyConnection = func(state tls.ConnectionState) error { resumed = state.DidResume; return nil }
			})
			askAll(t, s, client, step.listener, step.client, step.status, map[int]string{401: "invalid_client"}[step.status])
			if resumed && step.listener == s.MTLS {
				t.Error("a session was resumed on the mTLS listener")
			}
		}
	}
	address := strings.TrimPrefix(s.MTLS, "https://")
	refused := func(name string, change func(*tls.Config)) {
		for _, address := range []string{address, strings.TrimPrefix(s.Issuer, "https://")} {
			config := &tls.Config{RootCAs: s.Roots(), ServerName: "localhost"}
			change(config)
			if conn, err := tls.Dial("tcp", address, config); err == nil {
				_ = conn.Close()
				t.Errorf("%s: a connection with %s", name, tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
			}
		}
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		refused(tls.VersionName(version), func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
	}
	fapi := map[uint16]bool{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: true}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if fapi[suite.ID] || suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		refused(suite.Name, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS12, tls.VersionTLS12, []uint16{suite.ID}
		})
	}
}

func TestAttackA16(t *testing.T) {
	t.Parallel()
	root, other := newPKI(t, "root"), newPKI(t, "other")
	for name, text := range map[string][]byte{
		"missing": nil, "empty": {}, "garbage": []byte("garbage"), "a key": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"half": root.pem()[:100], "no certificate inside": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"a leaf": certs.CertificatePEM(root.leaf(t, newKey(t), nil)[0]),
	} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if text != nil {
			writeFile(t, path, text)
		}
		if err := servertest.Refused(t, func(c *server.Config) {
			c.Realms["default"].Trust = server.Trust{CAs: []string{path}}
		}); err == nil {
			t.Errorf("a server starts with a CA file that is %s", name)
		}
	}
	path := root.file(t)
	s := servertest.Start(t, trusting(path))
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	key := newKey(t)
	trusted := func(p *pki, status int) bool {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"leaf"}}
		return post(t, s, holder(t, s, key, p.leaf(t, key, nil)...), s.MTLS+"/token", form).Status == status
	}
	const alarm = "not taken up"
	for i, text := range [][]byte{[]byte("garbage"), {}, nil} {
		if text == nil {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else {
			writeFile(t, path, text)
		}
		eventually(t, "an alarm", func() bool { return s.Log.Count(alarm) == i+1 })
		if !trusted(root, 200) || !trusted(other, 401) {
			t.Error("a bad CA file changed who is trusted")
		}
	}
	// A good file is taken up, and the CA it leaves out is out.
	other.key, other.certificate = testkeys.P256(2), issue(t, caTemplate("new"), caTemplate("new"), testkeys.P256(2), testkeys.P256(2))
	writeFile(t, path, other.pem())
	eventually(t, "the new CA", func() bool { return trusted(other, 200) })
	if !trusted(root, 401) {
		t.Error("a CA that was removed is trusted")
	}
	// Also one that comes with the time of the file it replaces, or that is written
	// within the same tick of the clock.
	state, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range [][]byte{root.pem(), append(other.pem(), '\n')} {
		written := path
		if i == 0 {
			written += ".new"
		}
		writeFile(t, written, text)
		if err := os.Chtimes(written, state.ModTime(), state.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(written, path); err != nil {
			t.Fatal(err)
		}
		now, before := []*pki{root, other}[i], []*pki{other, root}[i]
		eventually(t, "the CA in the place of another", func() bool { return trusted(now, 200) && trusted(before, 401) })
	}
}

// eventually waits for what the server does in the background.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(servertest.Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func TestAttackA18(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a, b := s.TPP("a"), s.TPP("b")
	token := a.Token()
	wantAnswer(t, callBank(t, s, a.HTTP, s.MTLS, token), 200, "")
	for name, call := range map[string]func() servertest.Answer{
		"another certificate": func() servertest.Answer { return callBank(t, s, b.HTTP, s.MTLS, token) },
		"no certificate":      func() servertest.Answer { return callBank(t, s, holder(t, s, nil), s.MTLS, token) },
		"standard listener":   func() servertest.Answer { return callBank(t, s, a.HTTP, s.Issuer, token) },
		"renewed certificate": func() servertest.Answer { a.Renew(); return callBank(t, s, a.HTTP, s.MTLS, token) },
		"operator": func() servertest.Answer {
			return s.Do(http.DefaultClient, http.MethodPut, s.Admin+"/realms/default/clients/a", http.Header{"Authorization": {"Bearer " + token}}, "{}")
		},
	} {
		if answer := call(); answer.Status != 401 || answer.Error() != "invalid_token" {
			t.Errorf("%s: %s", name, answer)
		}
	}
	// The token's own client is told of it only where it holds the certificate.
	signed := s.TPP("jwt", servertest.JWT, func(m *registration.Metadata) { m.CertificateBoundTokens = true })
	bound := signed.Token()
	introspect := func(client *http.Client, listener string) string {
		form := withAssertion(url.Values{"token": {bound}}, claiming()(t, signed))
		return post(t, s, client, listener+"/token/introspection", form).Body
	}
	if body := introspect(signed.HTTP, s.MTLS); !strings.HasPrefix(body, `{"active":true`) {
		t.Errorf("with the certificate: %s", body)
	}
	for name, body := range map[string]string{
		"another certificate": introspect(b.HTTP, s.MTLS), "no certificate": introspect(holder(t, s, nil), s.MTLS), "standard listener": introspect(signed.HTTP, s.Issuer),
	} {
		if body != `{"active":false}` {
			t.Errorf("%s: %s", name, body)
		}
	}
}

// TestStrictRealmHidesClients: where nothing is explained on the wire, a stranger
// cannot tell whether a client exists, whatever is presented for it. The trace can.
func TestStrictRealmHidesClients(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	key := newKey(t)
	template := newPKI(t, "template").leaf(t, key, nil)[0]
	own := issue(t, template, template, key, key)
	known := map[string]*servertest.TPP{
		"tls": s.TPPIn("strict", "tls"),
		"self-signed": s.TPPIn("strict", "self-signed", func(m *registration.Metadata) {
			m.TokenEndpointAuthMethod = oauth.AuthSelfSignedTLS
			m.JWKS = []byte(encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "a", Certificates: []*x509.Certificate{own}}}}))
		}),
		"jwt": s.TPPIn("strict", "jwt", func(m *registration.Metadata) {
			m.TokenEndpointAuthMethod, m.TokenEndpointAuthSigningAlg = oauth.AuthPrivateKeyJWT, "ES256"
		}),
	}
	holders := map[string]*http.Client{
		"none": holder(t, s, nil), "a client of the other realm": s.TPP("other").HTTP, "a stranger's": holder(t, s, key, newPKI(t, "unknown").leaf(t, key, nil)...),
		"a serverAuth certificate": holder(t, s, key, newPKI(t, "servers").leaf(t, key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })...),
	}
	ask := func(client *http.Client, listener, id string) servertest.Answer {
		return post(t, s, client, listener+"/realms/strict/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}})
	}
	for what, client := range holders {
		for _, listener := range []string{s.Issuer, s.MTLS} {
			unknown := ask(client, listener, "nobody")
			wantAnswer(t, unknown, 401, "invalid_client")
			for id := range known {
				if answer := ask(client, listener, id); answer.Status != unknown.Status || answer.Body != unknown.Body || answer.Header.Get("Www-Authenticate") != unknown.Header.Get("Www-Authenticate") {
					t.Errorf("%s with %s certificate: %s, of nobody %s", id, what, answer, unknown)
				}
			}
		}
	}
	refused := ask(holders["none"], s.MTLS, "tls")
	if event := s.Explain(refused); event.Reason != "a client certificate is required: no client certificate on this connection" {
		t.Errorf("the trace says %q", event.Reason)
	}
	wantAnswer(t, ask(known["tls"].HTTP, s.MTLS, "tls"), 200, "")
	// Whoever has signed with the client's key is the client, and may know what is wrong.
	assertion, err := known["jwt"].Assertion(s.Issuer+"/realms/strict", s.Clock.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	expired := post(t, s, holders["none"], s.Issuer+"/realms/strict/token", url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {participant.AssertionType}, "client_assertion": {assertion},
	})
	if wantAnswer(t, expired, 401, "invalid_client"); expired.JSON["error_description"] != "the client assertion has expired" {
		t.Errorf("an expired assertion: %s", expired)
	}
}
