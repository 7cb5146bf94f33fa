package server

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/endpoint"
	"github.com/fapid/fapid/server/enrol"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/store"
)

// routeOperator builds the operator's site.
func (s *Server) routeOperator() error {
	cursors, err := store.NewSealer(s.master[:], "cursor")
	if err != nil {
		return err
	}
	operator := &admin.Operator{
		Version: s.options.Version, Started: time.Now(), Now: s.options.Now,
		CA: s.ca, Named: s.clientsNamed, Traces: s.traces, Metrics: s.metrics,
		KeyHash: sha256.Sum256([]byte(s.operatorKey)), Open: s.options.OpenOperator,
		Ready: s.ready, Hosts: []string{"localhost", "127.0.0.1", "::1"},
		Managed: s.operations(), ManagedDescription: describeOperations, Lists: &endpoint.Lists{Sealer: cursors},
	}
	if directory := s.config.Listeners.Directory; directory != nil {
		operator.Directory = directory.URL
	}
	for _, name := range s.order {
		operator.Realms = append(operator.Realms, s.realms[name].operated())
	}
	site := &endpoint.Site{StandardURL: s.config.Listeners.Admin.URL, Issuer: s.config.Listeners.Admin.URL, Now: s.options.Now}
	for _, feature := range append([]endpoint.Feature{operator}, s.revocations()...) {
		feature.Install(site)
	}
	// The operator's own requests are kept apart: polling would push out the
	// traces that a tester wants to see.
	s.admin = &endpoint.Router{Listener: endpoint.Admin, AnyHost: true, Finished: s.observers, Traces: endpoint.NewTraces(keptOperations, keptOperations)}
	return s.admin.Mount(site)
}

// operations are the routes by which the operator manages the realms, the directory
// and participants; describeOperations describes them.
func (s *Server) operations() []admin.Route {
	realms := make([]*manage.Realm, len(s.order))
	for i, name := range s.order {
		realms[i] = s.realms[name].managed
	}
	var routes []admin.Route
	for _, operation := range manage.Operations(realms) {
		access := admin.Read
		if operation.Changes {
			access = admin.Change
		}
		routes = append(routes, admin.Route{
			Method: operation.Method, Path: operation.Path, Label: operation.Label, Access: access, Serve: operation.Serve,
		})
	}
	return slices.Concat(routes, s.directoryOperations(), s.desk().Routes())
}

func describeOperations() endpoint.Description {
	description := manage.Description()
	description.Add(enrol.Description())
	return description
}
