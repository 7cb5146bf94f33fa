package registration_test

import (
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
)

// made is a good registration as it is sent, and the statement in it.
func made(b testing.TB, s *stage) (proposal registration.Proposal, statement string) {
	b.Helper()
	attempt := s.scene.Good()
	built, err := s.scene.Build(attempt)
	if err != nil {
		b.Fatal(err)
	}
	proposal = registration.Proposal{MediaType: built.MediaType, Body: built.Body, Certificate: s.certificate(b, faults.Own)}
	admission, err := s.registrar.Judge(b.Context(), proposal, &oauth.Event{})
	if err != nil {
		b.Fatal(err)
	}
	return proposal, admission.StatementText
}

// BenchmarkStatement verifies a software statement alone.
func BenchmarkStatement(b *testing.B) { benchEach(b, false) }

// BenchmarkJudge judges a whole registration request.
func BenchmarkJudge(b *testing.B) { benchEach(b, true) }

func benchEach(b *testing.B, whole bool) {
	for _, name := range []string{"rfc7591", "brazil", "uk", "cdr"} {
		b.Run(name, func(b *testing.B) {
			s := newStage(b, ecosystem(b, name), false)
			proposal, statement := made(b, s)
			event := &oauth.Event{}
			b.ReportAllocs()
			for b.Loop() {
				event.Reset()
				var err error
				if whole {
					_, err = s.registrar.Judge(b.Context(), proposal, event)
				} else {
					err = s.registrar.VerifyStatement(b.Context(), statement, event)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRegister judges requests and registers clients, side by side; each is on
// disk before it is done.
func BenchmarkRegister(b *testing.B) {
	s := newStage(b, ecosystem(b, "raidiam"), false)
	proposal, _ := made(b, s)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			event := &oauth.Event{}
			admission, err := s.registrar.Judge(b.Context(), proposal, event)
			if err == nil {
				_, err = s.registry.Admit(b.Context(), admission, event)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
