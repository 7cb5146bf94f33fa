package certs_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/testkeys"
)

func (s sandbox) reopen(t testing.TB) sandbox {
	t.Helper()
	again, err := certs.Load(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.Authority = again
	return s
}

func (s sandbox) list(t testing.TB) *x509.RevocationList {
	t.Helper()
	der, err := s.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(s.Issuing()); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRevoke(t *testing.T) {
	s := newSandbox(t)
	one, two := s.client(t, testkeys.P256(1)), s.client(t, testkeys.P256(2))
	if _, revoked := s.Revoked(one.Certificate, s.Issuing()); revoked {
		t.Fatal("revoked at birth")
	}
	if err := s.Revoke(t.Context(), one.Record.Serial, certs.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), one.Record.Serial, certs.ReasonSuperseded); err != nil {
		t.Fatal("again:", err)
	}
	for name, s := range map[string]sandbox{"at once": s, "after a restart": s.reopen(t)} {
		t.Run(name, func(t *testing.T) {
			want := mtls.Revocation{Time: s.clock.now, Reason: "keyCompromise"}
			if got, revoked := s.Revoked(one.Certificate, s.Issuing()); !revoked || got != want {
				t.Errorf("%+v %v", got, revoked)
			}
			if _, revoked := s.Revoked(two.Certificate, s.Issuing()); revoked {
				t.Error("the other one is revoked too")
			}
			if !s.RevokedThumbprint(one.Record.Thumbprint) || s.RevokedThumbprint(two.Record.Thumbprint) {
				t.Error("thumbprints")
			}
			record, err := s.Get(t.Context(), one.Record.Serial)
			if err != nil || record.Status != certs.StatusRevoked || record.Revoked.Reason != certs.ReasonKeyCompromise {
				t.Errorf("%+v %v", record, err)
			}
			_, err = s.Renew(t.Context(), one.Record.Serial, certs.Renewal{})
			refused(t, err, "revoked")
			entries := s.list(t).RevokedCertificateEntries
			if len(entries) != 1 || entries[0].SerialNumber.Cmp(one.Certificate.SerialNumber) != 0 || entries[0].ReasonCode != 1 {
				t.Errorf("%+v", entries)
			}
		})
	}
	allocations := testing.AllocsPerRun(100, func() { s.Revoked(one.Certificate, s.Issuing()) })
	if allocations > 0 {
		t.Errorf("Revoked allocates %v times", allocations)
	}
}

// TestRevokedOfOthers: the same serial number under another CA is not revoked.
func TestRevokedOfOthers(t *testing.T) {
	s, other := newSandbox(t), newSandbox(t)
	issued := s.client(t, testkeys.P256(1))
	if err := s.Revoke(t.Context(), issued.Record.Serial, certs.ReasonUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, revoked := s.Revoked(issued.Certificate, other.Issuing()); revoked {
		t.Error("revoked under another CA of the same name")
	}
	if _, revoked := s.Revoked(issued.Certificate, nil); !revoked {
		t.Error("not revoked without issuer")
	}
	if _, revoked := s.Revoked(s.Issuing(), s.Root()); revoked {
		t.Error("issuing CA revoked")
	}
	odd := *issued.Certificate
	odd.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 4096)
	if _, revoked := s.Revoked(&odd, s.Issuing()); revoked {
		t.Error("huge serial number revoked")
	}
}

func TestRevokeRefusals(t *testing.T) {
	s := newSandbox(t)
	issued := s.client(t, testkeys.P256(1))
	refused(t, s.Revoke(t.Context(), issued.Record.Serial, 6), "certificateHold")
	refused(t, s.Revoke(t.Context(), "xyz", 0), "not a serial number")
	var refusal oauth.Error
	if err := s.Revoke(t.Context(), "01", 0); !errors.As(err, &refusal) || refusal.Code != oauth.CodeNotFound {
		t.Errorf("unknown serial: %v", err)
	}
	for _, text := range []string{"KEYCOMPROMISE", "superseded", ""} {
		if _, err := certs.ParseReason(text); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{"certificateHold", "removeFromCRL", "no"} {
		_, err := certs.ParseReason(text)
		refused(t, err, "reason")
	}
}

func TestCRL(t *testing.T) {
	s := newSandbox(t)
	issued := s.client(t, testkeys.P256(1))
	first := s.list(t)
	if len(first.RevokedCertificateEntries) != 0 || first.Number.Sign() != 1 || first.NextUpdate.Sub(s.clock.now) != 24*time.Hour {
		t.Errorf("%+v", first)
	}
	grew := func(why string, before, after *x509.RevocationList) {
		t.Helper()
		if after.Number.Cmp(before.Number) <= 0 {
			t.Errorf("%s: number %v after %v", why, after.Number, before.Number)
		}
	}
	if again := s.list(t); again.Number.Cmp(first.Number) != 0 {
		t.Error("not cached")
	}
	if err := s.Revoke(t.Context(), issued.Record.Serial, certs.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	second := s.list(t)
	grew("revocation", first, second)
	s.clock.now = s.clock.now.Add(12*time.Hour - time.Second)
	if again := s.list(t); again.Number.Cmp(second.Number) != 0 {
		t.Error("not cached for half of its life")
	}
	s.clock.now = s.clock.now.Add(time.Second)
	third := s.list(t)
	grew("half-life", second, third)
	fourth := s.reopen(t).list(t)
	grew("restart", third, fourth)
	s.clock.now = s.clock.now.Add(-time.Hour)
	fifth := s.reopen(t).list(t)
	grew("clock set back", fourth, fifth)

	s.clock.now = issued.Certificate.NotAfter.Add(time.Hour)
	if late := s.list(t); len(late.RevokedCertificateEntries) != 1 {
		t.Error("dropped before a CRL after its end was out")
	}
	s.clock.now = issued.Certificate.NotAfter.Add(25 * time.Hour)
	if late := s.list(t); len(late.RevokedCertificateEntries) != 0 {
		t.Error("listed long after its end")
	}
	if _, revoked := s.reopen(t).Revoked(issued.Certificate, s.Issuing()); !revoked {
		t.Error("forgotten: a realm's clock may be behind")
	}
}

func TestRenewAndList(t *testing.T) {
	s := newSandbox(t)
	old := s.client(t, testkeys.P256(1))
	if _, err := s.Issue(t.Context(), certs.ProfileSigning, certs.Subject{Name: tpp(t).Name}, certs.KeyRequest{Key: testkeys.P256(2)}); err != nil {
		t.Fatal(err)
	}
	s.clock.now = old.Certificate.NotAfter.Add(time.Hour)
	renewed, err := s.Renew(t.Context(), "0X"+strings.ToUpper(old.Record.Serial), certs.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	got, want := renewed.Record, old.Record
	if got.Replaces != want.Serial || got.Serial == want.Serial || got.Subject != want.Subject || got.Owner != want.Owner ||
		strings.Join(got.SANs, " ") != strings.Join(want.SANs, " ") || !testkeys.P256(1).PublicKey.Equal(renewed.Certificate.PublicKey) {
		t.Errorf("%+v", got)
	}
	if err := s.verify(renewed.Certificate, x509.ExtKeyUsageClientAuth); err != nil {
		t.Error(err)
	}
	s = s.reopen(t)
	for _, test := range []struct {
		filter certs.Filter
		want   int
	}{
		{certs.Filter{}, 3}, {certs.Filter{Profile: certs.ProfileSigning}, 1}, {certs.Filter{Owner: "tpp-tls"}, 2},
		{certs.Filter{Status: certs.StatusExpired}, 2}, {certs.Filter{Status: certs.StatusValid}, 1},
		{certs.Filter{Limit: 2}, 2}, {certs.Filter{Owner: "nobody"}, 0},
	} {
		records, err := s.List(t.Context(), test.filter)
		if err != nil || len(records) != test.want {
			t.Errorf("%+v: %d records, %v", test.filter, len(records), err)
		}
	}
	seen := map[string]bool{}
	for after := ""; ; {
		page, err := s.List(t.Context(), certs.Filter{After: after, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		after = page[0].Serial
		seen[after] = true
	}
	if len(seen) != 3 {
		t.Errorf("pages held %d records", len(seen))
	}
	text, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(text), `"x5t#S256":"`+mtls.Thumbprint(renewed.Certificate)+`"`) {
		t.Errorf("%s %v", text, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newSandbox(t)
	issued := s.client(t, testkeys.P256(1))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			other, err := s.Issue(t.Context(), certs.ProfileClient, tpp(t), certs.KeyRequest{Algorithm: certs.P256})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Revoke(t.Context(), other.Record.Serial, certs.ReasonSuperseded); err != nil {
				t.Error(err)
			}
			if err := s.Revoke(t.Context(), issued.Record.Serial, certs.ReasonSuperseded); err != nil {
				t.Error(err)
			}
			for _, leaf := range []*x509.Certificate{issued.Certificate, other.Certificate} {
				if _, revoked := s.Revoked(leaf, s.Issuing()); !revoked {
					t.Error("not revoked when Revoke returned")
				}
			}
			if _, err := s.CRL(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(s.list(t).RevokedCertificateEntries); n != 9 {
		t.Errorf("%d entries", n)
	}
}

func BenchmarkRevoked(b *testing.B) {
	s := newSandbox(b)
	issued := s.client(b, testkeys.P256(1))
	b.ReportAllocs()
	for b.Loop() {
		s.Revoked(issued.Certificate, s.Issuing())
	}
}
