package directory

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/testkeys"
)

// Key is a certificate or a key of software, or of an organisation itself. What
// counts no more is in the inactive set, because what was signed with it has to be
// verified still; the last [maxEnded] of an owner are kept.
type Key struct {
	// ID is the kid: x5t#S256 for a certificate, so that another certificate for
	// the same key is another kid; the participant's own for a bare key.
	ID             string `json:"kid"`
	Type           string `json:"type"` // a row of keyTypes
	Use            string `json:"use"`
	OrganisationID string `json:"organisation"`
	SoftwareID     string `json:"software,omitempty"` // empty: the organisation's own
	Status         string `json:"status"`             // Active, Inactive or Revoked; see [Directory.status]
	Public         public `json:"public"`
	// Chain are the certificates, DER, the key's own first; that of our CA is
	// left out. A bare key has none, because nobody has looked at what it says.
	Chain [][]byte `json:"chain,omitempty"`
	// Serial is that of our CA, which ends with the key; empty for others.
	Serial     string    `json:"serial,omitempty"`
	Thumbprint string    `json:"x5t#S256,omitempty"`
	Subject    string    `json:"subject,omitempty"` // RFC 4514
	NotBefore  time.Time `json:"not_before,omitzero"`
	NotAfter   time.Time `json:"not_after,omitzero"`
	Ended      time.Time `json:"ended,omitzero"` // when it was revoked or taken out of use
}

// public are the members of a public key in a JWK (RFC 7518 section 6).
type public struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	Alg string `json:"alg,omitempty"`
}

const statusRevoked, statusExpired = "Revoked", "Expired"

// record is where a key is kept: kids are unique for each owner.
func (k *Key) record() string { return k.owner() + "/" + k.ID }

func (k *Key) owner() string {
	if k.SoftwareID != "" {
		return k.SoftwareID
	}
	return k.OrganisationID
}

// status is what a key counts as now: its own, and what has become of its
// certificate.
func (d *Directory) status(k *Key, now time.Time) string {
	switch {
	case k.Status != statusActive:
		return k.Status
	case d.config.CA.RevokedThumbprint(k.Thumbprint):
		return statusRevoked
	case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
		return statusExpired
	}
	return statusActive
}

// keysOf lists the keys of an owner: of software, or of an organisation itself.
func (d *Directory) keysOf(organisation, software string, keep func(*Key) bool) (found []*Key) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, k := range d.byOwner[cmp.Or(software, organisation)] {
		if k.OrganisationID == organisation && keep(k) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b *Key) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// putKey writes a key, removeKey removes one.
func (d *Directory) putKey(k *Key) edit {
	put := d.keys.put(k.record(), k)
	return edit{write: put.write, show: func() {
		put.show()
		d.index(k)
	}}
}

func (d *Directory) removeKey(k *Key) edit {
	remove := d.keys.remove(k.record())
	return edit{write: remove.write, show: func() {
		remove.show()
		if d.byThumbprint[k.Thumbprint] == k.record() { // another may have the certificate, too
			delete(d.byThumbprint, k.Thumbprint)
		}
		delete(d.byOwner[k.owner()], k.ID)
		if len(d.byOwner[k.owner()]) == 0 {
			delete(d.byOwner, k.owner())
		}
	}}
}

// index lets a key be found by its certificate and by its owner.
func (d *Directory) index(k *Key) {
	if k.Thumbprint != "" {
		d.byThumbprint[k.Thumbprint] = k.record()
	}
	keys := d.byOwner[k.owner()]
	if keys == nil {
		keys = map[string]*Key{}
		d.byOwner[k.owner()] = keys
	}
	keys[k.ID] = k
}

// owner finds whose keys a path is about; software is empty for the
// organisation's own.
func (d *Directory) owner(organisation, software string) (*Organisation, *SoftwareStatement, error) {
	o, ok := find(d, &d.organisations, organisation)
	if !ok {
		return nil, nil, oauth.NotFound("no organisation %s", oauth.Clip(organisation))
	}
	if software == "" {
		return o, nil, nil
	}
	s, ok := find(d, &d.software, software)
	if !ok || s.OrganisationID != organisation {
		return nil, nil, oauth.NotFound("no software statement %s of this organisation", oauth.Clip(software))
	}
	return o, s, nil
}

// Certify issues a certificate for the key of a certificate request. Nothing else
// in the request counts: who the certificate is for the directory knows.
func (d *Directory) Certify(ctx context.Context, organisation, software, typeName string, request []byte) (*Key, error) {
	o, s, err := d.owner(organisation, software)
	if err != nil {
		return nil, err
	}
	t, err := findKeyType(typeName, s != nil)
	if err != nil {
		return nil, err
	}
	if t.profile == "" {
		return nil, oauth.InvalidRequest("%s is a key without a certificate; send a public JWK", t.name)
	}
	csr, err := certs.ParseCSR(request)
	if err != nil {
		return nil, err
	}
	subject, err := t.certificateSubject(o, s)
	if err != nil {
		return nil, err
	}
	if !d.config.AllowTestKeys && testkeys.Known(csr.PublicKey) {
		return nil, oauth.InvalidRequest("the request is for a public test key, whose private key everyone knows; make one of your own")
	}
	if err := d.room(organisation, software); err != nil {
		return nil, err
	}
	issued, err := d.config.CA.Sign(ctx, t.profile, csr, subject)
	if err != nil {
		return nil, err
	}
	return d.AddCertificate(ctx, organisation, software, t.name, issued.Chain)
}

// AddCertificate takes up a certificate that is there already.
func (d *Directory) AddCertificate(ctx context.Context, organisation, software, typeName string, chain []*x509.Certificate) (*Key, error) {
	t, err := findKeyType(typeName, software != "")
	if err != nil {
		return nil, err
	}
	k := Key{Type: t.name, Use: t.use, OrganisationID: organisation, SoftwareID: software, Status: statusActive}
	if err := k.certified(chain, d.config.CA.Issuing()); err != nil {
		return nil, err
	}
	k.ID = k.Thumbprint
	if err := k.of(chain[0].PublicKey, ""); err != nil {
		return nil, err
	}
	return d.addKey(ctx, &k)
}

// certified notes what the key's certificates say.
func (k *Key) certified(chain []*x509.Certificate, ca *x509.Certificate) (err error) {
	leaf := chain[0]
	k.Thumbprint, k.NotBefore, k.NotAfter = mtls.Thumbprint(leaf), leaf.NotBefore, leaf.NotAfter
	if k.Subject, err = distinguishedName(leaf.RawSubject); err != nil {
		return oauth.InvalidRequest("the certificate's subject cannot be read").Because("%w", err)
	}
	if leaf.CheckSignatureFrom(ca) == nil {
		k.Serial = certs.SerialOf(leaf)
	}
	for _, certificate := range chain {
		if !bytes.Equal(certificate.Raw, ca.Raw) {
			k.Chain = append(k.Chain, certificate.Raw)
		}
	}
	return nil
}

// of notes the public key itself.
func (k *Key) of(key crypto.PublicKey, alg string) error {
	text, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	if err == nil {
		err = stdjson.Unmarshal(text, &k.Public)
	}
	if err != nil {
		return oauth.InvalidRequest("the public key is of no kind that a JWK can hold").Because("%w", err)
	}
	k.Public.Alg = alg
	return nil
}

// AddKey publishes a public key that the participant made, a JWK (RFC 7517).
func (d *Directory) AddKey(ctx context.Context, organisation, software, typeName string, jwk []byte) (*Key, error) {
	if _, _, err := d.owner(organisation, software); err != nil {
		return nil, err
	}
	t, err := findKeyType(typeName, software != "")
	if err != nil {
		return nil, err
	}
	if t.profile != "" {
		return nil, oauth.InvalidRequest("%s is a certificate; send a certificate request, PEM or DER", t.name)
	}
	if err := registration.CheckKey(jwk, d.config.AllowTestKeys); err != nil {
		return nil, oauth.InvalidRequest("%s takes a public JWK, and what was sent is refused: %s", t.name, err.Error())
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(jwk); err != nil {
		return nil, oauth.InvalidRequest("the key is not a public JWK").Because("%w", err)
	}
	// The directory vouches for what it publishes: a certificate that anybody can
	// bring would say who they like, and its revocation would be somebody else's.
	if len(key.Certificates) > 0 || key.CertificatesURL != nil || len(key.CertificateThumbprintSHA1)+len(key.CertificateThumbprintSHA256) > 0 {
		return nil, oauth.InvalidRequest("send the key alone, without x5c, x5u and x5t: the directory publishes the certificates that it issued")
	}
	k := Key{ID: key.KeyID, Type: t.name, Use: t.use, OrganisationID: organisation, SoftwareID: software, Status: statusActive}
	if key.Use != "" && key.Use != t.use {
		return nil, oauth.InvalidRequest("use is %q, and a %s has use %s", key.Use, t.name, t.use)
	}
	if _, signsOnly := key.Key.(ed25519.PublicKey); signsOnly && t.use == useEnc {
		return nil, oauth.InvalidRequest("an Ed25519 key can only sign; send an RSA or EC key for encryption")
	}
	if k.ID == "" {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("thumbprint of a key: %w", err)
		}
		k.ID = base64.RawURLEncoding.EncodeToString(sum)
	}
	if !plainKid(k.ID) {
		return nil, oauth.InvalidRequest("kid is %q, expected 1 to 128 of A-Z, a-z, 0-9, -, _, . and ~, because it names a file", oauth.Clip(k.ID))
	}
	if err := k.of(key.Key, key.Algorithm); err != nil {
		return nil, err
	}
	return d.addKey(ctx, &k)
}

// plainKid reports whether a kid can stand in a URL as it is.
func plainKid(kid string) bool {
	if kid == "" || len(kid) > 128 || kid == "." || kid == ".." {
		return false
	}
	for _, c := range []byte(kid) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}

// room refuses more keys of one owner than fit into a key set that others read.
func (d *Directory) room(organisation, software string) error {
	now := d.config.Now()
	if len(d.keysOf(organisation, software, func(k *Key) bool { return d.status(k, now) == statusActive })) >= maxKeys {
		return conflict("there are %d active certificates and keys, the most there may be; revoke one", maxKeys)
	}
	return nil
}

// maxKeys is how many active keys an owner may have: a set of so many with their
// certificates stays below the 64 KiB that readers of key sets take.
const maxKeys = 20

// maxEnded is how many keys that count no more are kept of an owner, so that nobody
// fills the disk by having certificates issued and revoked.
const maxEnded = 100

// ended are the keys of an owner that count no more, those that ended last first.
func (d *Directory) ended(organisation, software string, keep func(*Key) bool) []*Key {
	now := d.config.Now()
	keys := d.keysOf(organisation, software, func(k *Key) bool { return d.status(k, now) != statusActive && keep(k) })
	end := func(k *Key) time.Time {
		if k.Ended.IsZero() {
			return k.NotAfter
		}
		return k.Ended
	}
	slices.SortStableFunc(keys, func(a, b *Key) int { return end(b).Compare(end(a)) })
	return keys
}

// forget removes those that ended first where there are too many.
func (d *Directory) forget(organisation, software string) (edits []edit) {
	ended := d.ended(organisation, software, func(*Key) bool { return true })
	for _, old := range ended[min(maxEnded, len(ended)):] {
		edits = append(edits, d.removeKey(old))
	}
	return edits
}

func (d *Directory) addKey(ctx context.Context, k *Key) (*Key, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if _, _, err := d.owner(k.OrganisationID, k.SoftwareID); err != nil {
		return nil, err
	}
	if err := d.room(k.OrganisationID, k.SoftwareID); err != nil {
		return nil, err
	}
	edits := append(d.forget(k.OrganisationID, k.SoftwareID), d.claim("kid/"+k.record()), d.putKey(k))
	return k, d.commit(ctx, edits...)
}

// keyAt finds a key of an owner by its kid.
func (d *Directory) keyAt(organisation, software, kid string) (*Key, error) {
	k, ok := find(d, &d.keys, (&Key{ID: kid, OrganisationID: organisation, SoftwareID: software}).record())
	if !ok || k.OrganisationID != organisation {
		return nil, oauth.NotFound("no certificate or key %s here", oauth.Clip(kid))
	}
	return k, nil
}

// HasKey reports whether software, or an organisation, has a key with this kid,
// active or not.
func (d *Directory) HasKey(owner, kid string) bool {
	_, ok := find(d, &d.keys, owner+"/"+kid)
	return ok
}

// EndKey moves a key to the inactive set, and revokes its certificate if it is of
// our CA. Ending it again changes nothing.
func (d *Directory) EndKey(ctx context.Context, k *Key, reason certs.Reason) (*Key, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	current, ok := find(d, &d.keys, k.record())
	if !ok {
		return nil, oauth.NotFound("no certificate or key %s here", oauth.Clip(k.ID))
	}
	if current.Status != statusActive {
		return current, nil
	}
	ended := *current
	ended.Status, ended.Ended = statusInactive, d.now()
	if current.Serial != "" {
		if err := d.config.CA.Revoke(ctx, current.Serial, reason); err != nil {
			return nil, err
		}
		ended.Status = statusRevoked
	}
	return &ended, d.commit(ctx, d.putKey(&ended))
}

// removeKeys revokes the certificates among the keys of an owner that goes, and
// gives the edits that remove them all. The caller holds writing.
func (d *Directory) removeKeys(ctx context.Context, of func(*Key) bool) (edits []edit, err error) {
	for _, k := range list(d, &d.keys, of) {
		if k.Serial != "" && k.Status == statusActive {
			if err := d.config.CA.Revoke(ctx, k.Serial, certs.ReasonCessationOfOperation); err != nil {
				return nil, err
			}
		}
		edits = append(edits, d.removeKey(k))
	}
	return edits, nil
}
