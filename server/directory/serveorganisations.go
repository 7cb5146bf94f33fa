package directory

import (
	"context"
	"net/http"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// shown is an organisation without what has a path of its own.
func shown(o *Organisation) Organisation {
	plain := *o
	plain.Claims = nil
	return plain
}

func (d *Directory) organisation(r *endpoint.Request) (*Organisation, error) {
	o, _, err := d.owner(r.Path["organisation"], "")
	return o, err
}

// listOrganisations shows the operator all, and a participant its own.
func (d *Directory) listOrganisations(_ context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	all := []Organisation{}
	for _, o := range list(d, &d.organisations, func(o *Organisation) bool { return by.operator || o.ID == by.organisation }) {
		all = append(all, shown(o))
	}
	return paged(r, all)
}

func (d *Directory) createOrganisation(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var o Organisation
	if err := read(r, &o); err != nil {
		return nil, err
	}
	created, err := d.CreateOrganisation(ctx, o)
	if err != nil {
		return nil, err
	}
	return document(http.StatusCreated, shown(created))
}

func (d *Directory) showOrganisation(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, shown(o))
}

// identity is what certificates and statements say an organisation is, and whose it
// is: somebody has looked at that.
func (o *Organisation) identity() [10]string {
	return [...]string{
		o.OrganisationName, o.LegalEntityName, o.RegisteredName, o.CountryOfRegistration,
		o.CompanyRegister, o.RegistrationNumber, o.RegistrationID, o.City, o.State, o.ParentOrganisationReference,
	}
}

// putOrganisation replaces what an organisation says of itself. Who it is and its
// status are the operator's, and so are the claims, which have paths of their own.
func (d *Directory) putOrganisation(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var o Organisation
	if err := read(r, &o); err != nil {
		return nil, err
	}
	id := r.Path["organisation"]
	if err := sameID("OrganisationId", o.ID, id); err != nil {
		return nil, err
	}
	if o.Claims != nil {
		return nil, oauth.InvalidRequest("OrgDomainRoleClaims are changed at %s/%s/authorityclaims", "/organisations", id)
	}
	changed, err := d.ChangeOrganisation(ctx, id, func(current *Organisation) error {
		if err := matches(r, shown(current)); err != nil {
			return err
		}
		if o.Status == "" {
			o.Status = current.Status
		}
		if o.Status != current.Status {
			if err := by.operatorOnly("the status of an organisation"); err != nil {
				return err
			}
		}
		if o.identity() != current.identity() {
			if err := by.operatorOnly("the names, numbers, seat and parent of an organisation, which others rely on"); err != nil {
				return err
			}
		}
		claims := current.Claims
		*current = o
		current.Claims = claims
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, shown(changed))
}

func sameID(member, value, path string) error {
	var r rules
	r.same(member, value, path)
	return r.err
}

func (d *Directory) deleteOrganisation(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	err := d.DeleteOrganisation(ctx, r.Path["organisation"], func(o *Organisation) error { return matches(r, shown(o)) })
	if err != nil {
		return nil, err
	}
	return gone()
}

func (d *Directory) listClaims(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: append([]AuthorityClaim{}, o.Claims...)}, nil
}

func (d *Directory) listDomainClaims(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	return paged(r, o.domainClaims())
}

func (d *Directory) createClaim(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var claim AuthorityClaim
	if err := read(r, &claim); err != nil {
		return nil, err
	}
	changed, err := d.ChangeOrganisation(ctx, r.Path["organisation"], func(o *Organisation) error { return o.addClaim(claim) })
	if err != nil {
		return nil, err
	}
	return document(http.StatusCreated, changed.Claims[len(changed.Claims)-1])
}

func (d *Directory) showClaim(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	at, err := o.claimAt(r.Path["claim"])
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, o.Claims[at])
}

// putClaim changes a claim: its status, its registration, its countries. Authority,
// domain and role are what the claim is.
func (d *Directory) putClaim(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var claim AuthorityClaim
	if err := read(r, &claim); err != nil {
		return nil, err
	}
	id := r.Path["claim"]
	if err := sameID("OrganisationAuthorityClaimId", claim.ID, id); err != nil {
		return nil, err
	}
	var at int
	changed, err := d.ChangeOrganisation(ctx, r.Path["organisation"], func(o *Organisation) (err error) {
		if at, err = o.claimAt(id); err != nil {
			return err
		}
		current := o.Claims[at]
		if err := matches(r, current); err != nil {
			return err
		}
		if claim.Domain != current.Domain || claim.Role != current.Role {
			return oauth.InvalidRequest("the claim is to the role %s of %s; add another claim for another role", current.Role, current.Domain)
		}
		claim.ID, claim.OrganisationID = current.ID, current.OrganisationID
		if err := claim.check(); err != nil {
			return err
		}
		o.Claims[at] = claim
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, changed.Claims[at])
}

func (d *Directory) deleteClaim(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	_, err := d.ChangeOrganisation(ctx, r.Path["organisation"], func(o *Organisation) error {
		at, err := o.claimAt(r.Path["claim"])
		if err != nil {
			return err
		}
		if err := matches(r, o.Claims[at]); err != nil {
			return err
		}
		o.Claims = slices.Delete(o.Claims, at, at+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone()
}
