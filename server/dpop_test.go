package server_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// TestWhatATokenIsBoundTo: what the client registered, what its policy wants and
// what it presents decide.
func TestWhatATokenIsBoundTo(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const none, certificate, key, both = "", "x5t#S256", "jkt", "x5t#S256 jkt"
	for _, row := range []struct {
		name              string
		policy            string
		byCert, byKey     bool
		certified, proves bool // what is presented
		want              string
	}{
		{"nothing asked, nothing shown", "sandbox", false, false, false, false, none},
		{"nothing asked, certificate shown", "sandbox", false, false, true, false, none},
		{"nothing asked, proof sent", "sandbox", false, false, false, true, key},
		{"nothing asked, both", "sandbox", false, false, true, true, key},
		{"FAPI, nothing", "fapi2", false, false, false, false, "invalid_request"},
		{"FAPI, certificate", "fapi2", false, false, true, false, certificate},
		{"FAPI, proof", "fapi2", false, false, false, true, key},
		{"FAPI, both", "fapi2", false, false, true, true, key},
		{"certificate wanted, nothing", "sandbox", true, false, false, false, "invalid_request"},
		{"certificate wanted, proof", "sandbox", true, false, false, true, "invalid_request"},
		{"certificate wanted, both", "sandbox", true, false, true, true, both},
		{"certificate wanted and shown", "fapi2", true, false, true, false, certificate},
		{"DPoP wanted, nothing", "sandbox", false, true, false, false, "invalid_dpop_proof"},
		{"DPoP wanted, certificate", "fapi2", false, true, true, false, "invalid_dpop_proof"},
		{"DPoP wanted, proof", "fapi2", false, true, false, true, key},
		{"DPoP wanted, both", "fapi2", false, true, true, true, key},
		{"both wanted, both", "fapi2", true, true, true, true, both},
		{"both wanted, certificate", "fapi2", true, true, true, false, "invalid_dpop_proof"},
		{"both wanted, proof", "fapi2", true, true, false, true, "invalid_request"},
		{"no DPoP in the policy", "fapi1-advanced", false, false, true, true, "invalid_dpop_proof"},
		{"no DPoP in the policy, certificate", "fapi1-advanced", false, false, true, false, certificate},
		{"no DPoP in the policy, nothing", "fapi1-advanced", false, false, false, false, "invalid_request"},
	} {
		tpp := s.TPP("tpp", servertest.JWT, servertest.Under(row.policy), func(m *registration.Metadata) {
			m.CertificateBoundTokens, m.DPoPBoundTokens = row.byCert, row.byKey
		})
		base := s.Issuer
		if row.certified {
			base = s.MTLS
		}
		g := gate{"token", s, tpp, http.MethodPost, base + "/token", "", 400}
		var proofs []string
		if row.proves {
			proofs = []string{g.proof(t)}
		}
		answer := g.ask(t, proofs, nil)
		if strings.HasPrefix(row.want, "invalid") {
			if answer.Status != http.StatusBadRequest || answer.Error() != row.want {
				t.Errorf("%s: %s, want %s", row.name, answer, row.want)
			}
			if check := failedCheck(s, answer); check.Advice == "" {
				t.Errorf("%s: the trace does not say what to do: %+v", row.name, check)
			}
			continue
		}
		token, _ := answer.JSON["access_token"].(string)
		if token == "" {
			t.Errorf("%s: %s", row.name, answer)
			continue
		}
		var got []string
		bound, _ := claims(t, token)["cnf"].(map[string]any)
		if bound["x5t#S256"] == mtls.Thumbprint(tpp.Transport[0]) {
			got = append(got, certificate)
		}
		if bound["jkt"] == thumbprint(t, tpp.SigningKey.Public()) {
			got = append(got, key)
		}
		wantType := map[bool]string{true: "DPoP", false: "Bearer"}[bound["jkt"] != nil]
		if strings.Join(got, " ") != row.want || len(bound) != len(got) || answer.JSON["token_type"] != wantType {
			t.Errorf("%s: cnf %v, token_type %v, want %s", row.name, bound, answer.JSON["token_type"], row.want)
		}
	}
}

// TestDPoPIntrospection: an API sees what a token is bound to, and its own client
// may ask without a proof, but not with another's.
func TestDPoPIntrospection(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.DPoP)
	api := s.TPP("api")
	if _, err := s.APIs("default").Put(t.Context(), registration.API{ID: s.MTLS + "/bank", Client: "api", Clients: map[string]registration.Access{registration.AnyClient: {}}}); err != nil {
		t.Fatal(err)
	}
	token := tpp.Token()
	answer := api.Post("introspection_endpoint", url.Values{"token": {token}})
	bound, _ := answer.JSON["cnf"].(map[string]any)
	if answer.JSON["active"] != true || answer.JSON["token_type"] != "DPoP" || len(bound) != 1 || bound["jkt"] != thumbprint(t, tpp.SigningKey.Public()) {
		t.Errorf("to the API: %s", answer)
	}
	for _, base := range []string{s.Issuer, s.MTLS} {
		g := gate{"introspection", s, tpp, http.MethodPost, base + "/token/introspection", "", 400}
		ask := func(proofs ...string) servertest.Answer {
			header := http.Header{"Dpop": proofs, "Content-Type": servertest.Form["Content-Type"]}
			return exchange(t, s, tpp.HTTP, g.method, g.url, header, withAssertion(url.Values{"token": {token}}, claiming()(t, tpp)).Encode())
		}
		for row, answer := range map[string]servertest.Answer{"without a proof": ask(), "with one": ask(g.proof(t))} {
			if answer.Status != http.StatusOK || answer.JSON["active"] != true {
				t.Errorf("%s: %s", row, answer)
			}
		}
		key := testkeys.P256(4)
		if answer := ask(compact(t, "ES256", key, encode(t, g.header(key)), encode(t, g.claims()))); answer.Body != `{"active":false}` {
			t.Errorf("with a proof by another key: %s", answer)
		}
		wantAnswer(t, ask(g.proof(t, "htm", "GET")), 400, "invalid_dpop_proof")
		wantAnswer(t, ask(g.proof(t), g.proof(t)), 400, "invalid_dpop_proof")
	}
	// A token with two bindings is not active without its certificate, either.
	twice := s.TPP("both", both)
	token = twice.Token()
	for base, want := range map[string]bool{s.Issuer: false, s.MTLS: true} {
		answer := post(t, s, twice.HTTP, base+"/token/introspection", withAssertion(url.Values{"token": {token}}, claiming()(t, twice)))
		if answer.JSON["active"] != want {
			t.Errorf("%s: %s", base, answer)
		}
	}
	// Revocation needs no proof: whoever is the client may end its token.
	wantAnswer(t, tpp.Post("revocation_endpoint", url.Values{"token": {tpp.Token()}}), 200, "")
}

// TestDPoPRegistration: a policy without DPoP registers nobody for it.
func TestDPoPRegistration(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	m := s.TPP("tpp", servertest.DPoP).Metadata
	for policy, want := range map[string]string{"fapi2": "", "sandbox": "", "oauth2": "", "fapi1-advanced": "invalid_client_metadata"} {
		m.Policy = policy
		if got := s.Refuses("default", m); got != want {
			t.Errorf("%s: %q", policy, got)
		}
	}
}

// TestParticipantKeys: a participant's folder keeps its DPoP key, and one that is
// given a nonce asks once more by itself.
func TestParticipantKeys(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, wantingNonces)
	tpp := s.TPP("tpp", servertest.DPoP, servertest.Under("nonces"))
	tpp.DPoPKey = testkeys.RSA(4)
	name, err := certs.NewName(certs.Attribute{Type: "CN", Value: "tpp"})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := certs.SelfSigned(certs.Subject{Name: name}, tpp.SigningKey, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tpp.Signing = []*x509.Certificate{leaf}
	dir := t.TempDir()
	if err := tpp.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := participant.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	tpp.Participant = loaded
	bound := claims(t, tpp.Token())["cnf"].(map[string]any)
	if bound["jkt"] != thumbprint(t, testkeys.RSA(4).Public()) {
		t.Errorf("cnf is %v", bound)
	}
	// A server that is never content is asked twice and not for ever.
	asked := 0
	stubborn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("DPoP-Nonce", "again")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
	}))
	defer stubborn.Close()
	reply, err := loaded.Post(t.Context(), http.DefaultClient, &participant.Provider{TokenEndpoint: stubborn.URL}, "token_endpoint", url.Values{})
	if err != nil || reply.Status != http.StatusBadRequest || asked != 2 {
		t.Errorf("asked %d times: %+v, %v", asked, reply, err)
	}
}
