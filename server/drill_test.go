package server_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/drill"
	"github.com/fapid/fapid/server/servertest"
)

// TestDrill performs the drill for clients that are registered in every way and under
// every way of comparing subjects: nothing is accepted that should not be, and each
// refusal is for the reason that was meant.
func TestDrill(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) {
		c.Policies = map[string]server.Policy{
			"any":    {Base: "sandbox", DNMatching: mtls.MatchAnyOrder},
			"brazil": {Base: "sandbox", DNMatching: mtls.MatchBrazil},
		}
		c.Realms["default"].Policies = []string{"any", "brazil"}
	})
	for _, row := range []struct {
		name     string
		matching mtls.Matching
		change   func(*registration.Metadata)
	}{
		{"subject", mtls.MatchStrict, func(*registration.Metadata) {}},
		{"subject-any-order", mtls.MatchAnyOrder, servertest.Under("any")},
		{"subject-brazil", mtls.MatchBrazil, servertest.Under("brazil")},
		{"dns", mtls.MatchStrict, named("dns", "dns.example.com")},
		{"jwt-client", mtls.MatchStrict, servertest.JWT},
	} {
		t.Run(row.name, func(t *testing.T) {
			tpp := s.TPP(row.name, func(m *registration.Metadata) { row.change(m) })
			family, err := (&drill.Drill{
				Participant: tpp.Participant, CA: filepath.Join(s.Dir, "ca"), Matching: row.matching, Now: time.Now(),
				Revoked: func(key crypto.Signer) ([]*x509.Certificate, error) {
					issued, err := s.CA().Issue(t.Context(), certs.ProfileClient, certs.Subject{Raw: tpp.Transport[0].RawSubject, DNS: tpp.Transport[0].DNSNames}, certs.KeyRequest{Key: key})
					if err != nil {
						return nil, err
					}
					return issued.Chain, s.CA().Revoke(t.Context(), issued.Record.Serial, certs.ReasonKeyCompromise)
				},
			}).Certificates()
			if err != nil {
				t.Fatal(err)
			}
			cases := drill.Server{Provider: tpp.Provider, Roots: s.Roots()}.Present(tpp.Participant, family)
			results, err := drill.Run(t.Context(), cases, explained(s))
			if err != nil {
				t.Fatal(err)
			}
			accepted := 0
			for _, result := range results {
				if result.Differs || result.Skipped != "" {
					t.Errorf("%+v", result)
				}
				if result.Seen == drill.Accepted {
					accepted++
				}
			}
			if len(results) < 35 || accepted == 0 || accepted > len(results)/2+2 {
				t.Errorf("%d results, %d accepted", len(results), accepted)
			}
			noneIsIssued(t, s, family)
		})
	}
	self := *s.TPP("self").Participant
	self.Metadata.TokenEndpointAuthMethod = oauth.AuthSelfSignedTLS
	if _, err := (&drill.Drill{Participant: &self, CA: filepath.Join(s.Dir, "ca")}).Certificates(); err == nil || !strings.Contains(err.Error(), "makes its certificate itself") {
		t.Errorf("a self-signed client: %v", err)
	}
}

// noneIsIssued: what the drill makes is in no record of the CA, but for the one that
// was revoked.
func noneIsIssued(t *testing.T, s *servertest.Server, family []drill.Certificate) {
	t.Helper()
	for _, c := range family {
		record, err := s.CA().Get(t.Context(), certs.SerialOf(c.Chain[0]))
		if (err == nil) != (c.Name == "revoked") || err == nil && record.Status != certs.StatusRevoked {
			t.Errorf("%s is recorded: %+v %v", c.Name, record, err)
		}
	}
}

// TestDrillSeesDifferences: a server that accepts what it should refuse, or refuses
// for another reason, is found out.
func TestDrillSeesDifferences(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	good := drill.Certificate{Name: "good", Chain: tpp.Transport, Key: tpp.TransportKey}
	other := s.TPP("other")
	bad := drill.Certificate{Name: "bad", Chain: other.Transport, Key: other.TransportKey}
	for _, row := range []struct {
		certificate drill.Certificate
		expected    string
		explained   bool
		differs     bool
	}{
		{good, "", true, false}, {good, mtls.CheckValidity, true, true}, {good, mtls.CheckValidity, false, true},
		{bad, mtls.KindSubjectDN, true, false}, {bad, mtls.CheckValidity, true, true}, {bad, mtls.CheckValidity, false, false}, {bad, "", true, true}, {bad, "", false, true},
	} {
		var explain drill.Explain
		if row.explained {
			explain = explained(s)
		}
		row.certificate.Expected = row.expected
		cases := drill.Server{Provider: tpp.Provider, Roots: s.Roots()}.Present(tpp.Participant, []drill.Certificate{row.certificate})
		results, err := drill.Run(t.Context(), cases, explain)
		if err != nil || results[0].Differs != row.differs {
			t.Errorf("%s expecting %q, explained %v: %+v %v", row.certificate.Name, row.expected, row.explained, results, err)
		}
	}
	// A key that is not the certificate's ends in TLS, which is a refusal.
	broken := drill.Certificate{Name: "broken", Expected: mtls.CheckKey, Chain: other.Transport, Key: tpp.TransportKey}
	cases := drill.Server{Provider: tpp.Provider, Roots: s.Roots()}.Present(tpp.Participant, []drill.Certificate{broken})
	results, err := drill.Run(t.Context(), cases, nil)
	if err != nil || results[0].Differs || !strings.HasPrefix(results[0].Seen, "no answer: ") {
		t.Errorf("%+v %v", results, err)
	}
	// It is none from a server that would have said why.
	if strict, err := drill.Run(t.Context(), cases, explained(s)); err != nil || !strict[0].Differs {
		t.Errorf("%+v %v", strict, err)
	}
	if text, err := json.Marshal(results[0]); err != nil || !strings.Contains(string(text), `"differs":false`) {
		t.Errorf("%s %v", text, err)
	}
}
