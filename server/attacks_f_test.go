package server_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/servertest"
	"github.com/fapid/fapid/server/token"
)

// racers is how many send the same thing at once.
const racers = 16

// rounds is how often a test has them race; RACES says otherwise.
func rounds(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("RACES")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// race calls with all racers at once and gives their answers.
func race(call func() servertest.Answer) []servertest.Answer {
	answers := make([]servertest.Answer, racers)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range answers {
		running.Go(func() {
			<-start
			answers[i] = call()
		})
	}
	close(start)
	running.Wait()
	return answers
}

// TestAttackF3: of sixteen that use one refresh token at once, one gets a new
// pair and the others invalid_grant; the winner's pair is good.
func TestAttackF3(t *testing.T) {
	s := servertest.Start(t)
	for name, format := range map[string]func(*registration.Metadata){"by-jwt": func(*registration.Metadata) {}, "by-opaque": opaque} {
		tpp := s.TPP(name, refreshing, format)
		for range rounds(t, 5) {
			token := begin(t, tpp).refresh
			var winners []pair
			frozen := s.Clock.Freeze()
			for _, answer := range race(func() servertest.Answer { return refresh(tpp, token) }) {
				if answer.Status == http.StatusOK {
					winners = append(winners, pairOf(t, answer))
					continue
				}
				wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
			}
			frozen()
			if len(winners) != 1 {
				t.Fatalf("F3: %d winners", len(winners))
			}
			if !alive(tpp, winners[0].access) {
				t.Error("F3: the winner's access token is dead")
			}
			pairOf(t, refresh(tpp, winners[0].refresh))
		}
	}
}

// TestAttackF5: when a revocation has been answered, no token of the family is
// left, whatever refreshes it raced with.
func TestAttackF5(t *testing.T) {
	s := servertest.Start(t, keeping)
	var tpps []*servertest.TPP
	for name, policy := range map[string]string{"rotating": "sandbox", "keeping": "keep"} {
		tpps = append(tpps, s.TPP(name+"-jwt", refreshing, servertest.Under(policy)), s.TPP(name+"-opaque", refreshing, opaque, servertest.Under(policy)))
	}
	for i := range rounds(t, 100) { // and a thousand in TestEndRacesRefresh
		tpp := tpps[i%len(tpps)]
		first := begin(t, tpp)
		var turn atomic.Int32
		revoke := []string{first.refresh, first.access}[i/4%2]
		fetched := []pair{first}
		for _, answer := range race(func() servertest.Answer {
			if turn.Add(1) == int32(1+i%racers) { // one of them revokes
				return tpp.Post("revocation_endpoint", url.Values{"token": {revoke}})
			}
			return refresh(tpp, first.refresh)
		}) {
			switch {
			case answer.Status == http.StatusOK && answer.Body == "": // the revocation's
				revoke = ""
			case answer.Status == http.StatusOK:
				fetched = append(fetched, pairOf(t, answer))
			default:
				wantAnswer(t, answer, http.StatusBadRequest, "invalid_grant")
			}
		}
		if revoke != "" {
			t.Fatal("F5: the revocation was not answered 200")
		}
		for _, p := range fetched {
			if answer := tpp.Post("introspection_endpoint", url.Values{"token": {p.access}}); answer.Body != `{"active":false}` {
				t.Fatalf("F5: round %d: an access token survived: %s", i, answer)
			}
			wantAnswer(t, refresh(tpp, p.refresh), http.StatusBadRequest, "invalid_grant")
		}
	}
}

// TestAttackF6 is E3 for refresh tokens, too: somebody else's is refused, at all
// three endpoints, and stays good.
func TestAttackF6(t *testing.T) {
	s := servertest.Start(t)
	owner, thief := s.TPP("owner", refreshing), s.TPP("thief", refreshing)
	first := begin(t, owner)
	wantAnswer(t, refresh(thief, first.refresh), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, thief.Post("revocation_endpoint", url.Values{"token": {first.refresh}}), http.StatusBadRequest, "invalid_grant")
	if answer := thief.Post("introspection_endpoint", url.Values{"token": {first.refresh}}); answer.Body != `{"active":false}` {
		t.Errorf("F6: the thief learns %s", answer)
	}
	second := pairOf(t, refresh(owner, first.refresh))
	later(s)
	pairOf(t, refresh(owner, second.refresh))
	// A token that is spent already is no weapon, either.
	wantAnswer(t, refresh(thief, first.refresh), http.StatusBadRequest, "invalid_grant")
	if !alive(owner, second.access) {
		t.Error("F6: a stranger's reuse ended the family")
	}
}

// TestAttackE6 is about refresh tokens: no text but the token itself is taken for
// it, and none that is nearly it spends it.
func TestAttackE6Opaque(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", refreshing)
	first := begin(t, tpp)
	for _, changed := range mutations(first.refresh) {
		wantAnswer(t, refresh(tpp, changed), http.StatusBadRequest, "invalid_grant")
		if answer := tpp.Post("introspection_endpoint", url.Values{"token": {changed}}); answer.Body != `{"active":false}` {
			t.Errorf("E6: %s: %s", changed, answer)
		}
	}
	wantAnswer(t, refresh(tpp, ""), http.StatusBadRequest, "invalid_request")
	pairOf(t, refresh(tpp, first.refresh))
}

// TestAttackE12 is the column of refresh: between issue and use the client, its
// scope, its API or its certificate goes.
func TestAttackE12(t *testing.T) {
	s := servertest.Start(t, keeping)
	protect(t, s)
	replace := func(tpp *servertest.TPP, change func(*registration.Metadata)) {
		metadata := tpp.Metadata
		change(&metadata)
		if _, _, err := s.Clients("default").Put(t.Context(), metadata); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		gone   func(*servertest.TPP)
		status int
		code   string
	}{
		{"client deleted", func(tpp *servertest.TPP) {
			if err := s.Clients("default").Delete(t.Context(), tpp.Metadata.ClientID); err != nil {
				t.Fatal(err)
			}
		}, http.StatusUnauthorized, "invalid_client"},
		{"client deleted, and another registered under its name", func(tpp *servertest.TPP) {
			if err := s.Clients("default").Delete(t.Context(), tpp.Metadata.ClientID); err != nil {
				t.Fatal(err)
			}
			later(s)
			replace(tpp, func(*registration.Metadata) {})
		}, http.StatusBadRequest, "invalid_grant"},
		{"grant withdrawn", func(tpp *servertest.TPP) {
			replace(tpp, func(m *registration.Metadata) { m.RefreshToken = false })
		}, http.StatusBadRequest, "unauthorized_client"},
		{"scope removed", func(tpp *servertest.TPP) {
			replace(tpp, func(m *registration.Metadata) { m.Scope = "payments" })
		}, http.StatusBadRequest, "invalid_grant"},
		{"certificate revoked", func(tpp *servertest.TPP) {
			if err := s.CA().Revoke(t.Context(), certs.SerialOf(tpp.Transport[0]), certs.ReasonKeyCompromise); err != nil {
				t.Fatal(err)
			}
		}, http.StatusUnauthorized, "invalid_client"},
		{"api withdrawn", func(*servertest.TPP) {
			if err := s.APIs("default").Delete(t.Context(), "https://other.example.com"); err != nil {
				t.Fatal(err)
			}
		}, http.StatusBadRequest, "invalid_target"},
	} {
		tpp := s.TPP(strings.ReplaceAll(strings.ReplaceAll(test.name, " ", "-"), ",", ""), refreshing)
		first := pairOf(t, tpp.Post("token_endpoint", url.Values{"grant_type": {"client_credentials"}, "audience": {"https://other.example.com"}}))
		test.gone(tpp)
		if answer := refresh(tpp, first.refresh); answer.Status != test.status || answer.Error() != test.code {
			t.Errorf("E12: %s: %s", test.name, answer)
		}
	}
}

// TestAttackF7: an unknown token is 200, another client's is refused, nobody's
// word counts without authentication; for refresh tokens and their access tokens.
func TestAttackF7(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp", refreshing, opaque)
	for _, hint := range []string{"refresh_token", "access_token", "nonsense"} {
		first := begin(t, tpp)
		second := pairOf(t, refresh(tpp, first.refresh))
		form := url.Values{"token": {first.refresh}, "token_type_hint": {hint}} // a spent one ends the family, too
		if answer := post(t, s, tpp.HTTP, s.MTLS+"/token/revocation", form); answer.Status != http.StatusUnauthorized {
			t.Errorf("F7: unauthenticated: %s", answer)
		}
		if !alive(tpp, second.access) {
			t.Fatal("F7: revoked by nobody")
		}
		if answer := tpp.Post("revocation_endpoint", form); answer.Status != http.StatusOK {
			t.Fatalf("F7: %s", answer)
		}
		for _, p := range []pair{first, second} {
			wantAnswer(t, tpp.Bank(p.access), http.StatusUnauthorized, "invalid_token")
			wantAnswer(t, refresh(tpp, p.refresh), http.StatusBadRequest, "invalid_grant")
			if answer := tpp.Post("introspection_endpoint", url.Values{"token": {p.refresh}, "token_type_hint": {hint}}); answer.Body != `{"active":false}` {
				t.Errorf("F7: %s", answer)
			}
		}
		if answer := tpp.Post("revocation_endpoint", form); answer.Status != http.StatusOK {
			t.Errorf("F7: again: %s", answer)
		}
	}
}

// TestAttackF8 is about refresh tokens: their own client is told, and nobody else,
// not even the API whose tokens they fetch.
func TestAttackF8(t *testing.T) {
	s := servertest.Start(t)
	protect(t, s)
	tpp, api := s.TPP("tpp", refreshing), s.TPP("target-client")
	first := begin(t, tpp, "audience", "target-api")
	if answer := api.Post("introspection_endpoint", url.Values{"token": {first.access}}); answer.JSON["active"] != true {
		t.Fatalf("F8: the API about its access token: %s", answer)
	}
	if answer := api.Post("introspection_endpoint", url.Values{"token": {first.refresh}}); answer.Body != `{"active":false}` {
		t.Errorf("F8: the API about the refresh token: %s", answer)
	}
	answer := tpp.Post("introspection_endpoint", url.Values{"token": {first.refresh}})
	if answer.JSON["active"] != true || answer.JSON["client_id"] != "tpp" || answer.JSON["token_type"] != nil || answer.JSON["exp"] == nil {
		t.Errorf("F8: its own client: %s", answer)
	}
}

// TestAttackE13E14: while the store fails nothing is issued, and a revocation is
// not said to have happened.
func TestAttackE13E14(t *testing.T) {
	s := servertest.Start(t)
	plain, recording := s.TPP("plain"), s.TPP("records", func(m *registration.Metadata) { m.RecordAccessTokens = true })
	hidden, rotating := s.TPP("hidden", opaque), s.TPP("rotates", refreshing)
	first, token := begin(t, rotating), plain.Token()
	opaqueToken := hidden.Token()
	chain(t, s)
	trading := s.TPP("shop", servertest.Exchanging)
	held, word := trading.Token(), trading.Grant("shop")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	grant := url.Values{"grant_type": {"client_credentials"}}
	for name, answer := range map[string]servertest.Answer{
		"E13 recorded JWT":      recording.Post("token_endpoint", grant),
		"E13 opaque":            hidden.Post("token_endpoint", grant),
		"E13 with refresh":      rotating.Post("token_endpoint", grant),
		"E13 refresh":           refresh(rotating, first.refresh),
		"E13 exchange":          trading.Exchange(held),
		"E13 JWT bearer":        trading.Bearer(word),
		"E14 JWT":               plain.Post("revocation_endpoint", url.Values{"token": {token}}),
		"E14 opaque":            hidden.Post("revocation_endpoint", url.Values{"token": {opaqueToken}}),
		"E14 refresh":           rotating.Post("revocation_endpoint", url.Values{"token": {first.refresh}}),
		"introspection, opaque": hidden.Post("introspection_endpoint", url.Values{"token": {opaqueToken}}),
		"introspection, JWT":    plain.Post("introspection_endpoint", url.Values{"token": {token}}),
		"the bank":              hidden.Bank(opaqueToken),
	} {
		if answer.Status != http.StatusServiceUnavailable || answer.Error() != "temporarily_unavailable" || strings.Contains(answer.Body, "fapid_") {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

// TestSessionEnds: the operator's end of a session bites on its access token, on
// its refresh token and on what was fetched by that, in both formats.
func TestSessionEnds(t *testing.T) {
	s := servertest.Start(t)
	for name, format := range map[string]func(*registration.Metadata){"by-jwt": func(*registration.Metadata) {}, "by-opaque": opaque} {
		tpp := s.TPP(name, refreshing, format)
		first := begin(t, tpp)
		second := pairOf(t, refresh(tpp, first.refresh))
		page, next, err := s.Sessions("default").List(t.Context(), token.Filter{Client: name}, "", 10)
		if err != nil || len(page) != 1 || next != "" || page[0].Refresh.Uses != 1 {
			t.Fatalf("%s: %+v, %q, %v", name, page, next, err)
		}
		id := page[0].ID
		if answer := tpp.Post("introspection_endpoint", url.Values{"token": {second.access}}); answer.JSON["active"] != true {
			t.Fatalf("%s: before: %s", name, answer)
		} else if name == "by-opaque" { // found by a later token's jti, too
			id = answer.JSON["jti"].(string)
		}
		if err := s.Sessions("default").End(t.Context(), id, token.EndedByOperator); err != nil {
			t.Fatal(err)
		}
		s.Restart()
		tpp.Connect()
		for _, p := range []pair{first, second} {
			wantAnswer(t, tpp.Bank(p.access), http.StatusUnauthorized, "invalid_token")
			wantAnswer(t, refresh(tpp, p.refresh), http.StatusBadRequest, "invalid_grant")
		}
		if session, err := s.Sessions("default").Get(t.Context(), page[0].ID); err != nil || session.State() != token.Ended || session.Ended.By != token.EndedByOperator {
			t.Errorf("%s: %+v, %v", name, session, err)
		}
	}
}

// TestAttackF11: whoever fishes for tokens at introspection catches none, is throttled,
// and keeps nobody from asking about tokens that are good.
func TestAttackF11(t *testing.T) {
	s := servertest.Start(t)
	tpp, other := s.TPP("tpp", opaque, refreshing), s.TPP("other")
	defer s.Clock.Freeze()()
	good, ended := tpp.Token(), begin(t, tpp).refresh
	want(t, tpp.Post("revocation_endpoint", url.Values{"token": {ended}}), 200)
	ask := func(by *servertest.TPP, token string) servertest.Answer {
		return by.Post("introspection_endpoint", url.Values{"token": {token}})
	}
	forged := func(secret string) string { return good[:len(good)-len(secret)] + secret }
	var throttled atomic.Int32
	for range 1008 / racers {
		for _, answer := range race(func() servertest.Answer { return ask(tpp, forged(rand.Text())) }) {
			if answer.Status == http.StatusTooManyRequests {
				throttled.Add(1)
				wantAnswer(t, answer, http.StatusTooManyRequests, "too_many_requests")
				if answer.Header.Get("Retry-After") != "1" {
					t.Errorf("F11: Retry-After is %q", answer.Header.Get("Retry-After"))
				}
			} else if answer.Body != `{"active":false}` {
				t.Fatalf("F11: a forged token: %s", answer)
			}
		}
	}
	if throttled.Load() != 8 {
		t.Errorf("F11: %d of 1008 were throttled, want 8", throttled.Load())
	}
	if answer := ask(tpp, good); answer.JSON["active"] != true {
		t.Errorf("F11: a good token among many forged: %s", answer)
	}
	if answer := ask(tpp, ended); answer.Body != `{"active":false}` {
		t.Errorf("F11: a refresh token of its own that was ended: %s", answer)
	}
	if answer := ask(other, forged(rand.Text())); answer.Body != `{"active":false}` {
		t.Errorf("F11: another caller: %s", answer)
	}
	s.Clock.Move(time.Second)
	if answer := ask(tpp, forged(rand.Text())); answer.Body != `{"active":false}` {
		t.Errorf("F11: a second later: %s", answer)
	}
}
