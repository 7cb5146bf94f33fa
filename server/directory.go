package server

import (
	"context"
	"fmt"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/store"
)

// openDirectory reads the directory, where the configuration has one. Its clock is
// that of the realm whose clients its software are.
func (s *Server) openDirectory(ctx context.Context) error {
	listener := s.config.Listeners.Directory
	if listener == nil {
		return nil
	}
	sealer, err := store.NewSealer(s.master[:], "directory/statements")
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	s.directory, err = directory.Open(ctx, directory.Config{
		Store: s.store, Sealer: sealer, CA: s.ca, URL: listener.URL,
		Now:       s.clock(s.config.Realms[s.order[0]].Clock),
		Ecosystem: s.config.Directory.Ecosystem, StatementAlg: s.config.Directory.StatementAlg, Lock: s.config.Directory.Lock,
		Sandbox:       s.config.Realms[s.order[0]].Sandbox,
		AllowTestKeys: s.options.AllowTestKeys,
	})
	return err
}

// standing is what the operator and, where there is one, the directory say of a
// realm's clients.
func (s *Server) standing(realm string) func(*registration.Client) *registration.Suspended {
	if s.directory == nil {
		return (*registration.Client).Suspended
	}
	listed := s.directory.Vouched
	if realm == s.order[0] {
		listed = s.directory.Standing
	}
	return func(client *registration.Client) *registration.Suspended {
		if suspended := client.Suspended(); suspended != nil {
			return suspended
		}
		return listed(client)
	}
}

// ended is which scopes the directory's roles let clients have no more; nil where there
// is no directory.
func (s *Server) ended() func(*registration.Client) func(scope string) bool {
	if s.directory == nil {
		return nil
	}
	return s.directory.Ended
}

// directoryAPI is the directory as an API that tokens of its realm are for: every
// client may have one, and it looks at whose software the client is.
func (s *Server) directoryAPI() *registration.API {
	return &registration.API{
		ID: s.config.Listeners.Directory.URL, Name: "directory", Scopes: []string{directory.Scope},
		Clients: map[string]registration.Access{registration.AnyClient: {}},
	}
}

// directoryOperations are the routes by which the operator manages the directory:
// those that change something, and those that make statements, need the key.
func (s *Server) directoryOperations() []admin.Route {
	if s.directory == nil {
		return nil
	}
	var routes []admin.Route
	for _, route := range s.directory.OperatorRoutes("/directory") {
		access := admin.Read
		if route.Bearer {
			access = admin.Change
		}
		routes = append(routes, admin.Route{Method: route.Methods[0], Path: route.Path, Label: route.Label, Access: access, Serve: route.Serve})
	}
	return routes
}

// directorySite is what the directory's listener serves.
func (s *Server) directorySite() *endpoint.Site {
	r, url := s.realms[s.order[0]], s.config.Listeners.Directory.URL
	site := &endpoint.Site{
		Realm: r.name, Issuer: r.config.Issuer, StandardURL: url, MTLSURL: url,
		Sandbox: r.config.Sandbox, TraceURL: s.config.Listeners.Admin.URL, Now: r.now,
	}
	(&directory.API{Directory: s.directory, Guard: r.guard(url)}).Install(site)
	return site
}

// routeDirectory builds the directory's listener.
func (s *Server) routeDirectory() error {
	if s.directory == nil {
		return nil
	}
	s.directory.Register(s.realms[s.order[0]].clients)
	s.registry = &endpoint.Router{Listener: endpoint.Directory, Finished: s.observers, Traces: s.traces, Forwarding: s.mtls.Forwarding}
	return s.registry.Mount(s.directorySite())
}

// Directory is the directory of participants, nil where there is none.
func (s *Server) Directory() *directory.Directory { return s.directory }
