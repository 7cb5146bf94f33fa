package directory

import (
	"context"
	"crypto/sha1" //nolint:gosec // x5t of RFC 7517 section 4.8, a member of the records that nothing relies on
	"encoding/base64"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/token"
)

// keyView is a certificate or key as Raidiam's API shows it.
type keyView struct {
	jwk
	OrganisationID string   `json:"OrganisationId"`
	SoftwareIDs    []string `json:"SoftwareStatementIds"`
	ClientName     string   `json:"ClientName,omitempty"`
	Status         string   `json:"Status"`
	KeyType        string   `json:"keyType"`
	ValidFrom      string   `json:"ValidFromDateTime,omitempty"`
	Expiry         string   `json:"ExpiryDateTime,omitempty"`
	SHA1           string   `json:"x5t,omitempty"`
	SHA256         string   `json:"x5thashS256,omitempty"`
	SignedCertPath string   `json:"SignedCertPath,omitempty"`
	JwkPath        string   `json:"JwkPath,omitempty"`
	OrgJwkPath     string   `json:"OrgJwkPath"`
}

// view makes the answer for a key.
func (d *Directory) view(k *Key) keyView {
	view := keyView{
		jwk: d.published(k), OrganisationID: k.OrganisationID, SoftwareIDs: []string{}, KeyType: k.Type,
		Status: d.status(k, d.config.Now()), SHA256: k.Thumbprint,
	}
	set := applicationSet
	if k.Use == useTLS {
		set = transportSet
	}
	if view.Status != statusActive {
		set = inactive + set
	}
	view.OrgJwkPath = d.config.URL + "/" + k.OrganisationID + set
	if k.SoftwareID != "" {
		view.SoftwareIDs, view.JwkPath = []string{k.SoftwareID}, d.ownerURL(k)+set
		if s, ok := find(d, &d.software, k.SoftwareID); ok {
			view.ClientName = s.ClientName
		}
	}
	if len(k.Chain) > 0 {
		sum := sha1.Sum(k.Chain[0]) //nolint:gosec // see the import
		view.SHA1 = base64.RawURLEncoding.EncodeToString(sum[:])
		view.ValidFrom, view.Expiry, view.SignedCertPath = stamp(k.NotBefore), stamp(k.NotAfter), d.keyURL(k)
	}
	return view
}

// listKeys shows the certificates and keys of an owner, of one type where the path
// names it.
func (d *Directory) listKeys(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	organisation, software := r.Path["organisation"], r.Path["software"]
	if _, _, err := d.owner(organisation, software); err != nil {
		return nil, err
	}
	wanted := r.Path["type"]
	if wanted != "" {
		if _, err := findKeyType(wanted, software != ""); err != nil {
			return nil, err
		}
	}
	views := []keyView{}
	for _, k := range d.keysOf(organisation, software, func(k *Key) bool { return wanted == "" || k.Type == wanted }) {
		views = append(views, d.view(k))
	}
	return &endpoint.Answer{JSON: views}, nil
}

// createKey takes a certificate request or, for the types that are bare keys, a
// public JWK. What the body is follows from the type; curl calls everything a form.
func (d *Directory) createKey(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	organisation, software := r.Path["organisation"], r.Path["software"]
	t, err := findKeyType(r.Path["type"], software != "")
	if err != nil {
		return nil, err
	}
	body, err := r.ReadBody()
	if err != nil {
		return nil, err
	}
	add := d.AddKey
	if t.profile != "" {
		add = d.Certify
	}
	k, err := add(ctx, organisation, software, t.name, []byte(body))
	if err != nil {
		return nil, err
	}
	r.Event.Pass("certificate", t.name, k.Subject)
	return d.showed(r, http.StatusCreated, k)
}

// showed answers with a key; with its certificate alone where Accept asks for PEM.
func (d *Directory) showed(r *endpoint.Request, status int, k *Key) (*endpoint.Answer, error) {
	if len(k.Chain) > 0 && wantsPEM(r) {
		return &endpoint.Answer{Status: status, Body: d.pem(k), Type: pemType}, nil
	}
	return document(status, d.view(k))
}

func wantsPEM(r *endpoint.Request) bool {
	return slices.ContainsFunc(strings.Split(r.Header.Get("Accept"), ","), func(entry string) bool {
		media, _, err := mime.ParseMediaType(entry)
		return err == nil && (media == pemType || media == "application/pem-certificate-chain")
	})
}

// keyOf finds the key of a path.
func (d *Directory) keyOf(r *endpoint.Request) (*Key, error) {
	organisation, software := r.Path["organisation"], r.Path["software"]
	if _, _, err := d.owner(organisation, software); err != nil {
		return nil, err
	}
	k, err := d.keyAt(organisation, software, r.Path["kid"])
	if err != nil || k.Type != r.Path["type"] {
		return nil, oauth.NotFound("no %s %s here", oauth.Clip(r.Path["type"]), oauth.Clip(r.Path["kid"]))
	}
	return k, nil
}

func (d *Directory) showKey(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	k, err := d.keyOf(r)
	if err != nil {
		return nil, err
	}
	return d.showed(r, http.StatusOK, k)
}

// revocation is the body of a change to a certificate.
type revocation struct {
	Reason string `json:"RevokeReason"`
	Status string `json:"Status"`
}

// revokeKey ends a certificate or key: by DELETE, or by PUT with a reason.
func (d *Directory) revokeKey(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	k, err := d.keyOf(r)
	if err != nil {
		return nil, err
	}
	var request revocation
	if r.Method == http.MethodPut {
		if err := read(r, &request); err != nil {
			return nil, err
		}
		if request.Reason == "" && request.Status != statusRevoked && request.Status != statusInactive {
			return nil, oauth.InvalidRequest("send RevokeReason, or Status Revoked or Inactive; a key does not come back")
		}
	}
	reason, err := certs.ParseReason(request.Reason)
	if err != nil {
		return nil, err
	}
	ended, err := d.EndKey(ctx, k, reason)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodDelete {
		return gone()
	}
	return document(http.StatusOK, d.view(ended))
}

// statementKeys are the keys that sign statements, without their private halves.
type statementKeys struct {
	Keys []token.KeyRecord `json:"keys"`
}

func (d *Directory) listStatementKeys(context.Context, *endpoint.Request, caller) (*endpoint.Answer, error) {
	return &endpoint.Answer{JSON: statementKeys{d.keyring.Keys()}}, nil
}

// rotateStatementKeys makes the next key sign, of one algorithm or of all.
func (d *Directory) rotateStatementKeys(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	values, err := query(r, "alg")
	if err != nil {
		return nil, err
	}
	algs := StatementAlgs
	if alg := values.Get("alg"); alg != "" {
		if !slices.Contains(StatementAlgs, alg) {
			return nil, oauth.InvalidRequest("alg is one of %v", StatementAlgs)
		}
		algs = []string{alg}
	}
	if err := d.keyring.Rotate(ctx, algs...); err != nil {
		return nil, err
	}
	return d.listStatementKeys(ctx, r, by)
}
