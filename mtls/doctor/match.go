package doctor

import (
	"crypto/x509"
	"fmt"

	"github.com/fapid/fapid/mtls"
)

// Match says whether a registered tls_client_auth_subject_dn is the subject of
// a certificate.
type Match struct {
	Registered string `json:"registered"`
	Strict     bool   `json:"strict"`    // RDN by RDN, as RFC 4517 section 4.2.15 says
	AnyOrder   bool   `json:"any_order"` // the same RDNs, in whatever order
	Brazil     bool   `json:"brazil"`    // likewise, and in the spelling of Open Finance Brasil
	Problem    string `json:"problem,omitempty"`
	// BrazilProblem is why Open Finance Brasil would not have it registered.
	BrazilProblem string `json:"brazil_problem,omitempty"`

	// First difference when compared strictly; RDN 1 is the most specific.
	RDN       int    `json:"rdn,omitempty"`
	Expected  string `json:"registered_rdn,omitempty"`
	Presented string `json:"presented_rdn,omitempty"`
}

// CompareSubject compares a registered string with a certificate's subject.
func CompareSubject(registered string, leaf *x509.Certificate) Match {
	m := Match{Registered: registered}
	want, err := mtls.ParseDN(registered)
	if err != nil {
		m.Problem = err.Error()
		return m
	}
	have, err := mtls.ParseName(leaf.RawSubject)
	if err != nil {
		m.Problem = fmt.Sprintf("subject of the certificate: %v", err)
		return m
	}
	m.AnyOrder = mtls.CompareNames(want, have, mtls.MatchAnyOrder) == nil
	m.Brazil = m.AnyOrder
	if _, err := mtls.ParseBrazilDN(registered); err != nil {
		m.Brazil, m.BrazilProblem = false, err.Error()
	}
	difference := mtls.CompareNames(want, have, mtls.MatchStrict)
	if difference == nil {
		m.Strict = true
		return m
	}
	m.RDN, m.Expected, m.Presented = difference.Index, difference.Registered, difference.Presented
	return m
}
