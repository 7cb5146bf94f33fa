package admin

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// IssueRequest asks the CA for a certificate.
type IssueRequest struct {
	// Profile is a name of [certs.Profiles]; empty means client.
	Profile certs.Profile `json:"profile,omitempty"`
	// Subject is an RFC 4514 string, most specific RDN first. Empty takes the
	// one of CSR.
	Subject string `json:"subject,omitempty"`
	// SANs are subject alternative names: DNS:host, IP:address, URI:uri,
	// email:address or otherName:oid=text; without the kind it is guessed. Empty
	// takes those of CSR, which can be of the first four kinds.
	SANs []string `json:"sans,omitempty"`
	// Owner labels the record, such as with a client_id.
	Owner string `json:"owner,omitempty"`
	// Key is the algorithm of the key to make; empty is the profile's first.
	Key certs.KeyAlgorithm `json:"key,omitempty"`
	// CSR is a PEM certificate request to sign instead of making a key.
	CSR string `json:"csr,omitempty"`
	Term
	// PSD2Roles are what the holder may do, NCAName and NCAID whose word that is,
	// for the profiles that state it (see [certs.Profile.PSD2]).
	PSD2Roles []string `json:"psd2_roles,omitempty"`
	NCAName   string   `json:"nca_name,omitempty"`
	NCAID     string   `json:"nca_id,omitempty"`
}

// Term is how long a certificate lasts: so many days from now, or until a time; by
// default as long as its profile and the CA allow.
type Term struct {
	Days     int       `json:"days,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
}

// end is the end of the term; zero for the default.
func (t Term) end(now time.Time) (time.Time, error) {
	switch {
	case t.Days < 0:
		return time.Time{}, oauth.InvalidRequest("days is %d; a certificate lasts at least one", t.Days)
	case t.Days > 0 && !t.NotAfter.IsZero():
		return time.Time{}, oauth.InvalidRequest("days and not_after both say when the certificate ends; give one of them")
	case t.Days > 0:
		return now.UTC().Truncate(time.Second).AddDate(0, 0, min(t.Days, maxDays)), nil
	}
	return t.NotAfter, nil
}

// maxDays is more than any certificate lasts, and few enough to add to a date.
const maxDays = 100_000

// RenewRequest says how a renewed certificate differs from the old one. Empty, it
// is for the same key, and the old one stays valid until it ends.
type RenewRequest struct {
	// NewKey has a key made: of the algorithm Key, or of the old one's.
	NewKey bool               `json:"new_key,omitempty"`
	Key    certs.KeyAlgorithm `json:"key,omitempty"`
	// CSR is a PEM certificate request with the key to certify; nothing else of it
	// counts.
	CSR string `json:"csr,omitempty"`
	Term
	// RevokeOld revokes the old certificate, as superseded, when the new one is
	// there.
	RevokeOld bool `json:"revoke_old,omitempty"`
}

// Issued is a fresh certificate.
type Issued struct {
	certs.Record
	Chain string `json:"chain"` // PEM: leaf and issuing CA, as a TLS peer sends them
	Root  string `json:"root"`  // PEM of the certificate to trust
	// PrivateKey is PKCS #8, PEM, where the key was made here. The server keeps
	// no copy.
	PrivateKey string `json:"private_key,omitempty"`
}

// CertificatePage is a page of certificates, in the order of serial numbers.
type CertificatePage struct {
	Certificates []certs.Record `json:"certificates"`
	// Next is the cursor of the next page; empty on the last.
	Next string `json:"next,omitempty"`
}

// authority refuses where there is no CA to ask.
func (o *Operator) authority() (*certs.Authority, error) {
	if o.CA == nil {
		return nil, oauth.NotFound("this server keeps no CA")
	}
	return o.CA, nil
}

func (o *Operator) listCertificates(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	page, err := o.Lists.Page(r, "certificates", endpoint.PlainPaging, "profile", "owner", "status")
	if err != nil {
		return nil, err
	}
	wanted := certs.Filter{
		Profile: certs.Profile(page.Filter.Get("profile")),
		Owner:   page.Filter.Get("owner"),
		Status:  certs.Status(page.Filter.Get("status")),
		After:   page.After,
		Limit:   page.Limit + 1,
	}
	switch wanted.Status {
	case "", certs.StatusValid, certs.StatusRevoked, certs.StatusExpired:
	default:
		return nil, oauth.InvalidRequest("status is valid, revoked or expired")
	}
	list, err := ca.List(ctx, wanted)
	if err != nil {
		return nil, err
	}
	answer := CertificatePage{Certificates: []certs.Record{}}
	if len(list) > page.Limit {
		list = list[:page.Limit]
		answer.Next = page.Next(list[page.Limit-1].Serial)
	}
	answer.Certificates = append(answer.Certificates, list...)
	return endpoint.JSONDocument(http.StatusOK, answer)
}

func (o *Operator) showCertificate(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	record, err := ca.Get(ctx, r.Path["serial"])
	if err != nil {
		return nil, err
	}
	return endpoint.JSONDocument(http.StatusOK, record)
}

// issueCertificate issues for a key that is made here, or signs a CSR. Whoever
// has the operator key vouches for the names.
func (o *Operator) issueCertificate(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	var request IssueRequest
	if err := decode(r, &request, "profile", "subject", "sans", "owner", "key", "csr", "days", "not_after", "psd2_roles", "nca_name", "nca_id"); err != nil {
		return nil, err
	}
	if request.Profile == "" {
		request.Profile = certs.ProfileClient
	}
	subject := certs.Subject{Owner: request.Owner}
	if subject.NotAfter, err = request.end(o.Now()); err != nil {
		return nil, err
	}
	if len(request.PSD2Roles) > 0 || request.NCAName != "" || request.NCAID != "" {
		subject.PSD2 = &mtls.PSD2{Roles: request.PSD2Roles, NCAName: request.NCAName, NCAID: request.NCAID}
	}
	var csr *x509.CertificateRequest
	if request.CSR != "" {
		if csr, err = certs.ParseCSR([]byte(request.CSR)); err != nil {
			return nil, err
		}
		if err := o.takeOver(&subject, csr, &request); err != nil {
			return nil, err
		}
	}
	if err := name(&subject, &request); err != nil {
		return nil, err
	}
	var issued *certs.Issued
	if csr != nil {
		issued, err = ca.Sign(ctx, request.Profile, csr, subject)
	} else {
		issued, err = ca.Issue(ctx, request.Profile, subject, certs.KeyRequest{Algorithm: request.Key})
	}
	if err != nil {
		return nil, err
	}
	return o.issued(issued)
}

// takeOver fills in from the CSR what the request does not say itself. Names by
// which a client is registered make a certificate that client's, so they are taken
// for that owner only: whoever made the CSR may have hoped that nobody looks.
func (o *Operator) takeOver(subject *certs.Subject, csr *x509.CertificateRequest, request *IssueRequest) error {
	var name mtls.Name
	if request.Subject == "" {
		var err error
		if name, err = mtls.ParseName(csr.RawSubject); err != nil {
			return oauth.InvalidRequest("the subject of the certificate request cannot be read").Because("%w", err)
		}
		subject.Raw = csr.RawSubject
	}
	if len(request.SANs) == 0 {
		takeNames(subject, csr)
	}
	for _, client := range o.Named(name, subject) {
		if client != request.Owner {
			return oauth.InvalidRequest("the certificate request asks for a name by which client %s is registered; say owner %s if it is for that client, or give subject and sans", oauth.Clip(client), oauth.Clip(client))
		}
	}
	return nil
}

func takeNames(subject *certs.Subject, csr *x509.CertificateRequest) {
	subject.DNS, subject.Email = csr.DNSNames, csr.EmailAddresses
	for _, ip := range csr.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			subject.IP = append(subject.IP, address)
		}
	}
	for _, uri := range csr.URIs {
		subject.URI = append(subject.URI, uri.String())
	}
}

// name reads the names that the request gives itself.
func name(subject *certs.Subject, request *IssueRequest) (err error) {
	if request.Subject == "" && subject.Raw == nil {
		return oauth.InvalidRequest("subject is missing; give one as an RFC 4514 string, such as CN=tpp,O=Example,C=GB")
	}
	if request.Subject != "" {
		if subject.Name, err = mtls.ParseDN(request.Subject); err != nil {
			return oauth.InvalidRequest("subject: %s", err)
		}
	}
	for _, san := range request.SANs {
		if err := addSAN(subject, san); err != nil {
			return err
		}
	}
	return nil
}

// addSAN reads a name as certificate records spell it.
func addSAN(subject *certs.Subject, san string) error {
	kind, value, found := strings.Cut(san, ":")
	kind = strings.ToLower(kind)
	if _, err := netip.ParseAddr(san); err == nil {
		kind, value, found = "ip", san, true
	}
	switch {
	case found && kind == "dns":
		subject.DNS = append(subject.DNS, value)
	case found && kind == "ip":
		address, err := netip.ParseAddr(value)
		if err != nil {
			return oauth.InvalidRequest("%s is not an IP address", oauth.Clip(value))
		}
		subject.IP = append(subject.IP, address)
	case found && kind == "email":
		subject.Email = append(subject.Email, value)
	case found && kind == "uri":
		subject.URI = append(subject.URI, value)
	case found && kind == "othername":
		dotted, text, _ := strings.Cut(value, "=")
		oid, err := mtls.ParseOID(dotted)
		if err != nil {
			return oauth.InvalidRequest("otherName is written otherName:oid=text: %s", err)
		}
		subject.Others = append(subject.Others, mtls.OtherName{OID: oid, Value: text})
	case found:
		subject.URI = append(subject.URI, san)
	case strings.Contains(san, "@"):
		subject.Email = append(subject.Email, san)
	default:
		subject.DNS = append(subject.DNS, san)
	}
	return nil
}

func (o *Operator) issued(issued *certs.Issued) (*endpoint.Answer, error) {
	answer := Issued{
		Record: issued.Record,
		Chain:  string(certs.CertificatePEM(issued.Chain...)),
		Root:   string(certs.CertificatePEM(o.CA.Root())),
	}
	answer.Status = certs.StatusValid
	if issued.Key != nil {
		key, err := certs.KeyPEM(issued.Key)
		if err != nil {
			return nil, err
		}
		answer.PrivateKey = string(key)
	}
	return endpoint.JSONDocument(http.StatusCreated, answer)
}

func (o *Operator) renewCertificate(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	var request RenewRequest
	if r.ContentLength != 0 {
		if err := decode(r, &request, "new_key", "key", "csr", "days", "not_after", "revoke_old"); err != nil {
			return nil, err
		}
	}
	renewal := certs.Renewal{NewKey: request.NewKey, Algorithm: request.Key, RevokeOld: request.RevokeOld}
	if renewal.NotAfter, err = request.end(o.Now()); err != nil {
		return nil, err
	}
	if request.CSR != "" {
		if renewal.CSR, err = certs.ParseCSR([]byte(request.CSR)); err != nil {
			return nil, err
		}
	}
	issued, err := ca.Renew(ctx, r.Path["serial"], renewal)
	if err != nil {
		return nil, err
	}
	return o.issued(issued)
}

// revocation is the body of a revocation; without one the reason is unspecified.
type revocation struct {
	Reason certs.Reason `json:"reason"`
}

func (o *Operator) revokeCertificate(ctx context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	var request revocation
	if r.ContentLength != 0 {
		if err := decode(r, &request, "reason"); err != nil {
			return nil, err
		}
	}
	serial := r.Path["serial"]
	if err := ca.Revoke(ctx, serial, request.Reason); err != nil {
		return nil, err
	}
	return o.showCertificate(ctx, r)
}

// decode reads a JSON body strictly: no unknown member, none twice, names in
// their own case.
func decode(r *endpoint.Request, into any, known ...string) error {
	if r.ContentType() != "application/json" {
		return oauth.UnsupportedMediaType("Content-Type must be application/json")
	}
	body, err := r.ReadBody()
	if err != nil {
		return err
	}
	var members map[string]strict.RawMessage
	if err := strict.Unmarshal([]byte(body), &members); err != nil {
		return oauth.InvalidRequest("the body is not a JSON object: %s", err)
	}
	for member := range members {
		if !slices.Contains(known, member) {
			return oauth.InvalidRequest("unknown member %s; there are %s", oauth.Clip(member), strings.Join(known, ", "))
		}
	}
	if err := strict.Unmarshal([]byte(body), into); err != nil {
		return oauth.InvalidRequest("the body: %s", err)
	}
	return nil
}
