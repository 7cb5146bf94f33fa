package registration_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
)

// race has many send the same attempts at once and counts those that win. The
// others' refusals are of the code.
func race(t *testing.T, s *stage, attempt func() faults.Attempt, code string) (won int) {
	t.Helper()
	const racers = 16
	var running sync.WaitGroup
	admissions, events := make([]*registration.Admission, racers), make([]oauth.Event, racers)
	for i := range racers {
		built, err := s.scene.Build(attempt())
		if err != nil {
			t.Fatal(err)
		}
		admissions[i], err = s.registrar.Judge(t.Context(), registration.Proposal{MediaType: built.MediaType, Body: built.Body, Certificate: s.certificate(t, faults.Own)}, &events[i])
		if err != nil {
			t.Fatal(err)
		}
	}
	outcomes := make([]error, racers)
	for i := range racers {
		running.Go(func() { _, outcomes[i] = s.registry.Admit(context.Background(), admissions[i], &events[i]) })
	}
	running.Wait()
	for i, err := range outcomes {
		if err == nil {
			won++
			continue
		}
		if refusal := oauth.AsError(err); refusal.Code != code || len(events[i].Checks) == 0 || events[i].Checks[len(events[i].Checks)-1].OK {
			t.Errorf("%v\n%+v", err, events[i].Checks)
		}
	}
	return won
}

// Of many requests one wins, where the ecosystem has it so.
func TestOneWins(t *testing.T) {
	for name, test := range map[string]struct {
		ecosystem string
		same      bool // the very same request, else each has ids of its own
		code      string
		won       int
	}{
		"one request, used once":            {"uk", true, oauth.CodeInvalidClientMetadata, 1},
		"one software, registered often":    {"uk", false, "", 16},
		"one software of Brazil":            {"brazil", false, oauth.CodeUnapprovedStatement, 1},
		"one software of the CDR":           {"cdr", false, oauth.CodeInvalidStatement, 1},
		"one statement, used for as long":   {"raidiam", true, "", 16},
		"one statement without restriction": {"rfc7591", true, "", 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, ecosystem(t, test.ecosystem), false)
			first := s.scene.Good()
			won := race(t, s, func() faults.Attempt {
				if test.same {
					return first
				}
				return s.scene.Good()
			}, test.code)
			if won != test.won || len(s.registry.List("", 100)) != test.won {
				t.Errorf("%d won, %d are registered, want %d", won, len(s.registry.List("", 100)), test.won)
			}
		})
	}
}

// A refusal spends nothing: the same statement is good for the next attempt.
func TestRefusalSpendsNothing(t *testing.T) {
	s := newStage(t, ecosystem(t, "cdr"), false)
	good := s.scene.Good()
	_, bad := s.scene.Try(faults.Case{Change: func(a *faults.Attempt) {
		*a = good
		a.Request.Claims = map[string]any{}
		for name, value := range good.Request.Claims {
			a.Request.Claims[name] = value
		}
		// Judged to be good, and refused by the rules of every registration.
		a.Request.Claims["grant_types"] = []string{"password"}
	}})
	if _, _, _, err := s.send(t, bad, nil); oauth.AsError(err).Code != oauth.CodeInvalidClientMetadata {
		t.Fatalf("%v", err)
	}
	s.accept(t, good, nil)
}

// A client that is deleted can be registered again, and takes its statement along.
func TestDeletedClient(t *testing.T) {
	s := newStage(t, ecosystem(t, "brazil"), false)
	client, admission, _ := s.accept(t, s.scene.Good(), nil)
	if text, err := s.registry.Statement(t.Context(), client.ID); err != nil || text != admission.StatementText {
		t.Errorf("statement %q, %v", text, err)
	}
	if err := s.registry.Delete(t.Context(), client.ID); err != nil {
		t.Fatal(err)
	}
	if text, err := s.registry.Statement(t.Context(), client.ID); err != nil || text != "" {
		t.Errorf("statement %q, %v", text, err)
	}
	// An update that was judged before comes too late.
	if _, _, _, err := s.send(t, s.scene.Good(), client); oauth.AsError(err).Code != oauth.CodeNotFound {
		t.Errorf("a deleted client is updated: %v", err)
	}
	again, _, _ := s.accept(t, s.scene.Good(), nil)
	if again.ID == client.ID {
		t.Error("the id is that of the deleted client")
	}
}

// An update that was judged by what has been changed since is not admitted.
func TestUpdateOfWhatHasChanged(t *testing.T) {
	s := newStage(t, ecosystem(t, "brazil"), false)
	client, _, _ := s.accept(t, s.scene.Good(), nil)
	m := client.Metadata
	m.AccessTokenExpiration = 30
	if _, _, err := s.registry.Put(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.send(t, s.scene.Good(), client); oauth.AsError(err).Code != oauth.CodeTemporarilyUnavailable {
		t.Errorf("%v", err)
	}
	if now, _ := s.registry.Get(client.ID); now.Metadata.AccessTokenExpiration != 30 {
		t.Error("the operator's change is lost")
	}
}

// Software of the UAE registers under its own id, again and again.
func TestReplaced(t *testing.T) {
	s := newStage(t, ecosystem(t, "uae"), true)
	client, _, _ := s.accept(t, s.scene.Good(), nil)
	operated := client.Metadata
	operated.AccessTokenExpiration = 30
	if _, _, err := s.registry.Put(t.Context(), operated); err != nil {
		t.Fatal(err)
	}
	s.records.facts.RedirectURIs = []string{"https://tpp.example/new"}
	again, _, _ := s.accept(t, s.scene.Good(), nil)
	if again.ID != client.ID || again.Metadata.RedirectURIs[0] != "https://tpp.example/new" || again.Metadata.AccessTokenExpiration != 30 || len(s.registry.List("", 10)) != 1 {
		t.Errorf("registered %+v", again.Metadata)
	}
	// A client that happens to have the id is nobody's to replace.
	if err := s.registry.Delete(t.Context(), client.ID); err != nil {
		t.Fatal(err)
	}
	m := client.Metadata
	m.SoftwareStatementIssuer, m.Ecosystem = "", ""
	if _, _, err := s.registry.Put(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	_, _, event, err := s.send(t, s.scene.Good(), nil)
	if failed, _ := event.Failed(); oauth.AsError(err).Code != oauth.CodeUnapprovedStatement || failed.Name != "client_id" {
		t.Errorf("%v, %+v", err, failed)
	}
}

// A store that cannot write registers nobody and spends nothing.
func TestStoreDown(t *testing.T) {
	s := newStage(t, ecosystem(t, "cdr"), false)
	built, err := s.scene.Build(s.scene.Good())
	if err != nil {
		t.Fatal(err)
	}
	event := &oauth.Event{}
	proposal := registration.Proposal{MediaType: built.MediaType, Body: built.Body, Certificate: s.certificate(t, faults.Own)}
	admission, err := s.registrar.Judge(t.Context(), proposal, event)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.registry.Admit(ended, admission, event); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(s.registry.List("", 10)) != 0 {
		t.Error("registered")
	}
	if _, err := s.registry.Admit(t.Context(), admission, event); err != nil {
		t.Errorf("the same again: %v", err)
	}
}
