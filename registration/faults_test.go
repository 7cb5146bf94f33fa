package registration_test

import (
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
)

// Every bad statement and request is refused with the error the table says, and the
// check that failed is the one it says.
func TestFaults(t *testing.T) {
	for _, name := range registration.Ecosystems() {
		ecosystem, _ := registration.FindEcosystem(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			for _, c := range faults.Cases(ecosystem) {
				if seen[c.Name] || c.About == "" {
					t.Errorf("%s: twice, or without a word", c.Name)
				}
				seen[c.Name] = true
				t.Run(c.Name, func(t *testing.T) { runCase(t, ecosystem, c) })
			}
		})
	}
}

func runCase(t *testing.T, ecosystem *registration.Ecosystem, c faults.Case) {
	s := newStage(t, ecosystem, ecosystem.Statement.From == registration.FromCertificate)
	good, bad := s.scene.Try(c)
	if bad.Directory != nil {
		s = newStage(t, ecosystem, true)
		bad.Directory(&s.records.facts)
	}
	var first *registration.Client
	if bad.Second {
		client, _, event, err := s.send(t, good, nil)
		if err != nil {
			t.Fatalf("the good one: %v\n%+v", err, event.Checks)
		}
		if bad.Update {
			first = client
		}
	}
	client, _, event, err := s.send(t, bad, first)
	if err == nil {
		t.Fatalf("accepted: %+v", client.Metadata)
	}
	refusal := oauth.AsError(err)
	failed, _ := event.Failed()
	if refusal.Code != c.Error || failed.Name != c.Check {
		t.Errorf("%s, check %q\nwant %s, check %q\n%v\n%+v", refusal.Code, failed.Name, c.Error, c.Check, err, event.Checks)
	}
	for name, text := range map[string]string{
		"statement-exp-milliseconds": "looks like milliseconds", "statement-iat-milliseconds": "looks like milliseconds",
		"statement-encrypted": "JWE", "body-huge": "longer than 65536 bytes",
	} {
		if c.Name == name && !strings.Contains(refusal.Description, text) {
			t.Errorf("does not say what happened: %q", refusal.Description)
		}
	}
	if failed.Expected == "" || failed.Presented == "" || failed.Advice == "" || refusal.Description == "" {
		t.Errorf("says too little: %+v, %q", failed, refusal.Description)
	}
}
