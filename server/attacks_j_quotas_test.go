package server_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/servertest"
)

// J13: there is an end to registering, and to what is not used.
func TestAttackJ13Quotas(t *testing.T) {
	t.Parallel()
	const most = 12
	s := servertest.Start(t, servertest.Registering(), func(c *server.Config) {
		c.Realms["default"].Registration.MaxClients = most
		c.Realms["default"].Registration.UnusedClients = server.Duration(time.Hour)
	})
	beyond := func(t *testing.T, answer servertest.Answer) {
		t.Helper()
		if wantAnswer(t, answer, 429, "too_many_requests"); answer.Header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", answer.Header.Get("Retry-After"))
		}
	}
	r := s.Registrant(s.MTLS)
	r.Initial = initialToken(t, s, registration.Allowance{Uses: 100_000, Quota: 2})
	for range 2 {
		want(t, r.Register(servertest.WithSecret()), 201)
	}
	beyond(t, r.Register(servertest.WithSecret()))
	want(t, r.Delete(), 204)
	want(t, r.Register(servertest.WithSecret()), 201) // there is room again
	beyond(t, r.Register(servertest.WithSecret()))
	s.Restart() // known again
	beyond(t, r.Register(servertest.WithSecret()))

	open := s.Registrant(s.Issuer)
	var crowd []*servertest.Registrant
	for i := range 24 {
		crowd = append(crowd, s.Registrant([]string{s.Issuer, s.MTLS}[i%2]))
	}
	for round := range rounds(t, 2) {
		room, initial := most-2, ""
		if round%2 == 1 { // the limit of a token comes before that of the realm
			room, initial = 3, initialToken(t, s, registration.Allowance{Uses: 100_000, Quota: 3})
		}
		var created, refused atomic.Int64
		var racing sync.WaitGroup
		for _, r := range crowd {
			if r.Initial = initial; r.ClientID != "" {
				want(t, r.Delete(), 204) // what the round before has made
				r.ClientID = ""
			}
		}
		for _, r := range crowd {
			racing.Go(func() {
				if answer := r.Register(servertest.WithSecret()); answer.Status == 201 {
					created.Add(1)
				} else {
					beyond(t, answer)
					refused.Add(1)
				}
			})
		}
		racing.Wait()
		if created.Load() != int64(room) || refused.Load() != int64(len(crowd)-room) {
			t.Fatalf("round %d: %d registered, %d were refused; there is room for %d", round, created.Load(), refused.Load(), room)
		}
		if there := countClients(s); there != 2+room { // r's two
			t.Fatalf("round %d: %d clients are there, want %d", round, there, 2+room)
		}
	}
	operators := s.TPP("operators") // who is not limited
	s.Clock.Move(50 * time.Minute)
	exchanged(t, r.Fetch())
	server.EveryMinute(s.Server, t.Context())
	s.Restart() // what was used is known again
	s.Clock.Move(11 * time.Minute)
	server.EveryMinute(s.Server, t.Context())
	operators.Connect()
	operators.Token()
	want(t, r.Read(), 200)
	if left := s.Clients("default").List("", 100); len(left) != 2 {
		t.Errorf("%d clients are left", len(left))
	}
	want(t, open.Register(servertest.WithSecret()), 201)
	s.Clock.Move(61 * time.Minute)
	server.EveryMinute(s.Server, t.Context())
	wantAnswer(t, r.Read(), 401, "invalid_token")
	if left := s.Clients("default").List("", 100); len(left) != 1 || left[0].ID != "operators" {
		t.Errorf("left: %v", left)
	}
}
