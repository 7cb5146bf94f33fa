package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
)

// openTrust reads the realm's CAs and CRLs. A file that is missing, empty or no
// certificate stops the start: a realm that trusts nobody by accident, or
// everybody, is not a realm.
func (r *realm) openTrust(ctx context.Context, s *Server) error {
	if r.config.Trust.SandboxCA {
		r.ca = s.ca
	}
	for _, file := range r.config.Trust.CAs {
		r.caFiles = append(r.caFiles, s.path(file))
	}
	r.caStates = states(r.caFiles)
	trust, err := r.buildTrust()
	if err != nil {
		return err
	}
	r.trust.Store(trust)
	issuers, err := readCertificates(s.path, r.config.Trust.CAs)
	if err != nil {
		return err
	}
	for _, file := range r.config.Trust.CRLs {
		crl, err := certs.LoadCRLFile(certs.CRLFileConfig{Path: s.path(file), Issuers: issuers, Now: r.now})
		if err != nil {
			return err
		}
		r.crls = append(r.crls, crl)
	}
	if len(r.crls) > 0 {
		r.foreign, err = openForeign(ctx, r.name, s.store, r.crls, r.now)
	}
	return err
}

// buildTrust makes a new trust from the files as they are now.
func (r *realm) buildTrust() (*mtls.Trust, error) {
	config := mtls.TrustConfig{Revoked: r.revoked}
	if r.ca != nil {
		config.Roots = append(config.Roots, r.ca.Root())
		config.Intermediates = append(config.Intermediates, r.ca.Issuing())
	}
	for _, file := range r.caFiles {
		list, err := readCertificates(nil, []string{file})
		if err != nil {
			return nil, err
		}
		config.Add(list...)
	}
	return mtls.NewTrust(config)
}

// refresh takes up changed CA files. A bad file changes nothing but the log.
func (r *realm) refresh() {
	now := states(r.caFiles)
	for i, state := range now {
		if certs.Unchanged(r.caStates[i], state) {
			continue
		}
		r.caStates = now
		trust, err := r.buildTrust()
		if err != nil {
			r.log.Error("a changed CA file was not taken up; the old CAs stay trusted", "realm", r.name, "error", err.Error())
			return
		}
		r.trust.Store(trust)
		r.log.Info("the trusted CAs were read again", "realm", r.name)
		return
	}
}

// revoked asks our own CA and every configured CRL.
func (r *realm) revoked(leaf, issuer *x509.Certificate) (mtls.Revocation, bool) {
	if r.ca != nil {
		if revocation, yes := r.ca.Revoked(leaf, issuer); yes {
			return revocation, true
		}
	}
	for _, crl := range r.crls {
		if revocation, yes := crl.Revoked(leaf, issuer); yes {
			return revocation, true
		}
	}
	return mtls.Revocation{}, false
}

// certificateRevoked reports whether our CA or, as far as it has been seen here,
// another one has revoked the certificate with this x5t#S256.
func (r *realm) certificateRevoked(thumbprint string) bool {
	return r.ca != nil && r.ca.RevokedThumbprint(thumbprint) || r.foreign != nil && r.foreign.revoked(thumbprint)
}

// states are what the file system says of the files, nil for one that is not there.
func states(files []string) []os.FileInfo {
	all := make([]os.FileInfo, len(files))
	for i, file := range files {
		if state, err := os.Stat(file); err == nil {
			all[i] = state
		}
	}
	return all
}

// readCertificates reads PEM files with at least one certificate each.
func readCertificates(path func(string) string, files []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, file := range files {
		if path != nil {
			file = path(file)
		}
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, err
		}
		found, err := parseCertificates(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return found, nil
}
