package flow

import (
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// Targets says which APIs a token is for: those that audience or resource name
// (RFC 8707 section 2), or the realm's own.
type Targets struct {
	APIs *registration.APIs
	// Own is the realm's own API, for requests that name none; a record of the
	// same identifier replaces it.
	Own *registration.API
	// Special are further APIs of the server itself, which no record replaces.
	Special []Special
	// RolesAt has tokens say which API gave which roles.
	RolesAt bool
}

// Special is an API of the server itself with scopes that belong to it: a token for
// others never has them, and a request that names no API and whose scope is all of
// them means it.
type Special struct {
	*registration.API
	Scopes oauth.Scope
	// Scopeless: a token for it is of use without any scope.
	Scopeless bool
}

// find returns an API of the realm; special is nil for one that is not.
func (t *Targets) find(id string) (api *registration.API, special *Special, known bool) {
	for i := range t.Special {
		if t.Special[i].ID == id {
			return t.Special[i].API, &t.Special[i], true
		}
	}
	if api, known = t.APIs.Get(id); !known && id == t.Own.ID {
		return t.Own, nil, true
	}
	return api, nil, known
}

// target is what the APIs of a request, taken together, let a client have.
type target struct {
	audience oauth.Audience
	scopes   oauth.Scope // of all the APIs; unlimited says that one looks at none
	roles    []string
	rolesAt  map[string]token.RolesAt // by API; nil where no token says it
	lifetime time.Duration
	format   string // of the token; empty where no API says

	unlimited bool
	// elsewhere are scopes that belong to special APIs which are not among these;
	// scopeless says that one of these is.
	elsewhere oauth.Scope
	scopeless bool
	// withheld is what one of several APIs has and does not let the client have. Each
	// of them sees all of the token, so that what another gave would count there, too.
	withheld struct{ scopes, roles oauth.Scope }
}

// preset are the APIs of a request that names none: what the client registered, the
// API that all of the scope belongs to, or else the realm's own.
func (t *Targets) preset(scope oauth.Scope, client *registration.Client) []string {
	if len(client.Metadata.DefaultAudience) > 0 {
		return client.Metadata.DefaultAudience
	}
	for _, special := range t.Special {
		if _, others := special.Scopes.Missing(scope); !others && len(scope) > 0 {
			return []string{special.ID}
		}
	}
	return []string{t.Own.ID}
}

// choose finds the APIs a request asks for, among those that its grant was limited
// to, if it was; a request that asks for none means all of those. An API that the
// client may not call and one that does not exist are the same to it.
func (t *Targets) choose(form oauth.Form, grant *token.Authorization, client *registration.Client, event *oauth.Event) (*target, error) {
	granted, wanted := grant.Audience, append(form.All("audience"), form.All("resource")...)
	if len(wanted) == 0 {
		wanted = granted
	}
	if len(wanted) == 0 {
		wanted = t.preset(grant.Scope, client)
	}
	chosen := &target{lifetime: client.TokenLifetime, format: grant.Format}
	for _, id := range wanted {
		if chosen.audience.Has(id) {
			continue
		}
		if granted != nil && !granted.Has(id) {
			// RFC 8707 section 2.2: a subset of what was granted.
			event.Fail("target API", strings.Join(granted, " "), id, "begin a session that is for this API, too")
			return nil, oauth.InvalidTarget("the client may have no token for this API").Because("API %s was not granted", oauth.Clip(id))
		}
		api, special, access, err := t.callable(id, client, event)
		if err != nil {
			return nil, err
		}
		if err := permit(grant, api, &access, client.ID, event); err != nil {
			return nil, err
		}
		chosen.add(api, access)
		if t.RolesAt && len(access.Roles) > 0 {
			chosen.giveAt(api, access)
		}
		if len(wanted) > 1 {
			chosen.withhold(api, access)
		}
		chosen.scopeless = chosen.scopeless || special != nil && special.Scopeless
		if err := chosen.agree(api, event); err != nil {
			return nil, err
		}
	}
	for _, special := range t.Special {
		if !chosen.audience.Has(special.ID) {
			chosen.elsewhere = append(chosen.elsewhere, special.Scopes...)
		}
	}
	event.Pass("target API", "", strings.Join(chosen.audience, " "))
	chosen.keepRoles(event)
	return chosen, nil
}

// callable finds an API that a client may call, and what it may do there. What
// keeps it from that is for the trace alone.
func (t *Targets) callable(id string, client *registration.Client, event *oauth.Event) (*registration.API, *Special, registration.Access, error) {
	refuse := func(expected, advice, format string, args ...any) (*registration.API, *Special, registration.Access, error) {
		event.Fail("target API", expected, id, advice)
		return nil, nil, registration.Access{}, oauth.InvalidTarget("the client may have no token for this API").Because(format, args...)
	}
	api, special, known := t.find(id)
	if !known {
		known := t.known()
		expected := "an API of this realm: " + listOf(known[:min(len(known), maxKnown)])
		if near := oauth.Alike(id, slices.Values(known)); near != "" {
			expected += "; the nearest is " + near
		}
		return refuse(expected, "ask for one by its identifier, to the letter, or register the API; `fapid api put` does", "no API %s", oauth.Clip(id))
	}
	access, may := api.Grants(client)
	switch {
	case may:
		return api, special, access, nil
	case !api.Takes(client.Policy):
		return refuse("a client under policy "+strings.Join(api.Policies, " or ")+"; "+client.ID+" is under "+client.Policy.Name,
			"put the client under a policy of the API, or list "+client.Policy.Name+" among its policies", "API %s takes no client under policy %s", id, client.Policy.Name)
	}
	return refuse("an API that lets "+client.ID+" call it", "name the client, or \"*\", among the clients of the API", "API %s does not name the client", id)
}

// maxKnown bounds how many APIs a trace names.
const maxKnown = 10

// known are the identifiers of the realm's APIs, its own ones first.
func (t *Targets) known() []string {
	ids := []string{t.Own.ID}
	for _, special := range t.Special {
		ids = append(ids, special.ID)
	}
	own := ids
	for _, api := range t.APIs.List("", 1000) {
		if !slices.Contains(own, api.ID) {
			ids = append(ids, api.ID)
		}
	}
	return ids
}

// permit holds what a client brought of a client's, be it its own, against what
// the API lets it exchange. A token that is only narrowed needs no permission.
func permit(grant *token.Authorization, api *registration.API, access *registration.Access, client string, event *oauth.Event) error {
	if grant.From == "" || grant.Kept.Has(api.ID) {
		return nil
	}
	expected := api.ID + " lets " + client + " exchange what is from " + grant.From
	if !access.MayExchange(grant.From) {
		event.Fail("exchange permission", expected, "it lets it exchange: "+listOf(access.Exchange), "add "+grant.From+" to exchange of "+client+" among the clients of the API")
		return oauth.InvalidTarget("the client may not exchange this for a token for this API").Because("API %s does not let %s exchange what is from %s", api.ID, client, grant.From)
	}
	event.Pass("exchange permission", expected, "it does")
	return nil
}

// speaksFor reports whether a client is that of an API in the audience.
func speaksFor(apis *registration.APIs, client string, audience oauth.Audience) bool {
	for _, id := range audience {
		if api, ok := apis.Get(id); id == client || ok && api.Client == client {
			return true
		}
	}
	return false
}

// listOf writes names for people.
func listOf(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

func (t *target) add(api *registration.API, access registration.Access) {
	t.audience = append(t.audience, api.ID)
	t.unlimited = t.unlimited || len(api.Scopes) == 0
	t.scopes = append(t.scopes, access.Scopes...)
	for _, role := range access.Roles {
		if !slices.Contains(t.roles, role) {
			t.roles = append(t.roles, role)
		}
	}
	t.lifetime = api.Limit(t.lifetime)
}

// giveAt notes which roles are an API's. They are all it gave, whatever the others say:
// here no other can take them for its own.
func (t *target) giveAt(api *registration.API, access registration.Access) {
	if t.rolesAt == nil {
		t.rolesAt = make(map[string]token.RolesAt)
	}
	t.rolesAt[api.ID] = token.RolesAt{Roles: access.Roles}
}

// withhold notes what an API has and does not let the client have.
func (t *target) withhold(api *registration.API, access registration.Access) {
	for _, scope := range api.Scopes {
		if !slices.Contains(access.Scopes, scope) {
			t.withheld.scopes = append(t.withheld.scopes, scope)
		}
	}
	for _, role := range api.Roles {
		if !slices.Contains(access.Roles, role) {
			t.withheld.roles = append(t.withheld.roles, role)
		}
	}
}

// keepRoles leaves out roles that one of the APIs knows, too, and did not give.
func (t *target) keepRoles(event *oauth.Event) {
	given := len(t.roles)
	t.roles = slices.DeleteFunc(t.roles, t.withheld.roles.Has)
	if len(t.roles) < given {
		event.Pass("roles at the APIs", "", listOf(t.roles)+"; without those that one of the APIs knows and did not give: ask for a token for one API")
	}
}

// agree takes up the token format that an API wants. A token has one, so two
// APIs that want different ones cannot share it, nor can an API have one in a
// format that it does not take.
func (t *target) agree(api *registration.API, event *oauth.Event) error {
	wanted := api.AccessTokenFormat
	if wanted == "" || t.format == wanted {
		return nil
	}
	if t.format != "" {
		event.Fail("target API", "APIs that take "+t.format+" tokens", api.ID+", which takes "+wanted+" tokens", "fetch a token for each of them, and of the type it takes")
		return oauth.InvalidTarget("the API takes tokens of another format").Because("%s and %s", t.format, wanted)
	}
	t.format = wanted
	return nil
}

// narrow keeps the scopes that the APIs let the client have; when none is left
// of some that were asked for, there is nothing to issue.
func (t *target) narrow(scope, asked oauth.Scope, event *oauth.Event) (oauth.Scope, error) {
	if t.unlimited && !slices.ContainsFunc(scope, t.elsewhere.Has) && len(t.withheld.scopes) == 0 {
		return scope, nil
	}
	kept := make(oauth.Scope, 0, len(scope))
	for _, token := range scope {
		offered := t.scopes.Has(token) || t.unlimited && !t.elsewhere.Has(token)
		if offered && !t.withheld.scopes.Has(token) {
			kept = append(kept, token)
		}
	}
	if len(scope) > 0 && len(kept) == 0 && (len(asked) > 0 || !t.scopeless) {
		event.Fail("scope at the API", t.allowed(), scope.String(), "ask for scopes of the API; of several, for those that each of them lets the client have, or for a token for one")
		return nil, oauth.InvalidScope("the API has none of the requested scopes for this client").Because("scope %s", scope)
	}
	if len(kept) < len(scope) {
		event.Pass("scope at the API", "", listOf(kept)+", of "+scope.String()+": the rest is not what every API lets the client have")
	}
	return kept, nil
}

// allowed are the scopes that the APIs let the client have, for people.
func (t *target) allowed() string {
	var allowed oauth.Scope
	for _, token := range t.scopes {
		if !allowed.Has(token) && !t.withheld.scopes.Has(token) {
			allowed = append(allowed, token)
		}
	}
	return allowed.String()
}
