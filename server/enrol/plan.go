package enrol

import (
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/bank"
	"github.com/fapid/fapid/server/directory"
	"github.com/fapid/fapid/server/participant"
)

// custom is how participants of an ecosystem usually are.
type custom struct {
	ecosystem          string
	transport, signing string // types of certificate at the directory
	country            string
	roles              []string // the first will do for the bank
	algs               []string // of the signing key; the first is the usual one
	// scopes are what the bank, and managing the registration, need.
	scopes oauth.Scope
	// ask has the participant ask for the scopes; elsewhere it gets what its roles or
	// its statement say.
	ask bool
}

// The algorithms that signing keys are for.
const rsaPSS, ecdsa = "PS256", "ES256"

// customs is the table; adding an ecosystem is adding a row. Which methods of
// authentication there are says the ecosystem itself.
var customs = []custom{
	{ecosystem: "raidiam", transport: "rtstransport", signing: "rtssigning", country: "GB", algs: []string{rsaPSS, ecdsa}, scopes: oauth.Scope{"openid", bank.ScopeAccounts}, ask: true},
	{ecosystem: "uk", transport: "obwac", signing: "obseal", country: "GB", roles: []string{"AISP"}, algs: []string{rsaPSS}, scopes: oauth.Scope{bank.ScopeAccounts}},
	{ecosystem: "brazil", transport: "brcac", signing: "rtssigning", country: "BR", roles: []string{"DADOS"}, algs: []string{rsaPSS}, scopes: oauth.Scope{bank.ScopeAccounts}},
	{ecosystem: "cdr", transport: "cdr", signing: "rtssigning", country: "AU", roles: []string{"DATA_RECIPIENT"}, algs: []string{rsaPSS, ecdsa}, scopes: oauth.Scope{bank.ScopeAccountsCDR, "cdr:registration"}},
	{ecosystem: "uae", transport: "uae-transport", signing: "uae-signing", country: "AE", roles: []string{"BDSP"}, algs: []string{rsaPSS}, scopes: oauth.Scope{bank.ScopeAccounts}},
	{ecosystem: "rfc7591", transport: "rtstransport", signing: "rtssigning", country: "GB", algs: []string{rsaPSS, ecdsa}, scopes: oauth.Scope{"openid", bank.ScopeAccounts}, ask: true},
}

// plan is an order with everything decided.
type plan struct {
	participant.Order
	custom *custom
	rules  *registration.Ecosystem
	realm  *Realm
}

// plan decides what an order leaves open, and refuses what cannot be had.
func (d *Desk) plan(order participant.Order) (*plan, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	p := &plan{Order: order}
	if err := participant.CheckName(p.Name); err != nil {
		return nil, oauth.InvalidRequest("%s", err.Error())
	}
	for _, step := range []func(*plan) error{d.chooseEcosystem, chooseMethod, chooseRoles, chooseScope, d.chooseRealm} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (d *Desk) chooseEcosystem(p *plan) error {
	if p.Ecosystem == "" {
		p.Ecosystem = d.Ecosystem
	}
	var names []string
	for i := range customs {
		names = append(names, customs[i].ecosystem)
		if customs[i].ecosystem == p.Ecosystem {
			p.custom = &customs[i]
		}
	}
	rules, known := registration.FindEcosystem(p.Ecosystem)
	if p.custom == nil || !known {
		return oauth.InvalidRequest("ecosystem is %s; there are %s", oauth.Quote(p.Ecosystem), strings.Join(names, ", "))
	}
	p.rules = rules
	return nil
}

// chooseMethod decides how the client authenticates, and what it signs with.
func chooseMethod(p *plan) error {
	methods := slices.DeleteFunc([]string{oauth.AuthPrivateKeyJWT, oauth.AuthTLS}, func(method string) bool {
		return len(p.rules.AuthMethods) > 0 && !slices.Contains(p.rules.AuthMethods, method)
	})
	for _, choice := range []struct {
		member string
		value  *string
		there  []string
	}{{"auth", &p.Auth, methods}, {"alg", &p.Alg, p.custom.algs}} {
		if *choice.value == "" {
			*choice.value = choice.there[0]
		}
		if !slices.Contains(choice.there, *choice.value) {
			return oauth.InvalidRequest("%s is %s; participants of %s have %s", choice.member, oauth.Quote(*choice.value), p.Ecosystem, strings.Join(choice.there, " or "))
		}
	}
	return nil
}

// maxRoles bounds the roles of an order: there are fewer.
const maxRoles = 32

func chooseRoles(p *plan) error {
	if p.Roles == nil {
		p.Roles = p.custom.roles
	}
	if len(p.Roles) > maxRoles {
		return oauth.InvalidRequest("there are %d roles, more than there can be", len(p.Roles))
	}
	for i, role := range p.Roles {
		if _, known := directory.DomainOf(role); !known {
			return oauth.InvalidRequest("roles has %s, which no authority gives; see /directory/references/authorisationdomainroles", oauth.Quote(role))
		}
		if slices.Contains(p.Roles[:i], role) {
			return oauth.InvalidRequest("roles has %s twice", role)
		}
	}
	return nil
}

func chooseScope(p *plan) error {
	if p.Scope == "" && p.custom.ask {
		p.Scope = p.custom.scopes.String()
	}
	_, err := oauth.ParseScope(p.Scope)
	return err
}

// chooseRealm finds where the participant registers itself: in the realm that was
// named, or in the first that takes software of its ecosystem, rather one that has the
// scopes it needs.
func (d *Desk) chooseRealm(p *plan) error {
	var names, taking []string
	for i := range d.Realms {
		realm := &d.Realms[i]
		names = append(names, realm.Name)
		if !slices.Contains(realm.Ecosystems, p.Ecosystem) {
			continue
		}
		taking = append(taking, realm.Name)
		_, lacks := realm.Scopes.Missing(p.custom.scopes)
		if p.Realm == realm.Name || p.Realm == "" && (p.realm == nil || !lacks) {
			p.realm = realm
			if !lacks {
				break
			}
		}
	}
	switch {
	case p.realm != nil:
		return nil
	case p.Realm != "" && !slices.Contains(names, p.Realm):
		return oauth.NotFound("no realm %s; there are %s", oauth.Quote(p.Realm), strings.Join(names, ", "))
	case len(taking) > 0:
		return oauth.InvalidRequest("software of %s cannot register itself in realm %s, but in %s", p.Ecosystem, p.Realm, strings.Join(taking, ", "))
	}
	return oauth.InvalidRequest("software of %s cannot register itself in any realm here: registration.directory of one has to list it%s", p.Ecosystem, alsoFirst(p))
}

// alsoFirst says what more an ecosystem without statements needs.
func alsoFirst(p *plan) string {
	if p.rules.Statement.From != registration.FromCertificate {
		return ""
	}
	return ", and registration.ecosystem to name it"
}
