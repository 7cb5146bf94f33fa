package server

import "github.com/fapid/fapid/server/endpoint"

// EveryMinute does what the server does once a minute, now.
var EveryMinute = (*Server).everyMinute

// Routes are those of a realm.
func Routes(s *Server, realm string) []endpoint.Route { return s.realms[realm].site.Routes() }
