package directory

import (
	"context"
	"net/http"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// server finds the authorization server of a path.
func (d *Directory) server(r *endpoint.Request) (*AuthorisationServer, error) {
	if _, err := d.organisation(r); err != nil {
		return nil, err
	}
	a, ok := find(d, &d.servers, r.Path["server"])
	if !ok || a.OrganisationID != r.Path["organisation"] {
		return nil, oauth.NotFound("no authorisation server %s of this organisation", oauth.Clip(r.Path["server"]))
	}
	return a, nil
}

func (d *Directory) listServers(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: list(d, &d.servers, func(a *AuthorisationServer) bool { return a.OrganisationID == o.ID })}, nil
}

// maxServers is how many authorization servers an organisation may have.
const maxServers = 100

func (d *Directory) createServer(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var a AuthorisationServer
	if err := read(r, &a); err != nil {
		return nil, err
	}
	if err := sameID("OrganisationId", a.OrganisationID, r.Path["organisation"]); err != nil {
		return nil, err
	}
	a.OrganisationID = r.Path["organisation"]
	if a.ID != "" && !by.operator {
		return nil, denied("the AuthorisationServerId of a new server is the directory's to give; leave it out")
	}
	created, err := d.PutServer(ctx, a, func(before *AuthorisationServer) error {
		if before != nil {
			return conflict("there is an authorisation server %s; change it with PUT", before.ID)
		}
		if len(list(d, &d.servers, func(other *AuthorisationServer) bool { return other.OrganisationID == a.OrganisationID })) >= maxServers {
			return conflict("the organisation has %d authorisation servers, the most there may be", maxServers)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusCreated, created)
}

func (d *Directory) showServer(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	a, err := d.server(r)
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, a)
}

func (d *Directory) putServer(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var a AuthorisationServer
	if err := read(r, &a); err != nil {
		return nil, err
	}
	current, err := d.server(r)
	if err != nil {
		return nil, err
	}
	var rules rules
	rules.same("AuthorisationServerId", a.ID, current.ID)
	rules.same("OrganisationId", a.OrganisationID, current.OrganisationID)
	if rules.err != nil {
		return nil, rules.err
	}
	a.ID, a.OrganisationID = current.ID, current.OrganisationID
	changed, err := d.PutServer(ctx, a, func(before *AuthorisationServer) error {
		if before == nil {
			return oauth.NotFound("no authorisation server %s of this organisation", a.ID)
		}
		return matches(r, before)
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, changed)
}

func (d *Directory) deleteServer(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	a, err := d.server(r)
	if err != nil {
		return nil, err
	}
	if err := d.DeleteServer(ctx, a.ID, func(a *AuthorisationServer) error { return matches(r, a) }); err != nil {
		return nil, err
	}
	return gone()
}

// changeServer replaces the server of a path by what change makes of it; no other
// change comes between.
func (d *Directory) changeServer(ctx context.Context, r *endpoint.Request, change func(*AuthorisationServer) error) (*AuthorisationServer, error) {
	for {
		current, err := d.server(r)
		if err != nil {
			return nil, err
		}
		changed := current.clone()
		if err := change(&changed); err != nil {
			return nil, err
		}
		var moved bool
		put, err := d.PutServer(ctx, changed, func(before *AuthorisationServer) error {
			if moved = before != current; moved {
				return stale()
			}
			return nil
		})
		if !moved {
			return put, err
		}
	}
}

func (d *Directory) listAPIs(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	a, err := d.server(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: a.APIResources}, nil
}

// api finds the API of a path.
func (d *Directory) api(r *endpoint.Request) (*APIResource, error) {
	a, err := d.server(r)
	if err != nil {
		return nil, err
	}
	at, err := a.resourceAt(r.Path["api"])
	if err != nil {
		return nil, err
	}
	return &a.APIResources[at], nil
}

func (d *Directory) createAPI(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var api APIResource
	if err := read(r, &api); err != nil {
		return nil, err
	}
	changed, err := d.changeServer(ctx, r, func(a *AuthorisationServer) error {
		if len(a.APIResources) >= maxEntries {
			return conflict("the server has %d API resources, the most there may be", maxEntries)
		}
		a.APIResources = append(a.APIResources, api)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusCreated, changed.APIResources[len(changed.APIResources)-1])
}

func (d *Directory) showAPI(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	api, err := d.api(r)
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, api)
}

func (d *Directory) putAPI(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var api APIResource
	if err := read(r, &api); err != nil {
		return nil, err
	}
	id := r.Path["api"]
	if err := sameID("ApiResourceId", api.ID, id); err != nil {
		return nil, err
	}
	api.ID = id
	var at int
	changed, err := d.changeServer(ctx, r, func(a *AuthorisationServer) (err error) {
		if at, err = a.resourceAt(id); err != nil {
			return err
		}
		if err := matches(r, a.APIResources[at]); err != nil {
			return err
		}
		a.APIResources[at] = api
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, changed.APIResources[at])
}

func (d *Directory) deleteAPI(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	_, err := d.changeServer(ctx, r, func(a *AuthorisationServer) error {
		at, err := a.resourceAt(r.Path["api"])
		if err != nil {
			return err
		}
		if err := matches(r, a.APIResources[at]); err != nil {
			return err
		}
		a.APIResources = slices.Delete(a.APIResources, at, at+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone()
}

func (d *Directory) listEndpoints(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	api, err := d.api(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: api.Endpoints}, nil
}

func (d *Directory) createEndpoint(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var place APIEndpoint
	if err := read(r, &place); err != nil {
		return nil, err
	}
	var at int
	changed, err := d.changeServer(ctx, r, func(a *AuthorisationServer) (err error) {
		if at, err = a.resourceAt(r.Path["api"]); err != nil {
			return err
		}
		a.APIResources[at].Endpoints = append(a.APIResources[at].Endpoints, place)
		return nil
	})
	if err != nil {
		return nil, err
	}
	endpoints := changed.APIResources[at].Endpoints
	return document(http.StatusCreated, endpoints[len(endpoints)-1])
}

func (d *Directory) deleteEndpoint(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	_, err := d.changeServer(ctx, r, func(a *AuthorisationServer) error {
		at, err := a.resourceAt(r.Path["api"])
		if err != nil {
			return err
		}
		api := &a.APIResources[at]
		place, err := api.endpointAt(r.Path["endpoint"])
		if err != nil {
			return err
		}
		api.Endpoints = slices.Delete(api.Endpoints, place, place+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone()
}
