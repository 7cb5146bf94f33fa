package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// refreshing gives a TPP refresh tokens with client credentials.
func refreshing(m *registration.Metadata) { m.RefreshToken = true }

// pair are the tokens of an answer.
type pair struct{ access, refresh string }

func pairOf(t testing.TB, answer servertest.Answer) pair {
	t.Helper()
	access, _ := answer.JSON["access_token"].(string)
	refresh, _ := answer.JSON["refresh_token"].(string)
	if answer.Status != http.StatusOK || access == "" || refresh == "" {
		t.Fatalf("no pair of tokens: %s", answer)
	}
	return pair{access, refresh}
}

// begin fetches a pair by client credentials.
func begin(t testing.TB, tpp *servertest.TPP, form ...string) pair {
	t.Helper()
	return pairOf(t, tpp.Post("token_endpoint", door{endpoint: "token_endpoint"}.form(form...)))
}

// refresh exchanges a refresh token.
func refresh(tpp *servertest.TPP, token string, form ...string) servertest.Answer {
	return tpp.Post("token_endpoint", door{endpoint: "token_endpoint"}.form(append([]string{"grant_type", "refresh_token", "refresh_token", token}, form...)...))
}

// alive asks the bank.
func alive(tpp *servertest.TPP, token string) bool { return tpp.Bank(token).Status == http.StatusOK }

// keeping adds policies that leave refresh tokens as they are, with renewed
// certificates taken or not.
func keeping(config *server.Config) {
	no := false
	config.Policies = map[string]server.Policy{
		"keep": {Base: "sandbox", RefreshRotation: &no},
		"same": {Base: "sandbox", RefreshRotation: &no, RefreshWithRenewedCertificate: &no},
	}
	realm := config.Realms["default"]
	realm.Policies = append(realm.Policies, "keep", "same")
}

// certificateThumbprint is the x5t#S256 of a TPP's certificate.
func certificateThumbprint(tpp *servertest.TPP) string {
	digest := sha256.Sum256(tpp.Transport[0].Raw)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// later moves the clock past the time in which a request races another.
func later(s *servertest.Server) { s.Clock.Move(2 * time.Second) }

// TestRefresh: the pair that is fetched is as good as the first, in both formats.
func TestRefresh(t *testing.T) {
	s := servertest.Start(t)
	for name, format := range map[string]func(*registration.Metadata){"by-jwt": func(*registration.Metadata) {}, "by-opaque": opaque} {
		tpp := s.TPP(name, refreshing, format)
		first := begin(t, tpp)
		second := pairOf(t, refresh(tpp, first.refresh))
		if second.refresh == first.refresh || second.access == first.access {
			t.Errorf("%s: nothing new in %+v", name, second)
		}
		if !alive(tpp, first.access) || !alive(tpp, second.access) {
			t.Errorf("%s: a token is not good at the bank", name)
		}
		s.Restart()
		tpp.Connect()
		if !alive(tpp, second.access) {
			t.Errorf("%s: the token is gone after a restart", name)
		}
		third := pairOf(t, refresh(tpp, second.refresh))
		if !alive(tpp, third.access) {
			t.Errorf("%s: the token fetched after a restart is not good", name)
		}
	}
}

// TestRefreshIsRegistered: without a word in the registration there is none, and
// FAPI's policies do not let the word in.
func TestRefreshIsRegistered(t *testing.T) {
	s := servertest.Start(t)
	plain := s.TPP("plain")
	if answer := plain.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}}); answer.JSON["refresh_token"] != nil {
		t.Errorf("a refresh token nobody registered for: %s", answer)
	}
	wantAnswer(t, refresh(plain, begin(t, s.TPP("tpp", refreshing)).refresh), http.StatusBadRequest, "unauthorized_client")
	for name, change := range map[string]func(*registration.Metadata){
		"fapi2":          servertest.Under("fapi2"),
		"fapi1-advanced": servertest.Under("fapi1-advanced"),
		"from":           func(m *registration.Metadata) { m.RefreshTokenExpirationFrom = "birth" },
		"too long":       func(m *registration.Metadata) { m.RefreshTokenExpiration = 1 << 40 },
		"negative":       func(m *registration.Metadata) { m.RefreshTokenExpiration = -1 },
		"nothing to expire": func(m *registration.Metadata) {
			m.RefreshToken, m.RefreshTokenExpiration = false, 60
		},
	} {
		metadata := plain.Metadata
		refreshing(&metadata)
		change(&metadata)
		if got := s.Refuses("default", metadata); got != "invalid_client_metadata" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestRefreshExpiration: counted from issue or from last use, in seconds.
func TestRefreshExpiration(t *testing.T) {
	s := servertest.Start(t, keeping)
	for from, last := range map[string]bool{"issue": false, "last_use": true} {
		tpp := s.TPP("from-"+from, refreshing, servertest.Under("keep"), func(m *registration.Metadata) {
			m.RefreshTokenExpiration, m.RefreshTokenExpirationFrom = 100, from
		})
		token := begin(t, tpp).refresh
		s.Clock.Move(60 * time.Second)
		pairOf(t, refresh(tpp, token))
		s.Clock.Move(60 * time.Second)
		answer := refresh(tpp, token)
		if last {
			pairOf(t, answer)
			s.Clock.Move(101 * time.Second)
			answer = refresh(tpp, token)
		}
		wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
	}
}

// TestRefreshKeepsTheToken is F1: without rotation the same refresh token stays
// good, a thousand times.
func TestRefreshKeepsTheToken(t *testing.T) {
	s := servertest.Start(t, keeping)
	tpp := s.TPP("tpp", refreshing, opaque, servertest.Under("keep"))
	first := begin(t, tpp)
	var last pair
	for i := range 1000 {
		if last = pairOf(t, refresh(tpp, first.refresh)); last.refresh != first.refresh {
			t.Fatalf("F1: use %d gave another refresh token", i+1)
		}
	}
	if !alive(tpp, first.access) || !alive(tpp, last.access) {
		t.Error("F1: the first and the last access token are not both good")
	}
}

// TestRefreshLostAnswer: whoever did not get the new token asks again within ten
// seconds and gets the same one, which is good.
func TestRefreshLostAnswer(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", refreshing)
	defer s.Clock.Freeze()()
	first := begin(t, tpp)
	lost := pairOf(t, refresh(tpp, first.refresh))
	later(s)
	again := pairOf(t, refresh(tpp, first.refresh))
	if again.refresh != lost.refresh {
		t.Error("a second successor: the family has two heads")
	}
	s.Clock.Move(time.Minute)
	pairOf(t, refresh(tpp, again.refresh))
}

// TestRefreshReuse is F2 and F4: a refresh token that was exchanged is refused,
// also by a server that was restarted and within the same second; and where it is
// no retry, everything that came of it is dead.
func TestRefreshReuse(t *testing.T) {
	for name, reuse := range map[string]func(*servertest.Server, *servertest.TPP, pair) (pair, bool){
		"F2, after the successor was used": func(s *servertest.Server, tpp *servertest.TPP, p pair) (pair, bool) {
			later(s)
			return pairOf(t, refresh(tpp, p.refresh)), true
		},
		"F2, after the time for a retry": func(s *servertest.Server, _ *servertest.TPP, p pair) (pair, bool) {
			s.Clock.Move(11 * time.Second)
			return p, true
		},
		"F4, after a restart": func(s *servertest.Server, tpp *servertest.TPP, p pair) (pair, bool) {
			s.Clock.Move(11 * time.Second)
			s.Restart()
			tpp.Connect()
			return p, true
		},
		"F4, within the same second": func(s *servertest.Server, _ *servertest.TPP, p pair) (pair, bool) {
			s.Clock.Move(-5 * time.Second) // however slow this machine is
			return p, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t)
			for format, change := range map[string]func(*registration.Metadata){"jwt": func(*registration.Metadata) {}, "opaque": opaque} {
				tpp := s.TPP("by-"+format, refreshing, change)
				first := begin(t, tpp)
				newest, ends := reuse(s, tpp, pairOf(t, refresh(tpp, first.refresh)))
				wantAnswer(t, refresh(tpp, first.refresh), http.StatusBadRequest, "invalid_grant")
				if alive(tpp, first.access) == ends || alive(tpp, newest.access) == ends {
					t.Errorf("%s: access tokens of the family: dead should be %v", format, ends)
				}
				if answer := refresh(tpp, newest.refresh); (answer.Error() == "invalid_grant") != ends {
					t.Errorf("%s: the newest refresh token: %s", format, answer)
				}
			}
		})
	}
}

// TestRefreshNarrows is E11: less scope and fewer APIs than were granted, never
// more; and a mistake costs nothing.
func TestRefreshNarrows(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp := s.TPP("tpp", refreshing, func(m *registration.Metadata) { m.Scope = "accounts payments openid" })
	token := pairOf(t, tpp.Post("token_endpoint", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"accounts openid"}, "resource": {"target-api", "https://other.example.com"},
	})).refresh
	for _, test := range []struct {
		name  string
		form  []string
		error string
		scope any
		aud   any
	}{
		{"E11, scope the client has, but the token not", []string{"scope", "accounts payments"}, "invalid_scope", nil, nil},
		{"E11, scope the client has not", []string{"scope", "directory:software"}, "invalid_scope", nil, nil},
		{"an API that was not granted", []string{"resource", s.MTLS + "/bank"}, "invalid_target", nil, nil},
		{"an API that is none", []string{"audience", "nowhere"}, "invalid_target", nil, nil},
		{"nothing of the scope at the API", []string{"audience", "target-api", "scope", "openid"}, "invalid_scope", nil, nil},
		{"all of it", nil, "", "accounts openid", []any{"target-api", "https://other.example.com"}},
		{"less scope", []string{"scope", "accounts"}, "", "accounts", []any{"target-api", "https://other.example.com"}},
		{"one API", []string{"resource", "target-api"}, "", "accounts", "target-api"},
		{"all of it again", nil, "", "accounts openid", []any{"target-api", "https://other.example.com"}},
	} {
		answer := refresh(tpp, token, test.form...)
		if test.error != "" {
			wantAnswer(t, answer, http.StatusBadRequest, test.error)
			continue
		}
		if answer.Status != http.StatusOK {
			t.Fatalf("%s: %s", test.name, answer)
		}
		fetched := pairOf(t, answer)
		if got := claims(t, fetched.access); got["scope"] != test.scope || !same(got["aud"], test.aud) {
			t.Errorf("%s: scope %v, aud %v", test.name, got["scope"], got["aud"])
		}
		token = fetched.refresh
	}
}

// TestRefreshBinding: tokens stay bound; a renewed certificate of the same
// identity is taken or refused by policy, and the trace says so.
func TestRefreshBinding(t *testing.T) {
	s := servertest.Start(t, keeping)
	t.Run("renewed, taken", func(t *testing.T) {
		tpp := s.TPP("renews", refreshing, servertest.Under("keep"))
		token, before := begin(t, tpp).refresh, certificateThumbprint(tpp)
		tpp.Renew()
		answer := refresh(tpp, token)
		fetched := pairOf(t, answer)
		if bound := claims(t, fetched.access)["cnf"].(map[string]any)["x5t#S256"]; bound != certificateThumbprint(tpp) || !alive(tpp, fetched.access) {
			t.Errorf("the new token is bound to %v", bound)
		}
		// The trace and the log say so, and so does what is kept of the session.
		if event := s.Explain(answer); event.CertificateBefore != before || !strings.Contains(s.Log.String(), `"certificate_before":"`+before+`"`) {
			t.Errorf("the trace has %q as the certificate before, want %s", event.CertificateBefore, before)
		}
		if kept := s.Operate("GET", "/realms/default/sessions?client=renews", "").Body; !strings.Contains(kept, `"renewed_certificate": "`+certificateThumbprint(tpp)+`"`) {
			t.Errorf("the session has %s", kept)
		}
	})
	t.Run("renewed, refused", func(t *testing.T) {
		tpp := s.TPP("renews-not", refreshing, servertest.Under("same"))
		token, before := begin(t, tpp).refresh, *tpp.Participant
		tpp.Renew()
		answer := s.Do(tpp.HTTP, http.MethodPost, s.MTLS+"/token", servertest.Form, url.Values{"grant_type": {"refresh_token"}, "client_id": {"renews-not"}, "refresh_token": {token}}.Encode())
		wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
		event := s.Explain(answer)
		if check, _ := event.Failed(); check.Name != "refresh token binding" {
			t.Errorf("the trace says %+v", check)
		}
		*tpp.Participant = before
		tpp.Connect()
		pairOf(t, refresh(tpp, token)) // nothing was spent
	})
	t.Run("sibling of the same CA", func(t *testing.T) { // A19
		tpp, sibling := s.TPP("owner", refreshing, servertest.Under("keep")), s.TPP("sibling", refreshing, servertest.Under("keep"))
		token, before := begin(t, tpp).refresh, *tpp.Participant
		tpp.Transport, tpp.TransportKey = sibling.Transport, sibling.TransportKey
		tpp.Connect()
		wantAnswer(t, refresh(tpp, token), http.StatusUnauthorized, "invalid_client")
		wantAnswer(t, refresh(sibling, token), http.StatusBadRequest, "invalid_grant") // as itself
		*tpp.Participant = before
		tpp.Connect()
		pairOf(t, refresh(tpp, token)) // nothing was burned by a stranger
	})
	t.Run("by assertion", func(t *testing.T) {
		bound := func(m *registration.Metadata) { m.CertificateBoundTokens = true }
		tpp := s.TPP("asserts", servertest.JWT, bound, refreshing, servertest.Under("keep"))
		token := begin(t, tpp).refresh
		tpp.Renew()
		pairOf(t, refresh(tpp, token)) // of the same subject
		stranger := s.TPP("stranger")
		tpp.Transport, tpp.TransportKey = stranger.Transport, stranger.TransportKey
		tpp.Connect()
		wantAnswer(t, refresh(tpp, token), http.StatusBadRequest, "invalid_grant")
		// A registration that binds no more does not loosen what was bound.
		metadata := tpp.Metadata
		metadata.CertificateBoundTokens = false
		if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
			t.Fatal(err)
		}
		tpp.Metadata.CertificateBoundTokens = false // to the standard listener, then
		wantAnswer(t, refresh(tpp, token), http.StatusBadRequest, "invalid_grant")
	})
}

// TestRefreshBindingByCA: a certificate of the same identity is a renewed one where the
// same CA issued it, and not where another does that the realm trusts, too.
func TestRefreshBindingByCA(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	same, other := root.below(t, "same", nil), root.below(t, "other", nil)
	s := servertest.Start(t, keeping, func(c *server.Config) {
		c.Realms["default"].Trust.CAs = []string{root.file(t)}
	})
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"), refreshing, servertest.Under("keep"), func(m *registration.Metadata) { m.CertificateBoundTokens = true })
	ask := func(by *pki, form url.Values) servertest.Answer {
		t.Helper()
		key := newKey(t)
		form.Set("client_id", "leaf")
		return post(t, s, holder(t, s, key, by.leaf(t, key, nil)...), s.MTLS+"/token", form)
	}
	token := pairOf(t, ask(same, url.Values{"grant_type": {"client_credentials"}})).refresh
	again := func(by *pki) servertest.Answer {
		return ask(by, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	}
	pairOf(t, again(same))
	refused := again(other)
	wantAnswer(t, refused, http.StatusBadRequest, "invalid_grant")
	event := s.Explain(refused)
	if check, _ := event.Failed(); check.Name != "refresh token binding" || !strings.Contains(check.Presented, "by another CA") {
		t.Errorf("the trace says %+v", check)
	}
	s.Restart()
	wantAnswer(t, again(other), http.StatusBadRequest, "invalid_grant")
	pairOf(t, again(same))
}

// TestRefreshTokenIsNoAccessToken is E7: neither is taken for the other.
func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	s := servertest.Start(t)
	for name, format := range map[string]func(*registration.Metadata){"by-jwt": func(*registration.Metadata) {}, "by-opaque": opaque} {
		tpp := s.TPP(name, refreshing, format, servertest.JWT)
		first := begin(t, tpp)
		wantAnswer(t, tpp.Bank(first.refresh), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, refresh(tpp, first.access), http.StatusBadRequest, "invalid_grant")
		wantAnswer(t, refresh(tpp, signedIntrospection(t, tpp, first.access)), http.StatusBadRequest, "invalid_grant")
		if !alive(tpp, first.access) {
			t.Errorf("E7: %s: the access token was consumed", name)
		}
		pairOf(t, refresh(tpp, first.refresh))
	}
}

// TestRefreshDiscovery: the grant is advertised.
func TestRefreshDiscovery(t *testing.T) {
	s := servertest.Start(t)
	document := s.Do(s.TPP("reader").HTTP, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", nil, "").JSON
	if !slices.Contains(document["grant_types_supported"].([]any), any("refresh_token")) {
		t.Errorf("grant_types_supported is %v", document["grant_types_supported"])
	}
}

// TestRefreshExplained: the trace says what is the matter with a refresh token, and
// does not speak of access tokens.
func TestRefreshExplained(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", refreshing)
	ended := begin(t, tpp)
	tpp.Post("revocation_endpoint", url.Values{"token": {ended.refresh}})
	for _, test := range []struct{ presented, want string }{
		{"garbage", "it does not look like one"},
		{begin(t, tpp).access, "it does not look like one"},
		{ended.refresh, "its session was ended"},
	} {
		event := s.Explain(refresh(tpp, test.presented))
		check, _ := event.Failed()
		if !strings.Contains(check.Presented, test.want) || strings.Contains(check.Presented, "access token") || !strings.Contains(event.Reason, test.want) {
			t.Errorf("%+v, because %s", check, event.Reason)
		}
	}
}

// TestRefreshRotationExplained: the trace says what has become of the refresh token.
func TestRefreshRotationExplained(t *testing.T) {
	s := servertest.Start(t, keeping)
	want := func(what, want string, answer servertest.Answer) string {
		t.Helper()
		for _, check := range s.Explain(answer).Checks {
			if check.Name == "refresh token rotation" {
				if !strings.Contains(check.Presented, want) {
					t.Errorf("%s: the trace says %s", what, check.Presented)
				}
				return pairOf(t, answer).refresh
			}
		}
		t.Errorf("%s: the trace says nothing", what)
		return ""
	}
	rotating := s.TPP("tpp", refreshing)
	first := begin(t, rotating).refresh
	second := want("exchanged", "exchanged for a new one", refresh(rotating, first))
	later(s)
	want("asked again", "the same new one is given again", refresh(rotating, first))
	want("exchanged again", "exchanged for a new one", refresh(rotating, second))
	kept := s.TPP("kept", refreshing, servertest.Under("keep"))
	want("kept", "the same one stays good", refresh(kept, begin(t, kept).refresh))
}
