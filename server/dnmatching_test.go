package server_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// TestDNMatching presents certificates whose subjects are the registered one in
// other clothes, to clients of policies that look at them differently.
func TestDNMatching(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	s := servertest.Start(t, trusting(root.file(t)), func(c *server.Config) {
		c.Policies = map[string]server.Policy{
			"any":    {Base: "sandbox", DNMatching: mtls.MatchAnyOrder},
			"brazil": {Base: "sandbox", DNMatching: mtls.MatchBrazil},
		}
		c.Realms["default"].Policies = []string{"any", "brazil"}
	})
	const registered = "CN=web.example,UID=u1,2.5.4.97=#0c074f464242522d31,C=BR,2.5.4.5=#130131"
	for _, policy := range []string{"sandbox", "any", "brazil"} {
		s.TPP(policy, named("dn", registered), servertest.Under(policy))
	}
	key := newKey(t)
	for _, row := range []struct {
		name, subject       string
		strict, any, brazil int
	}{
		{"as registered", registered, 200, 200, 200},
		{"another order", "2.5.4.5=#130131,C=BR,UID=u1,2.5.4.97=#0c074f464242522d31,CN=web.example", 401, 200, 200},
		{"other string types", "CN=#130b7765622e6578616d706c65,UID=u1,2.5.4.97=#13074f464242522d31,C=BR,2.5.4.5=#0c0131", 200, 200, 200},
		{"another value", "CN=web.example,UID=u1,2.5.4.97=#0c074f464242522d32,C=BR,2.5.4.5=#130131", 401, 401, 401},
		{"one RDN more", "CN=web.example,UID=u1,2.5.4.97=#0c074f464242522d31,C=BR,2.5.4.5=#130131,ST=SP", 401, 401, 401},
	} {
		client := holder(t, s, key, root.leaf(t, key, subjectOf(t, row.subject))...)
		for policy, status := range map[string]int{"sandbox": row.strict, "any": row.any, "brazil": row.brazil} {
			t.Run(row.name+" "+policy, func(t *testing.T) {
				askAll(t, s, client, s.MTLS, policy, status, map[int]string{401: "invalid_client"}[status])
			})
		}
	}

	// Only the brazil policy minds how it is written.
	for _, policy := range []string{"sandbox", "any", "brazil"} {
		m := registration.Metadata{
			ClientID: "new", Policy: policy, TokenEndpointAuthMethod: oauth.AuthTLS, GrantTypes: []string{"client_credentials"},
			TLSClientAuthSubjectDN: "CN=web.example,UID=u1,organizationIdentifier=OFBBR-1,C=BR,serialNumber=1",
		}
		code, want := s.Refuses("default", m), ""
		if policy == "brazil" {
			want = "invalid_client_metadata"
		}
		if code != want {
			t.Errorf("%s: registration of short names: %q, want %q", policy, code, want)
		}
		if policy != "brazil" {
			continue
		}
		_, _, err := s.Clients("default").Put(t.Context(), m)
		if text := oauth.AsError(err).Description; !strings.Contains(text, registered) {
			t.Errorf("the refusal does not say how to write it: %s", text)
		}
	}
}

// subjectOf gives a certificate that subject.
func subjectOf(t *testing.T, dn string) func(*x509.Certificate) {
	t.Helper()
	name, err := mtls.ParseDN(dn)
	if err != nil {
		t.Fatal(err)
	}
	der, err := name.DER()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) { c.RawSubject = der }
}
