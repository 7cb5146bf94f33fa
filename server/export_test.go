package server

import "github.com/fapid/fapid/server/endpoint"

// EveryMinute does what the server does once a minute, now.
var EveryMinute = (*Server).everyMinute

// DirectoryRoutes are what the directory's listener serves, and what the
// operator's has of the directory.
func (s *Server) DirectoryRoutes() (registry, operator []endpoint.Route) {
	return s.directorySite().Routes(), s.directory.OperatorRoutes("/directory")
}
