package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
)

// furnishDirectory adds the sample organisations and the sandbox's own server to
// the directory. What was deleted stays away, because its id is not given out
// again; only the server's addresses are kept true.
func (s *Server) furnishDirectory(ctx context.Context) error {
	if s.directory == nil {
		return nil
	}
	for _, organisation := range sampleOrganisations() {
		if _, there := s.directory.Organisation(organisation.ID); there {
			continue
		}
		if _, err := s.directory.CreateOrganisation(ctx, organisation); err != nil && !wasThere(err) {
			return fmt.Errorf("sample organisation %s: %w", organisation.OrganisationName, err)
		}
	}
	own := s.ownServer()
	if there, ok := s.directory.Server(own.ID); ok && there.OpenIDDiscoveryDocument == own.OpenIDDiscoveryDocument {
		return nil
	}
	_, err := s.directory.PutServer(ctx, own, func(*directory.AuthorisationServer) error { return nil })
	if err != nil && !wasThere(err) {
		return fmt.Errorf("the sandbox's own server in the directory: %w", err)
	}
	return nil
}

// wasThere reports whether something cannot be made because it was there once, or
// because what it belongs to was deleted.
func wasThere(err error) bool {
	refusal, ok := errors.AsType[oauth.Error](err)
	return ok && (refusal.Status == http.StatusConflict || refusal.Status == http.StatusNotFound)
}

// ownServer is the directory's entry of the realm that it belongs to.
func (s *Server) ownServer() directory.AuthorisationServer {
	r := s.realms[s.order[0]]
	bank := r.site.MTLSURL + r.site.Path("bank")
	return directory.AuthorisationServer{
		ID: sampleServer, OrganisationID: sampleBank, CustomerFriendlyName: "fapid sandbox bank",
		Issuer: r.config.Issuer, OpenIDDiscoveryDocument: r.config.Issuer + "/.well-known/openid-configuration",
		PayloadSigningCertLocationURI: r.site.StandardURL + r.site.Path("jwks_uri"),
		APIResources: []directory.APIResource{{
			ID: "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e04", Family: "accounts", Version: "1.0.0", FamilyComplete: true,
			Endpoints: []directory.APIEndpoint{
				{ID: "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e05", URI: bank + "/accounts"},
				{ID: "7c9e6a1e-1c5d-4f53-9a63-1d2f5b8a4e06", URI: bank + "/accounts/{AccountId}"},
			},
		}},
	}
}

// enrol makes a sample client software of the sample organisation, with the
// certificates and keys it has.
func (s *Server) enrol(ctx context.Context, sample sample, p *participant.Participant) error {
	if s.directory == nil || sample.software == "" {
		return nil
	}
	if _, there := s.directory.Software(sample.software); !there {
		if _, err := s.directory.CreateSoftware(ctx, sampleSoftware(sample), 0); wasThere(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if len(p.Transport) > 0 && !s.directory.HasKey(sample.software, mtls.Thumbprint(p.Transport[0])) {
		if _, err := s.directory.AddCertificate(ctx, sampleTPP, sample.software, "rtstransport", p.Transport); err != nil && !wasThere(err) {
			return err
		}
	}
	if s.directory.HasKey(sample.software, p.KeyID) {
		return nil
	}
	key, err := certs.PublicJWK(p.SigningKey.Public(), certs.JWKOptions{})
	if err != nil {
		return err
	}
	published, err := json.Marshal(key)
	if err != nil {
		return err
	}
	if _, err = s.directory.AddKey(ctx, sampleTPP, sample.software, "sigkey", published); wasThere(err) {
		return nil
	}
	return err
}

// sampleSoftware is a sample client as the directory has it.
func sampleSoftware(sample sample) directory.SoftwareStatement {
	home := "https://" + sample.id + ".example.com"
	software := directory.SoftwareStatement{
		ID: sample.software, OrganisationID: sampleTPP, ClientID: sample.id, ClientName: sample.name,
		Description: "Sample client " + sample.id, Environment: "sandbox", Mode: "Test", Version: "1.0",
		ClientURI: home, LogoURI: home + "/logo.svg", PolicyURI: home + "/policy.html", TermsOfServiceURI: home + "/terms.html",
		RedirectURIs: []string{home + "/callback", "https://localhost:8449/callback"},
	}
	for _, role := range sampleRoles() {
		software.Roles = append(software.Roles, directory.SoftwareRole{Domain: role.Domain, Role: role.Role})
	}
	return software
}
