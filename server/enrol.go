package server

import (
	"slices"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/enrol"
)

// desk is where the operator has participants made.
func (s *Server) desk() *enrol.Desk {
	desk := &enrol.Desk{
		Store: s.store, Directory: s.directory, CA: s.ca, Door: s.mtls, Now: s.options.Now,
	}
	if s.directory != nil {
		desk.Ecosystem = s.config.Directory.Ecosystem
	}
	for _, name := range s.order {
		desk.Realms = append(desk.Realms, s.realms[name].enrols())
	}
	return desk
}

// enrols is where participants of the directory register themselves. Software without
// a statement is that of the one ecosystem whose rules hold for requests without one.
func (r *realm) enrols() enrol.Realm {
	realm := enrol.Realm{Name: r.name, Site: r.site, Clients: r.clients, Sessions: r.sessions, Now: r.now}
	if config := r.config.Registration; config != nil {
		realm.Scopes = config.Scopes
		realm.Ecosystems = slices.DeleteFunc(slices.Clone(config.Directory), func(name string) bool {
			ecosystem, known := registration.FindEcosystem(name)
			return !known || ecosystem.Statement.From == registration.FromCertificate && config.Ecosystem != name
		})
	}
	return realm
}
