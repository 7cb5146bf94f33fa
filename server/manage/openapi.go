package manage

import "github.com/fapid/fapid/server/endpoint"

func (a *API) describe(site *endpoint.Site) {}
