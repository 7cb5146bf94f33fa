package registration

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
)

// AccessPolicy lets clients use the management API of their realm though their
// tokens do not have its scopes: Aidbox's resource of that name, of which the
// engine allow is known here, with a list of scopes beside it.
type AccessPolicy struct {
	ID          string `json:"id,omitempty"`
	Description string `json:"description,omitempty"`
	// Engine is "allow".
	Engine string `json:"engine,omitempty"`
	// Link names the clients. A policy for everybody would have none.
	Link []Link `json:"link,omitempty"`
	// Scope are the scopes they may use the management API with; empty means all.
	Scope []string `json:"scope,omitempty"`
}

// Link is a reference to a client.
type Link struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
}

// LinkClient is the resourceType of a link to a client.
const LinkClient = "Client"

// EngineAllow is the engine of every access policy.
const EngineAllow = "allow"

// ParseAccessPolicy reads an access policy as [Decode] does; every error is an
// invalid_request.
func ParseAccessPolicy(data []byte, in Syntax) (AccessPolicy, error) {
	var policy AccessPolicy
	if err := Decode("access policy", data, in, &policy); err != nil {
		return AccessPolicy{}, oauth.InvalidRequest("%s", err.Error())
	}
	return policy, nil
}

// check refuses a policy that could not be meant.
func (p *AccessPolicy) check() error {
	if p.ID == "" || len(p.ID) > maxIDBytes || !visible(p.ID) {
		return oauth.InvalidRequest("id must be 1 to %d printable ASCII characters", maxIDBytes)
	}
	if err := checkText(p.Description); err != nil {
		return oauth.InvalidRequest("description %s", err)
	}
	if p.Engine != EngineAllow {
		return oauth.InvalidRequest("engine is %s; the one that is known here is %s", quote(p.Engine), EngineAllow)
	}
	if len(p.Link) == 0 {
		return oauth.InvalidRequest("link is missing; a policy without one would be for everybody, and it names the clients it is for here")
	}
	if len(p.Link) > maxListLength || len(p.Scope) > maxListLength {
		return oauth.InvalidRequest("link and scope have at most %d entries", maxListLength)
	}
	for i, link := range p.Link {
		if link.ResourceType != LinkClient {
			return oauth.InvalidRequest("link[%d].resourceType is %s, expected %s", i, quote(link.ResourceType), LinkClient)
		}
		if link.ID == "" || len(link.ID) > maxIDBytes || !visible(link.ID) {
			return oauth.InvalidRequest("link[%d].id is not the id of a client", i)
		}
	}
	for _, scope := range p.Scope {
		if parsed, err := oauth.ParseScope(scope); err != nil || len(parsed) != 1 {
			return oauth.InvalidRequest("scope: %s is not a scope", quote(scope))
		}
	}
	return nil
}

// Version tells one state of the policy from another.
func (p *AccessPolicy) Version() string { return versionOf(p) }

// Gives is what the policy gives each of its clients, of the scopes there are.
func (p *AccessPolicy) Gives(all oauth.Scope) oauth.Scope {
	if len(p.Scope) == 0 {
		return all
	}
	return p.Scope
}

// AccessPolicies are the access policies of a realm, served from memory. They are
// safe for concurrent use.
type AccessPolicies struct {
	catalog[AccessPolicy]
	// linked are the policies by client.
	linked atomic.Pointer[map[string][]*AccessPolicy]
}

// OpenAccessPolicies reads the access policies of a realm into memory.
func OpenAccessPolicies(ctx context.Context, realm string, in store.Store, now func() time.Time) (*AccessPolicies, error) {
	a := &AccessPolicies{}
	a.catalog = catalog[AccessPolicy]{
		kind: "access policy", changed: a.link,
		table: store.Table[AccessPolicy]{Store: in, Name: realm + "/access-policy", Now: now},
	}
	if err := a.open(ctx); err != nil {
		return nil, fmt.Errorf("realm %s: %w", realm, err)
	}
	return a, nil
}

// link sorts the policies by client.
func (a *AccessPolicies) link(all map[string]*AccessPolicy) {
	linked := map[string][]*AccessPolicy{}
	for _, policy := range all {
		for _, link := range policy.Link {
			linked[link.ID] = append(linked[link.ID], policy)
		}
	}
	a.linked.Store(&linked)
}

// Scope is what the policies let a client do, of the scopes there are.
func (a *AccessPolicies) Scope(client string, all oauth.Scope) oauth.Scope {
	var scope oauth.Scope
	for _, policy := range (*a.linked.Load())[client] {
		for _, given := range policy.Gives(all) {
			if !scope.Has(given) {
				scope = append(scope, given)
			}
		}
	}
	return scope
}

// PutIf writes a policy, replacing what was there, where the judge has nothing
// against it, and returns what is kept; created tells the two apart. Refusals are
// invalid_request.
func (a *AccessPolicies) PutIf(ctx context.Context, policy AccessPolicy, judge Judge) (kept *AccessPolicy, created bool, err error) {
	if err := policy.check(); err != nil {
		return nil, false, err
	}
	policy.Link, policy.Scope = slices.Clone(policy.Link), slices.Clone(policy.Scope)
	created, err = a.put(ctx, policy.ID, &policy, judge)
	return &policy, created, err
}
