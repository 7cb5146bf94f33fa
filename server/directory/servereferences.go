package directory

import (
	"context"

	"github.com/fapid/fapid/server/endpoint"
)

// domainView is a domain as Raidiam's API shows it.
type domainView struct {
	Name        string `json:"AuthorisationDomainName"`
	Region      string `json:"AuthorisationDomainRegion"`
	Description string `json:"AuthorisationDomainDescription"`
	AuthorityID string `json:"AuthorityId"`
	Status      string `json:"Status"`
}

// roleView is a role of a domain.
type roleView struct {
	Name        string `json:"AuthorisationDomainRoleName"`
	Domain      string `json:"AuthorisationDomainName"`
	Description string `json:"AuthorisationDomainRoleDescription"`
	Status      string `json:"Status"`
}

func (d *Directory) authorities(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var all []Authority
	for i := range references {
		all = append(all, references[i].authority)
	}
	return paged(r, all)
}

func (d *Directory) domains(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var all []domainView
	for i := range references {
		row := &references[i]
		all = append(all, domainView{row.name, row.region, row.about, row.authority.ID, statusActive})
	}
	return paged(r, all)
}

func (d *Directory) domainRoles(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	var all []roleView
	for i := range references {
		for _, role := range references[i].roles {
			all = append(all, roleView{role.name, references[i].name, role.about, statusActive})
		}
	}
	return paged(r, all)
}
