package server_test

import (
	"crypto"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/testkeys"
)

// failedCheck is what the trace of an answer says went wrong.
func failedCheck(s *servertest.Server, answer servertest.Answer) oauth.Check {
	event := s.Explain(answer)
	check, _ := event.Failed()
	return check
}

// TestProofsAccepted: what a client may do with a proof.
func TestProofsAccepted(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("dpop", servertest.DPoP)
	defer s.Clock.Freeze()()
	now := s.Clock.Now().Unix()
	for _, g := range gates(t, s, tpp) {
		u, err := url.Parse(g.url)
		if err != nil {
			t.Fatal(err)
		}
		other := map[string]string{s.Issuer: s.MTLS, s.MTLS: s.Issuer}[strings.TrimSuffix(g.url, u.Path)]
		for row, changes := range map[string][]any{
			"plain": {}, "iat 10 s ago": {"iat", now - 10}, "iat 10 s ahead": {"iat", now + 10}, "iat 85 s ago": {"iat", now - 85},
			"iat with a fraction": {"iat", float64(now) + 0.5}, "exp and nbf": {"exp", now + 60, "nbf", now - 5}, "exp long ahead": {"exp", now + 7200},
			"claims of others": {"iss", "dpop", "aud", []string{"a"}}, "nonce nobody wants": {"nonce", "abc"},
			"htu with query": {"htu", g.url + "?a=b"}, "htu with fragment": {"htu", g.url + "#a"}, "htu with both": {"htu", g.url + "?a#b"},
			"htu in capitals": {"htu", "HTTPS://LOCALHOST:" + u.Port() + u.Path}, "htu escaped": {"htu", "https://" + u.Host + strings.Replace(u.Path, "n", "%6e", 1)},
			"htu with dots": {"htu", "https://" + u.Host + "/x/.." + u.Path}, "htu of the other listener": {"htu", other + u.Path},
			"jti of 256 bytes": {"jti", strings.Repeat("a", 230) + rand.Text()},
		} {
			if answer := g.ask(t, []string{g.proof(t, changes...)}, nil); answer.Status != http.StatusOK {
				t.Errorf("%s: %s: %s", g.name, row, answer)
			}
		}
	}
}

// TestProofAlgorithms: each of the algorithms, and a jwk with all that may be in one.
func TestProofAlgorithms(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, row := range []struct {
		alg string
		key crypto.Signer
	}{{"ES256", testkeys.P256(4)}, {"PS256", testkeys.RSA(4)}, {"EdDSA", testkeys.Ed25519(1)}, {"Ed25519", testkeys.Ed25519(1)}} {
		tpp := s.TPP("dpop-"+strings.ToLower(row.alg), servertest.DPoP)
		tpp.DPoPKey = row.key
		for _, g := range gates(t, s, tpp) {
			jwk := jose.JSONWebKey{Key: row.key.Public(), KeyID: "a", Use: "sig", Algorithm: row.alg}
			proof := compact(t, row.alg, row.key, encode(t, g.header(row.key, "alg", row.alg, "jwk", jwk, "kid", "b")), encode(t, g.claims()))
			wantAnswer(t, g.ask(t, []string{proof}, nil), 200, "")
			if g.token != "" && claims(t, g.token)["cnf"].(map[string]any)["jkt"] != thumbprint(t, row.key.Public()) {
				t.Errorf("%s: cnf is %v", row.alg, claims(t, g.token)["cnf"])
			}
		}
	}
}

// TestAttackG2: a proof is good once: at the same listener, at the other, after a
// restart, at both edges of its life, and after its claim was swept.
func TestAttackG2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("dpop", servertest.DPoP)
	spent := func(answer servertest.Answer, status int, check string) {
		t.Helper()
		wantAnswer(t, answer, status, "invalid_dpop_proof")
		if failed := failedCheck(s, answer); failed.Name != check {
			t.Errorf("the trace says %+v, want %s", failed, check)
		}
	}
	all := gates(t, s, tpp)
	for i, g := range all {
		twin := all[(i+2)%4] // the same endpoint on the other listener
		proof := g.proof(t)
		wantAnswer(t, g.ask(t, []string{proof}, nil), 200, "")
		spent(g.ask(t, []string{proof}, nil), g.status, "DPoP jti")
		if g.token == "" {
			spent(twin.ask(t, []string{proof}, nil), g.status, "DPoP jti")
		}
		s.Restart()
		spent(g.ask(t, []string{proof}, nil), g.status, "DPoP jti")
	}
	// The longest a proof can live: made as far ahead as clocks may differ, used
	// again when it is about to be too old.
	defer s.Clock.Freeze()()
	for _, g := range all[:2] {
		proof := g.proof(t, "iat", s.Clock.Now().Add(27*time.Second).Unix())
		wantAnswer(t, g.ask(t, []string{proof}, nil), 200, "")
		s.Clock.Move(115 * time.Second)
		spent(g.ask(t, []string{proof}, nil), g.status, "DPoP jti")
		s.Clock.Move(10 * time.Second)
		spent(g.ask(t, []string{proof}, nil), g.status, "DPoP iat")
		// Long after, when nothing is known of it any more, by a clock set back.
		s.Clock.Move(time.Hour)
		s.Restart()
		s.Clock.Move(-time.Hour - 20*time.Second)
		spent(g.ask(t, []string{proof}, nil), g.status, "DPoP jti")
		s.Clock.Move(-105 * time.Second)
	}
}

// TestAttackG2Race: of 16 requests with one proof one wins.
func TestAttackG2Race(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("dpop", servertest.DPoP)
	for round := range rounds(t, 4) {
		all := gates(t, s, tpp)
		g, twin := all[round%4], all[(round+2)%4]
		var racing sync.WaitGroup
		answers := make([]servertest.Answer, 16)
		proof := g.proof(t)
		twin.token = g.token
		for i := range answers {
			racing.Go(func() { answers[i] = []gate{g, twin}[i%2].ask(t, []string{proof}, nil) })
		}
		racing.Wait()
		won := 0
		for _, answer := range answers {
			if answer.Status == http.StatusOK {
				won++
				continue
			}
			wantAnswer(t, answer, g.status, "invalid_dpop_proof")
		}
		if won != 1 {
			t.Errorf("%s: %d winners", g.name, won)
		}
	}
}

// TestAttackG3: a jti is its key's own, so nobody can use up another's.
func TestAttackG3(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, key := range []crypto.Signer{testkeys.P256(3), testkeys.P256(4)} {
		tpp := s.TPP("dpop", servertest.DPoP)
		tpp.DPoPKey = key
		for _, g := range gates(t, s, tpp) {
			jti := "same at " + g.name
			wantAnswer(t, g.ask(t, []string{compact(t, "ES256", key, encode(t, g.header(key)), encode(t, g.claims("jti", jti)))}, nil), 200, "")
		}
	}
}

// TestProofIsNotBurned: a proof that is refused for anything is good afterwards.
func TestProofIsNotBurned(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("dpop", servertest.DPoP)
	g := gates(t, s, tpp)[1]
	proof := g.proof(t)
	for name, spoil := range map[string]func(gate) gate{
		"another method":   func(g gate) gate { g.method = http.MethodHead; return g },
		"another address":  func(g gate) gate { g.url += "/10001/balances"; return g },
		"another token":    func(g gate) gate { g.token = tpp.Token(); return g },
		"a mangled token":  func(g gate) gate { g.token += "A"; return g },
		"a stranger's one": func(g gate) gate { g.token = stranger(t, s).Token(); return g },
	} {
		if answer := spoil(g).ask(t, []string{proof}, nil); answer.Status != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, answer)
		}
	}
	wantAnswer(t, g.ask(t, []string{proof}, nil), 200, "")
}

// stranger is another DPoP client with another key.
func stranger(t testing.TB, s *servertest.Server) *servertest.TPP {
	t.Helper()
	tpp := s.TPP("stranger", servertest.DPoP)
	tpp.DPoPKey = testkeys.P256(4)
	return tpp
}

// TestAttackG4: every token is used by its own scheme and with its own proof.
func TestAttackG4(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp, other, plain, bound := s.TPP("dpop", servertest.DPoP), stranger(t, s), s.TPP("plain", servertest.JWT), s.TPP("bound")
	token, bearer, certified := tpp.Token(), plain.Token(), bound.Token()
	for _, base := range []string{s.Issuer, s.MTLS} {
		g := gate{"bank", s, tpp, http.MethodGet, base + "/bank/accounts", token, 401}
		good := func(g gate) []string { return []string{g.proof(t)} }
		with := func(token string) gate { g := g; g.token = token; return g }
		theirs := g
		theirs.tpp = other
		for _, row := range []struct {
			name          string
			client        *http.Client
			authorization string
			proofs        []string
			check         string
			challenges    int // of which DPoP's is the only one, or the second
		}{
			{"DPoP token as Bearer", tpp.HTTP, "Bearer " + token, nil, "token scheme", 2},
			{"DPoP token as Bearer with proof", tpp.HTTP, "Bearer " + token, good(g), "token scheme", 2},
			{"DPoP token without proof", tpp.HTTP, "DPoP " + token, nil, "DPoP header", 1},
			{"Bearer token as DPoP", plain.HTTP, "DPoP " + bearer, good(with(bearer)), "token scheme", 1},
			{"Bearer token as DPoP without proof", plain.HTTP, "DPoP " + bearer, nil, "token scheme", 1},
			{"Bearer token with proof", plain.HTTP, "Bearer " + bearer, good(with(bearer)), "token scheme", 2},
			{"certificate's token as DPoP", bound.HTTP, "DPoP " + certified, good(with(certified)), "token scheme", 1},
			{"certificate's token with proof", bound.HTTP, "Bearer " + certified, good(with(certified)), "token scheme", 2},
			{"A18 another key", tpp.HTTP, "DPoP " + token, good(theirs), "DPoP key", 1},
			{"no ath", tpp.HTTP, "DPoP " + token, []string{g.proof(t, "ath", nil)}, "DPoP ath", 1},
			{"ath of another token", tpp.HTTP, "DPoP " + token, []string{g.proof(t, "ath", hash(bearer))}, "DPoP ath", 1},
			{"ath in hex", tpp.HTTP, "DPoP " + token, []string{g.proof(t, "ath", hash(token)+"=")}, "DPoP ath", 1},
			{"two schemes", tpp.HTTP, "DPoP Bearer " + token, good(g), "access token", 1},
			{"proof as token", tpp.HTTP, "DPoP " + good(g)[0], good(g), "access token", 1},
			{"scheme alone", tpp.HTTP, "DPoP ", good(g), "access token", 1},
		} {
			answer := exchange(t, s, row.client, g.method, g.url, http.Header{"Authorization": {row.authorization}, "Dpop": row.proofs}, "")
			if answer.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s", row.name, answer)
				continue
			}
			if check := failedCheck(s, answer); check.Name != row.check {
				t.Errorf("%s: the trace says %+v, want %s", row.name, check, row.check)
			}
			challenge := answer.Header["Www-Authenticate"]
			if len(challenge) != row.challenges || !strings.Contains(challenge[0], `error="`+answer.Error()+`"`) || !strings.Contains(challenge[len(challenge)-1], `algs="`) {
				t.Errorf("%s: challenges %q", row.name, challenge)
			}
		}
		for _, scheme := range []string{"DPoP", "dpop", "dPoP"} { // RFC 9110 section 11.1
			wantAnswer(t, exchange(t, s, tpp.HTTP, g.method, g.url, http.Header{"Authorization": {scheme + " " + token}, "Dpop": good(g)}, ""), 200, "")
		}
		if answer := exchange(t, s, tpp.HTTP, g.method, g.url, nil, ""); len(answer.Header["Www-Authenticate"]) != 2 || strings.Contains(strings.Join(answer.Header["Www-Authenticate"], ""), "error=") {
			t.Errorf("without a token: %s %q", answer, answer.Header["Www-Authenticate"])
		}
	}
	admin := s.Admin + "/realms/default/clients/dpop"
	for _, scheme := range []string{"Bearer ", "DPoP "} {
		proof, err := tpp.Proof(http.MethodPut, admin, participant.Proof{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		answer := s.Do(http.DefaultClient, http.MethodPut, admin, http.Header{"Authorization": {scheme + token}, "Dpop": {proof}}, "{}")
		wantAnswer(t, answer, 401, "invalid_token")
	}
}

// wantingNonces has a policy that wants them, and a realm of its own with it.
func wantingNonces(config *server.Config) {
	yes := true
	config.Policies = map[string]server.Policy{"nonces": {Base: "fapi2", DPoPNonce: &yes}}
	config.Realms["default"].Policies = append(config.Realms["default"].Policies, "nonces")
	config.Realms["other"] = &server.Realm{Policy: "nonces", Scopes: []string{"accounts"}, Trust: server.Trust{SandboxCA: true}}
}

// TestAttackG7: where nonces are wanted, a proof without one, with a forged, a
// foreign or an old one is answered use_dpop_nonce and with a good one.
func TestAttackG7(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, wantingNonces)
	tpp, foreign := s.TPP("dpop", servertest.DPoP, servertest.Under("nonces")), s.TPPIn("other", "dpop", servertest.DPoP)
	answer := s.Do(foreign.HTTP, http.MethodPost, foreign.Provider.TokenEndpoint, formWithProof(t, foreign), withAssertion(url.Values{"grant_type": {"client_credentials"}}, claiming()(t, foreign)).Encode())
	wantAnswer(t, answer, 400, "use_dpop_nonce")
	theirs := answer.Header.Get("DPoP-Nonce")
	defer s.Clock.Freeze()()             // or five minutes could end in between
	for _, g := range gates(t, s, tpp) { // the participant has asked twice by itself
		refusal := g.ask(t, []string{g.proof(t)}, nil)
		wantAnswer(t, refusal, g.status, "use_dpop_nonce")
		nonce := refusal.Header.Get("DPoP-Nonce")
		if nonce == "" || nonce == theirs {
			t.Fatalf("%s: nonce %q", g.name, nonce)
		}
		if challenge := refusal.Header["Www-Authenticate"]; g.status == 401 && (len(challenge) != 1 || !strings.Contains(challenge[0], `error="use_dpop_nonce"`)) {
			t.Errorf("%s: challenge %q", g.name, challenge)
		}
		for row, bad := range map[string]any{"forged": "AAAAAAAAAAAAAAAAAAAAAAAA", "foreign": theirs, "empty": "", "cut": nonce[:len(nonce)-1], "longer": nonce + "A", "in other case": strings.ToLower(nonce)} {
			refusal := g.ask(t, []string{g.proof(t, "nonce", bad)}, nil)
			if refusal.Error() != "use_dpop_nonce" || refusal.Header.Get("DPoP-Nonce") != nonce {
				t.Errorf("%s: %s: %s, nonce %q", g.name, row, refusal, refusal.Header.Get("DPoP-Nonce"))
			}
		}
		again := g.ask(t, []string{g.proof(t, "nonce", nonce)}, nil)
		wantAnswer(t, again, 200, "")
		if fresh := again.Header.Get("DPoP-Nonce"); fresh != "" && fresh == nonce {
			t.Errorf("%s: the answer brings the nonce again", g.name)
		}
		// A refusal for another reason brings one, too.
		wrong := g.ask(t, []string{g.proof(t, "nonce", nonce, "iat", s.Clock.Now().Unix()-3600)}, nil)
		wantAnswer(t, wrong, g.status, "invalid_dpop_proof")
		if wrong.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: a refusal without a nonce", g.name)
		}
	}
	// In the next five minutes it is good still, and answered with the next one;
	// after that it is not.
	g := gates(t, s, tpp)[0]
	nonce := g.ask(t, []string{g.proof(t)}, nil).Header.Get("DPoP-Nonce")
	s.Clock.Move(5 * time.Minute)
	second := g.ask(t, []string{g.proof(t, "nonce", nonce)}, nil)
	wantAnswer(t, second, 200, "")
	if next := second.Header.Get("DPoP-Nonce"); next == "" || next == nonce {
		t.Errorf("near rotation the answer brings %q", next)
	}
	s.Clock.Move(5 * time.Minute)
	wantAnswer(t, g.ask(t, []string{g.proof(t, "nonce", nonce)}, nil), 400, "use_dpop_nonce")
}

// formWithProof are the headers of a token request by the TPP, without a nonce.
func formWithProof(t testing.TB, tpp *servertest.TPP) http.Header {
	t.Helper()
	proof, err := tpp.Proof(http.MethodPost, tpp.Provider.TokenEndpoint, participant.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Content-Type": servertest.Form["Content-Type"], "Dpop": {proof}}
}

// both wants tokens bound to the certificate and to the DPoP key.
func both(m *registration.Metadata) {
	servertest.DPoP(m)
	m.CertificateBoundTokens = true
}

// TestAttackA20: a token with two bindings needs both proofs.
func TestAttackA20(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp, thief := s.TPP("both", both), s.TPP("thief")
	token := tpp.Token()
	bound := claims(t, token)["cnf"].(map[string]any)
	if bound["jkt"] != thumbprint(t, tpp.SigningKey.Public()) || bound["x5t#S256"] != s.Explain(tpp.Bank(token)).Certificate {
		t.Errorf("cnf is %v", bound)
	}
	for _, base := range []string{s.Issuer, s.MTLS} {
		g := gate{"bank", s, tpp, http.MethodGet, base + "/bank/accounts", token, 401}
		for row, call := range map[string]func() servertest.Answer{
			"no proof":          func() servertest.Answer { return g.ask(t, nil, nil) },
			"certificate alone": func() servertest.Answer { return callBank(t, s, tpp.HTTP, base, token) },
			"another certificate": func() servertest.Answer {
				g := g
				g.tpp = clientOf(thief, tpp)
				return g.ask(t, []string{g.proof(t)}, nil)
			},
			"no certificate": func() servertest.Answer {
				bare := *tpp
				bare.HTTP = holder(t, s, nil)
				g := g
				g.tpp = &bare
				return g.ask(t, []string{g.proof(t)}, nil)
			},
			"another key": func() servertest.Answer {
				key := testkeys.P256(4)
				return g.ask(t, []string{compact(t, "ES256", key, encode(t, g.header(key)), encode(t, g.claims()))}, nil)
			},
		} {
			if answer := call(); answer.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s", row, answer)
			}
		}
	}
	wantAnswer(t, tpp.Bank(token), 200, "")
	// At the token endpoint the client is held to both.
	g := gates(t, s, tpp)[2]
	wantAnswer(t, g.ask(t, nil, nil), 400, "invalid_dpop_proof")
	g.url = s.Issuer + "/token"
	wantAnswer(t, g.ask(t, []string{g.proof(t)}, nil), 400, "invalid_request")
}

// clientOf is a TPP with the connections of another.
func clientOf(thief, tpp *servertest.TPP) *servertest.TPP {
	mixed := *tpp
	mixed.HTTP = thief.HTTP
	return &mixed
}
