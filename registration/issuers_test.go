package registration

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/testkeys"
)

// Every member there is is the software's to set, the operator's, or the registry's:
// whoever adds one to Metadata decides.
func TestMembers(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Members() {
		if _, known := memberFields[row.Name]; !known || seen[row.Name] || row.Rule == "" {
			t.Errorf("%+v is no member, is there twice or says nothing", row)
		}
		seen[row.Name] = true
	}
	for _, name := range memberNames {
		if !seen[name] {
			t.Errorf("nobody has decided who decides about %s", name)
		}
	}
	if decides("anything new") != OperatorDecides {
		t.Error("a member that nobody has decided about is not the operator's")
	}
}

// What a row says must be there to be said.
func TestEcosystems(t *testing.T) {
	for _, name := range Ecosystems() {
		e, ok := FindEcosystem(name)
		if !ok || e.About == "" {
			t.Errorf("%s: %v", name, ok)
		}
		dialect, ok := FindDialect(e.Dialect)
		if !ok {
			t.Fatalf("%s has no dialect", name)
		}
		for _, alg := range e.Statement.Algs {
			if !slices.Contains(dialect.Algs, alg) {
				t.Errorf("%s takes %s, in which its directory does not sign", name, alg)
			}
		}
		if e.Statement.From != FromCertificate && !e.Statement.Expires && e.Statement.MaxAge == 0 {
			t.Errorf("a statement of %s is good for ever", name)
		}
		if e.Statement.SingleUse && !e.Statement.ID || dialect.Unique != e.Statement.ID && name != "rfc7591" {
			t.Errorf("%s: jti %v, of its directory %v", name, e.Statement.ID, dialect.Unique)
		}
		for _, rule := range e.Members {
			if vouched[rule.Member] == nil {
				t.Errorf("%s: no statement speaks of %s", name, rule.Member)
			}
			if _, known := memberFields[rule.Member]; !known {
				t.Errorf("%s: %s is no member", name, rule.Member)
			}
		}
		for _, member := range e.Aliases {
			if decides(member) != ClientDecides {
				t.Errorf("%s: %s is nobody's to set", name, member)
			}
		}
		if e.Signs() != (len(e.Request.Algs) > 0) || e.Signs() != (e.Request.Audience != "") {
			t.Errorf("%s: %+v", name, e.Request)
		}
		for _, holder := range e.Holders {
			for _, line := range holder {
				if line.fact == nil || line.Claim == "" || line.Attribute == "" {
					t.Errorf("%s: %+v", name, line)
				}
			}
		}
	}
	if _, ok := FindEcosystem("atlantis"); ok {
		t.Error("an ecosystem of nowhere")
	}
}

func trustedBy(t *testing.T, name string, change func(*TrustedIssuer)) *TrustedIssuer {
	t.Helper()
	e, _ := FindEcosystem(name)
	keys, err := InlineKeys(jwktest.Set(t, jwktest.Key(t, testkeys.RSA(1).Public(), "k1", nil)), true)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &TrustedIssuer{Name: name, Issuer: "https://directory.example/" + name, Ecosystem: e, Keys: keys.Find}
	if change != nil {
		change(issuer)
	}
	return issuer
}

func TestTrustedIssuerCheck(t *testing.T) {
	for _, test := range []struct {
		ecosystem    string
		change       func(*TrustedIssuer)
		member, text string
	}{
		{"uk", nil, "", ""},
		{"uk", func(i *TrustedIssuer) { i.Algs, i.MaxAge = []string{"PS256"}, time.Hour }, "", ""},
		{"uk", func(i *TrustedIssuer) { i.Issuer = "" }, "issuer", "is missing"},
		{"uk", func(i *TrustedIssuer) { i.Issuer = "a\nb" }, "issuer", "is no iss"},
		{"uk", func(i *TrustedIssuer) { i.Keys = nil }, "keys", "are missing"},
		{"uk", func(i *TrustedIssuer) { i.MaxAge = 25 * time.Hour }, "max_age", "no statement that is older than 24h0m0s"},
		{"uk", func(i *TrustedIssuer) { i.MaxAge = -time.Hour }, "max_age", ""},
		{"brazil", func(i *TrustedIssuer) { i.MaxAge = 6 * time.Minute }, "max_age", "older than 5m0s"},
		{"brazil", func(i *TrustedIssuer) { i.MaxAge = time.Minute }, "", ""},
		{"brazil", func(i *TrustedIssuer) { i.Algs = []string{"PS256", "ES256"} }, "algs", "ES256 is not taken by brazil, which has PS256"},
		{"rfc7591", func(i *TrustedIssuer) { i.Algs = []string{"RS256"} }, "algs", "RS256"},
		{"uae", nil, "ecosystem", "the directory must be in this process"},
	} {
		member, err := trustedBy(t, test.ecosystem, test.change).Check()
		if member != test.member || (err == nil) != (test.member == "") || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %q %v, want %q %q", test.ecosystem, member, err, test.member, test.text)
		}
	}
}

func TestNewRegistrar(t *testing.T) {
	plain, _ := FindEcosystem("rfc7591")
	uae, _ := FindEcosystem("uae")
	for want, config := range map[string]RegistrarConfig{
		"":                          {Ecosystem: plain, Issuers: []*TrustedIssuer{trustedBy(t, "uk", nil), trustedBy(t, "cdr", nil)}},
		"issuer cdr has the iss of": {Ecosystem: plain, Issuers: []*TrustedIssuer{trustedBy(t, "uk", nil), trustedBy(t, "cdr", func(i *TrustedIssuer) { i.Issuer = "https://directory.example/uk" })}},
		"issuer uk: keys":           {Ecosystem: plain, Issuers: []*TrustedIssuer{trustedBy(t, "uk", func(i *TrustedIssuer) { i.Keys = nil })}},
		"needs the directory":       {Ecosystem: uae, Issuers: []*TrustedIssuer{trustedBy(t, "uk", nil)}},
	} {
		_, err := NewRegistrar(config)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Keys of this process are those that are published now.
func TestLiveKeys(t *testing.T) {
	first, second := jwktest.Set(t, jwktest.Key(t, testkeys.RSA(1).Public(), "k1", nil)), jwktest.Set(t, jwktest.Key(t, testkeys.P256(1).Public(), "k2", nil))
	published := first
	find := LiveKeys(func() []byte { return published }, true)
	if found, err := find(t.Context(), "k1", "PS256"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := find(t.Context(), "k2", "ES256"); err == nil {
		t.Error("a key that is not published yet")
	}
	published = second
	if _, err := find(t.Context(), "k1", "PS256"); err == nil {
		t.Error("a key that is published no more")
	}
	if found, err := find(t.Context(), "k2", "ES256"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	published = []byte("{}")
	if _, err := find(t.Context(), "k2", "ES256"); err == nil {
		t.Error("keys of no key set")
	}
	if _, err := LiveKeys(func() []byte { return first }, false)(t.Context(), "k1", "PS256"); err == nil {
		t.Error("a test key outside a sandbox")
	}
	if _, err := InlineKeys(jwktest.Set(t), true); err == nil {
		t.Error("a key set without keys")
	}
	if _, err := InlineKeys(first, false); err == nil {
		t.Error("a test key outside a sandbox, inline")
	}
	if _, err := RemoteKeys(nil, "http://keys.example", false); err == nil {
		t.Error("keys by http")
	}
}

// admission is one of software that a directory vouches for.
func admission(id, software string) *Admission {
	brazil, _ := FindEcosystem("brazil")
	m := tlsClient()
	m.ClientID, m.SoftwareID, m.SoftwareStatementIssuer, m.Ecosystem = id, software, DirectoryIssuer, "brazil"
	return &Admission{Metadata: m, Ecosystem: brazil, StatementText: "a.b." + id}
}

// Which software is registered is known after a restart, too, and of clients that
// the rules in force no longer serve.
func TestSoftwareIsKnownAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	s := openStore(t, path)
	registry := openRegistry(t, fixtureConfig(t, s))
	for _, id := range []string{"one", "two"} {
		if admitted, err := registry.Admit(t.Context(), admission(id, "software-"+id), &oauth.Event{}); err != nil || !admitted.Created {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	defer s.Close()
	config := fixtureConfig(t, s)
	config.Scopes = nil // nothing that they registered for is offered any more
	registry = openRegistry(t, config)
	if len(registry.Refused()) != 2 {
		t.Fatalf("refused: %v", registry.Refused())
	}
	_, err := registry.Admit(t.Context(), admission("three", "software-one"), &oauth.Event{})
	if oauth.AsError(err).Code != oauth.CodeUnapprovedStatement {
		t.Errorf("registered twice: %v", err)
	}
	registry = openRegistry(t, fixtureConfig(t, s))
	if text, err := registry.Statement(t.Context(), "one"); err != nil || text != "a.b.one" {
		t.Errorf("statement %q, %v", text, err)
	}
	// An operator's Put and Delete keep count, too.
	m, _ := registry.Get("one")
	other := m.Metadata
	other.SoftwareID = "software-three"
	if _, _, err := registry.Put(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Admit(t.Context(), admission("four", "software-one"), &oauth.Event{}); err != nil {
		t.Errorf("software that is registered no more: %v", err)
	}
	if _, err := registry.Admit(t.Context(), admission("five", "software-three"), &oauth.Event{}); err == nil {
		t.Error("software that is registered by the operator")
	}
	if err := registry.Delete(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if left, err := registry.statements.Has(t.Context(), "two"); left || err != nil {
		t.Errorf("the statement of a deleted client is there: %v", err)
	}
	if len(registry.bySoftware) != 2 || len(registry.reserved) != 0 {
		t.Errorf("%v, reserved %v", registry.bySoftware, registry.reserved)
	}
}

// The keys of an issuer by URL: one that was published since is found, and that they
// cannot be fetched is said.
func TestIssuerKeysByURL(t *testing.T) {
	server := tppServer(t, serveJWKS(jwktest.Set(t, jwktest.Key(t, testkeys.RSA(1).Public(), "k1", nil))))
	fetcher := sandboxFetcher(server)
	keys, err := RemoteKeys(fetcher, server.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := keys.Find(context.Background(), "k1", "PS256"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	server.Close()
	other := sandboxFetcher(server)
	gone, err := RemoteKeys(other, server.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	event := &oauth.Event{}
	p := &part{name: "software statement", refuse: oauth.InvalidSoftwareStatement, event: event}
	refused := p.verify(t.Context(), &signed{header: statementHeader{Algorithm: "PS256", KeyID: "k1"}}, gone.Find, "its issuer")
	failed, _ := event.Failed()
	if !strings.Contains(oauth.AsError(refused).Description, "cannot be fetched") || failed.Name != "software statement key" || !bytes.Contains([]byte(failed.Advice), []byte("cannot be fetched")) {
		t.Errorf("%v, %+v", refused, failed)
	}
}
