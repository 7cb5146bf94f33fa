package directory

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
)

// plain is software without what has a path of its own.
func plain(s *SoftwareStatement) SoftwareStatement {
	shown := *s
	shown.Roles = nil
	return shown
}

func (d *Directory) statementAt(r *endpoint.Request) (*SoftwareStatement, error) {
	_, s, err := d.owner(r.Path["organisation"], r.Path["software"])
	return s, err
}

// change changes the software of a path, which must be of the organisation that
// the path names and, for a participant, not locked.
func (d *Directory) change(ctx context.Context, r *endpoint.Request, by caller, change func(*SoftwareStatement, *Organisation) error) (*SoftwareStatement, error) {
	if _, err := d.statementAt(r); err != nil {
		return nil, err
	}
	return d.ChangeSoftware(ctx, r.Path["software"], func(s *SoftwareStatement, o *Organisation) error {
		if s.Locked && !by.operator {
			r.Event.Fail("lock", "software that is not locked", "locked since its assertion was made", "ask the operator to unlock it")
			return denied("the software is locked since its assertion was made; the operator unlocks it")
		}
		return change(s, o)
	})
}

func (d *Directory) listSoftware(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	o, err := d.organisation(r)
	if err != nil {
		return nil, err
	}
	return d.softwareWhere(func(s *SoftwareStatement) bool { return s.OrganisationID == o.ID })
}

func (d *Directory) allSoftware(context.Context, *endpoint.Request, caller) (*endpoint.Answer, error) {
	return d.softwareWhere(func(*SoftwareStatement) bool { return true })
}

func (d *Directory) softwareWhere(keep func(*SoftwareStatement) bool) (*endpoint.Answer, error) {
	all := []SoftwareStatement{}
	for _, s := range list(d, &d.software, keep) {
		all = append(all, plain(s))
	}
	return &endpoint.Answer{JSON: all}, nil
}

// maxSoftware is how many pieces of software a participant may make; each is a
// client, too.
const maxSoftware = 1000

func (d *Directory) createSoftware(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var s SoftwareStatement
	if err := read(r, &s); err != nil {
		return nil, err
	}
	organisation := r.Path["organisation"]
	if err := sameID("OrganisationId", s.OrganisationID, organisation); err != nil {
		return nil, err
	}
	s.OrganisationID = organisation
	most := 0
	if !by.operator {
		// An id of the participant's choice could be somebody's, and a client of
		// its choice is somebody's.
		if s.ID != "" || s.ClientID != "" {
			return nil, denied("SoftwareStatementId and ClientId of new software are the directory's to give; leave them out")
		}
		if s.Status == statusSuspended {
			return nil, by.operatorOnly("a suspension")
		}
		most = maxSoftware
	}
	created, err := d.CreateSoftware(ctx, s, most)
	if err != nil {
		return nil, refusedClient(err)
	}
	return document(http.StatusCreated, plain(created))
}

// refusedClient tells of rules of the realm that keep it from having a client for
// the software.
func refusedClient(err error) error {
	if refusal, ok := errors.AsType[oauth.Error](err); ok && refusal.Code == oauth.CodeInvalidClientMetadata {
		return conflict("the realm does not take the software as a client: %s", refusal.Description).Because("%w", err)
	}
	return err
}

func (d *Directory) showSoftware(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	s, err := d.statementAt(r)
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, plain(s))
}

func (d *Directory) putSoftwareStatement(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var s SoftwareStatement
	if err := read(r, &s); err != nil {
		return nil, err
	}
	if s.Roles != nil {
		return nil, oauth.InvalidRequest("SoftwareAuthorityClaims are changed at authorityclaims below the software")
	}
	changed, err := d.change(ctx, r, by, func(current *SoftwareStatement, _ *Organisation) error {
		if err := matches(r, plain(current)); err != nil {
			return err
		}
		var rules rules
		rules.same("SoftwareStatementId", s.ID, current.ID)
		rules.same("OrganisationId", s.OrganisationID, current.OrganisationID)
		rules.same("ClientId", s.ClientID, current.ClientID)
		if rules.err != nil {
			return rules.err
		}
		if s.Status == "" {
			s.Status = current.Status
		}
		if s.Status != current.Status && (s.Status == statusSuspended || current.Status == statusSuspended) {
			if err := by.operatorOnly("a suspension"); err != nil {
				return err
			}
		}
		s.Locked, s.Roles = current.Locked, current.Roles
		*current = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, plain(changed))
}

// deleteSoftware ends software: a participant's is Inactive then, and stays to be
// seen; the operator removes it.
func (d *Directory) deleteSoftware(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	if _, err := d.statementAt(r); err != nil {
		return nil, err
	}
	if by.operator {
		if err := d.DeleteSoftware(ctx, r.Path["software"], func(s *SoftwareStatement) error { return matches(r, plain(s)) }); err != nil {
			return nil, err
		}
		return gone()
	}
	_, err := d.change(ctx, r, by, func(s *SoftwareStatement, _ *Organisation) error {
		if err := matches(r, plain(s)); err != nil {
			return err
		}
		if s.Status == statusSuspended {
			return by.operatorOnly("a suspension")
		}
		s.Status = statusInactive
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone()
}

func (d *Directory) unlockSoftware(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	changed, err := d.change(ctx, r, by, func(s *SoftwareStatement, _ *Organisation) error {
		s.Locked = false
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, plain(changed))
}

// showAssertion makes an assertion; the parameter ecosystem chooses its dialect.
func (d *Directory) showAssertion(ctx context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	s, err := d.statementAt(r)
	if err != nil {
		return nil, err
	}
	values, err := query(r, "ecosystem")
	if err != nil {
		return nil, err
	}
	ecosystem := values.Get("ecosystem")
	if _, known := registration.FindDialect(ecosystem); values.Has("ecosystem") && !known {
		return nil, oauth.InvalidRequest("ecosystem is %q; there are %s", oauth.Clip(ecosystem), oauth.List(registration.Dialects()))
	}
	assertion, err := d.Assertion(ctx, s.ID, ecosystem)
	if err != nil {
		return nil, err
	}
	r.Event.Pass("software statement", "software "+s.ID, "status "+s.Status)
	return &endpoint.Answer{Body: []byte(assertion), Type: jwtType}, nil
}

// listRoles shows the software's roles as they count now.
func (d *Directory) listRoles(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	s, err := d.statementAt(r)
	if err != nil {
		return nil, err
	}
	return &endpoint.Answer{JSON: append([]SoftwareRole{}, s.Roles...)}, nil
}

func (d *Directory) createRole(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var role SoftwareRole
	if err := read(r, &role); err != nil {
		return nil, err
	}
	changed, err := d.change(ctx, r, by, func(s *SoftwareStatement, o *Organisation) error { return s.addRole(o, role) })
	if err != nil {
		return nil, err
	}
	return document(http.StatusCreated, changed.Roles[len(changed.Roles)-1])
}

func (d *Directory) showRole(_ context.Context, r *endpoint.Request, _ caller) (*endpoint.Answer, error) {
	s, err := d.statementAt(r)
	if err != nil {
		return nil, err
	}
	at, err := s.roleAt(r.Path["claim"])
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, s.Roles[at])
}

// putRole changes the status of a role.
func (d *Directory) putRole(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	var role SoftwareRole
	if err := read(r, &role); err != nil {
		return nil, err
	}
	id := r.Path["claim"]
	if err := sameID("SoftwareAuthorityClaimId", role.ID, id); err != nil {
		return nil, err
	}
	var at int
	changed, err := d.change(ctx, r, by, func(s *SoftwareStatement, o *Organisation) (err error) {
		if at, err = s.roleAt(id); err != nil {
			return err
		}
		current := s.Roles[at]
		if err := matches(r, current); err != nil {
			return err
		}
		if role.Domain != current.Domain || role.Role != current.Role {
			return oauth.InvalidRequest("the claim is to the role %s of %s; add another claim for another role", current.Role, current.Domain)
		}
		role.ID, role.SoftwareID = current.ID, current.SoftwareID
		if err := role.check(o); err != nil {
			return err
		}
		s.Roles[at] = role
		return nil
	})
	if err != nil {
		return nil, err
	}
	return document(http.StatusOK, changed.Roles[at])
}

func (d *Directory) deleteRole(ctx context.Context, r *endpoint.Request, by caller) (*endpoint.Answer, error) {
	_, err := d.change(ctx, r, by, func(s *SoftwareStatement, _ *Organisation) error {
		at, err := s.roleAt(r.Path["claim"])
		if err != nil {
			return err
		}
		if err := matches(r, s.Roles[at]); err != nil {
			return err
		}
		s.Roles = slices.Delete(s.Roles, at, at+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone()
}
