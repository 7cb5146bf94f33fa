package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

// renewSamples issues the certificates of the sample clients anew before they end, so
// that a sandbox works as long as it is kept. Keys and names stay, and the old
// certificates are good until they end. What fails is logged: the sandbox works
// without it, for a while.
func (s *Server) renewSamples(ctx context.Context) {
	var due time.Time
	for _, sample := range samples {
		realm, ok := s.realms[sample.realm]
		if !ok {
			continue
		}
		p, err := participant.Load(s.clientDir(sample.id))
		if err == nil {
			err = s.renewSample(ctx, realm, sample, p)
		}
		if err != nil {
			s.options.Log.Error("the certificates of a sample client could not be renewed", "client_id", sample.id, "error", err.Error())
			continue
		}
		for _, chain := range [][]*x509.Certificate{p.Transport, p.Signing} {
			if len(chain) == 0 {
				continue
			}
			if at := chain[0].NotAfter.Add(-renewBefore); due.IsZero() || at.Before(due) {
				due = at
			}
		}
	}
	// What was not to be renewed is not looked at every minute.
	if soonest := s.options.Now().Add(time.Hour); due.Before(soonest) {
		due = soonest
	}
	s.samplesDue = due
}

// renewSample renews what ends soon, in the folder and in the registration.
func (s *Server) renewSample(ctx context.Context, realm *realm, sample sample, p *participant.Participant) error {
	transport, err := s.renewedChain(ctx, sample, p.Transport, p.TransportKey, sample.selfSigned)
	if err != nil {
		return err
	}
	signing, err := s.renewedChain(ctx, sample, p.Signing, p.SigningKey, false)
	if err != nil || transport == nil && signing == nil {
		return err
	}
	if transport != nil {
		p.Transport = transport
	}
	if signing != nil {
		p.Signing = signing
	}
	registered := p.Metadata.JWKS
	if err := p.Publish(sample.selfSigned); err != nil {
		return err
	}
	client, ok := realm.clients.Get(sample.id)
	if ok && sameJSON(client.Metadata.JWKS, registered) { // nobody has changed it
		metadata := client.Metadata
		metadata.JWKS = p.Metadata.JWKS
		if _, _, err := realm.clients.Put(ctx, metadata); err != nil {
			return err
		}
	}
	s.options.Log.Info("the certificates of a sample client were renewed", "client_id", sample.id)
	return p.Save(s.clientDir(sample.id))
}

// renewedChain is what takes the place of a certificate; nil where that is still
// good for long, is not ours, or was revoked, which somebody meant.
func (s *Server) renewedChain(ctx context.Context, sample sample, chain []*x509.Certificate, key crypto.Signer, selfSigned bool) ([]*x509.Certificate, error) {
	if len(chain) == 0 || s.options.Now().Before(chain[0].NotAfter.Add(-renewBefore)) {
		return nil, nil
	}
	leaf := chain[0]
	if selfSigned && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		holder, err := subject(sample)
		if err != nil {
			return nil, err
		}
		renewed, err := certs.SelfSigned(holder, key, s.options.Now(), selfSignedLife)
		return []*x509.Certificate{renewed}, err
	}
	if leaf.CheckSignatureFrom(s.ca.Issuing()) != nil {
		return nil, nil
	}
	issued, err := s.ca.Renew(ctx, certs.SerialOf(leaf), certs.Renewal{})
	if code := oauth.AsError(err).Code; err != nil && (code == oauth.CodeInvalidRequest || code == oauth.CodeNotFound) {
		return nil, nil // revoked, or of another store
	}
	if err != nil {
		return nil, err
	}
	return issued.Chain, nil
}

// sameJSON compares two texts but for their white space.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
