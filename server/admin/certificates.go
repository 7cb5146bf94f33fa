package admin

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"slices"
	"strings"

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
	// SANs are subject alternative names: DNS:host, IP:address, URI:uri or
	// email:address; without the kind it is guessed. Empty takes those of CSR.
	SANs []string `json:"sans,omitempty"`
	// Owner labels the record, such as with a client_id.
	Owner string `json:"owner,omitempty"`
	// Key is the algorithm of the key to make; empty is the profile's first.
	Key certs.KeyAlgorithm `json:"key,omitempty"`
	// CSR is a PEM certificate request to sign instead of making a key.
	CSR string `json:"csr,omitempty"`
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
	if err := decode(r, &request, "profile", "subject", "sans", "owner", "key", "csr"); err != nil {
		return nil, err
	}
	if request.Profile == "" {
		request.Profile = certs.ProfileClient
	}
	subject := certs.Subject{Owner: request.Owner}
	var csr *x509.CertificateRequest
	if request.CSR != "" {
		if csr, err = certs.ParseCSR([]byte(request.CSR)); err != nil {
			return nil, err
		}
		takeOver(&subject, csr, &request)
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

// takeOver fills in from the CSR what the request does not say itself.
func takeOver(subject *certs.Subject, csr *x509.CertificateRequest, request *IssueRequest) {
	if request.Subject == "" {
		subject.Raw = csr.RawSubject
	}
	if len(request.SANs) > 0 {
		return
	}
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
	issued, err := ca.Renew(ctx, r.Path["serial"])
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

func (o *Operator) crl(ctx context.Context, _ *endpoint.Request) (*endpoint.Answer, error) {
	ca, err := o.authority()
	if err != nil {
		return nil, err
	}
	der, err := ca.CRL(ctx)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{Body: der, Type: "application/pkix-crl"}, nil
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
