package token

import "slices"

// Further are claims that tokens of other servers have beside those of RFC 9068, for
// APIs and libraries that read them. They say again what the others say, and nothing is
// decided by them here.
type Further struct {
	AuthorizedParty string             `json:"azp,omitempty"`
	Type            string             `json:"typ,omitempty"`
	Username        string             `json:"preferred_username,omitempty"`
	Access          map[string]RolesAt `json:"resource_access,omitempty"`
	CERNRoles       []string           `json:"cern_roles,omitempty"`
	UserType        string             `json:"aut,omitempty"`
	NotBefore       int64              `json:"nbf,omitempty"` // seconds since 1970
}

// RolesAt are the roles that one API gave the client.
type RolesAt struct {
	Roles []string `json:"roles"`
}

// ResourceAccess is the claim for which the roles of each API are wanted.
const ResourceAccess = "resource_access"

// FurtherClaims are the names of those claims: Keycloak's, then what CERN's tokens have
// beside them, then Asgardeo's, whose azp is the same.
var FurtherClaims = []string{"azp", "typ", "preferred_username", ResourceAccess, "cern_roles", "aut", "nbf"}

// further is what the realm wants its tokens to say beside the rest. Where there is
// nothing to say, the claim is not there.
func (i *Issuer) further(claims *Claims, at map[string]RolesAt) *Further {
	said := &Further{}
	for _, name := range i.Further {
		switch name {
		case "azp":
			said.AuthorizedParty = claims.ClientID
		case "typ":
			said.Type = claims.Confirmation.TokenType()
		case "preferred_username":
			said.Username = i.username(claims)
		case ResourceAccess:
			said.Access = at
		case "cern_roles":
			said.CERNRoles = claims.Roles
		case "aut":
			said.UserType = "APPLICATION"
			if claims.ofUser() {
				said.UserType = "APPLICATION_USER"
			}
		case "nbf":
			said.NotBefore = claims.IssuedAt
		}
	}
	return said
}

// ofUser reports whether the subject is a user: only an assertion is about one, and
// what came of its token remembers it.
func (c *Claims) ofUser() bool {
	return slices.ContainsFunc(c.Origins, func(origin Origin) bool { return origin.User != "" })
}

// username is what Keycloak calls the subject: a user by userName, which is the sub
// here, and a client by service-account- and its id. That client is the token's own or
// one that it came from; which, the sub tells.
func (i *Issuer) username(c *Claims) string {
	if c.ofUser() {
		return c.Subject
	}
	if c.Subject == i.Subject(c.ClientID) {
		return "service-account-" + c.ClientID
	}
	for _, origin := range c.Origins {
		if c.Subject == i.Subject(origin.ClientID) {
			return "service-account-" + origin.ClientID
		}
	}
	return ""
}
