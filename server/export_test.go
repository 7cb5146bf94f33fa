package server

import (
	"context"
	"crypto/x509"

	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/store"
)

// ServerCertificates are the certificates of the listeners, RSA and ECDSA.
func (s *Server) ServerCertificates() []*x509.Certificate {
	return []*x509.Certificate{s.certs.RSA.Get().Leaf, s.certs.ECDSA.Get().Leaf}
}

// EveryMinute does what the server does once a minute, now.
var EveryMinute = (*Server).everyMinute

// DirectoryRoutes are what the directory's listener serves, and what the
// operator's has of the directory.
func (s *Server) DirectoryRoutes() (registry, operator []endpoint.Route) {
	return s.directorySite().Routes(), s.directory.OperatorRoutes("/directory")
}

// Routes are those of a realm.
func Routes(s *Server, realm string) []endpoint.Route { return s.realms[realm].site.Routes() }

// Unfinish leaves a participant as a server does that is killed before it is finished.
func Unfinish(ctx context.Context, s *Server, name string) error {
	records := store.Table[participant.Record]{Store: s.store, Name: "participant", Now: s.options.Now}
	_, err := records.Update(ctx, name, func(record *participant.Record) error {
		record.ClientID = ""
		return nil
	})
	return err
}
