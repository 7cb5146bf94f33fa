package directory

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// The ends of the addresses of key sets.
const (
	applicationSet = "/application.jwks" // keys that sign and that are encrypted to
	transportSet   = "/transport.jwks"   // keys of client certificates
	inactive       = "/inactive"
)

// publicMaxAge lets readers keep a document of the directory for a minute: banks
// read key sets often, and testers change them.
const publicMaxAge = "public, max-age=60"

// publish opens what anybody may read, without token and certificate.
func (d *Directory) publish(site *endpoint.Site) {
	open := func(path, label string, serve func(*endpoint.Request) (*endpoint.Answer, error)) {
		site.Open(endpoint.Route{
			Path: path, Label: "directory/" + label, Methods: []string{http.MethodGet}, Open: true,
			Serve: func(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
				answer, err := serve(r)
				if err == nil {
					answer.Header = http.Header{"Cache-Control": {publicMaxAge}}
				}
				return answer, err
			},
		})
	}
	open("/participants", "participants", d.participants)
	open("/openbanking.jwks", "openbanking.jwks", func(*endpoint.Request) (*endpoint.Answer, error) {
		return &endpoint.Answer{Body: d.keyring.JWKS(), Type: jwksType}, nil
	})
	for _, owner := range []string{"/{organisation:" + pathID + "}", "/{organisation:" + pathID + "}/{software:" + pathID + "}"} {
		for _, set := range []struct {
			path                string
			transport, inactive bool
		}{
			{applicationSet, false, false}, {transportSet, true, false},
			{inactive + applicationSet, false, true}, {inactive + transportSet, true, true},
		} {
			open(owner+set.path, "keystore"+set.path, func(r *endpoint.Request) (*endpoint.Answer, error) {
				body, err := d.keySet(r.Path["organisation"], r.Path["software"], set.transport, set.inactive)
				return &endpoint.Answer{Body: body, Type: jwksType}, err
			})
		}
		open(owner+"/{kid}.pem", "keystore/pem", d.certificate)
	}
}

const (
	jwksType = "application/jwk-set+json"
	pemType  = "application/x-pem-file"
	jwtType  = "application/jwt"
)

// pathID matches what can be an id in a path.
const pathID = "[0-9a-f-]+"

// jwk is a published key. x5dn is Raidiam's: the subject as participants are to
// register it.
type jwk struct {
	public
	Kid         string   `json:"kid"`
	Use         string   `json:"use"`
	Chain       []string `json:"x5c,omitempty"`
	URL         string   `json:"x5u,omitempty"`
	Thumbprint  string   `json:"x5t#S256,omitempty"`
	SubjectName string   `json:"x5dn,omitempty"`
}

// published is a key as its set has it.
func (d *Directory) published(k *Key) jwk {
	key := jwk{public: k.Public, Kid: k.ID, Use: k.Use, Thumbprint: k.Thumbprint, SubjectName: k.Subject}
	for _, der := range d.chain(k) {
		key.Chain = append(key.Chain, base64.StdEncoding.EncodeToString(der))
	}
	if key.Chain != nil {
		key.URL = d.keyURL(k)
	}
	return key
}

// chain are the certificates of a key, DER, its own first.
func (d *Directory) chain(k *Key) [][]byte {
	if k.Serial == "" {
		return k.Chain
	}
	return append(k.Chain[:len(k.Chain):len(k.Chain)], d.config.CA.Issuing().Raw)
}

// ownerURL is where the key sets of an owner begin.
func (d *Directory) ownerURL(k *Key) string {
	address := d.config.URL + "/" + k.OrganisationID
	if k.SoftwareID != "" {
		address += "/" + k.SoftwareID
	}
	return address
}

func (d *Directory) keyURL(k *Key) string { return d.ownerURL(k) + "/" + k.ID + ".pem" }

// keySet has the keys of an owner: those that count, or as many of those that do no
// more as a reader takes, the last ones.
// Transport keys are never among the others, nor the others among them.
func (d *Directory) keySet(organisation, software string, transport, inactive bool) ([]byte, error) {
	if _, _, err := d.owner(organisation, software); err != nil {
		return nil, err
	}
	now := d.config.Now()
	ofSet := func(k *Key) bool { return (k.Use == useTLS) == transport }
	var found []*Key
	if inactive {
		found = d.ended(organisation, software, ofSet)
		found = found[:min(maxKeys, len(found))]
	} else {
		found = d.keysOf(organisation, software, func(k *Key) bool { return ofSet(k) && d.status(k, now) == statusActive })
	}
	keys := []jwk{}
	for _, k := range found {
		keys = append(keys, d.published(k))
	}
	return json.Marshal(map[string]any{"keys": keys})
}

// certificate serves the certificate of a key, with its chain.
func (d *Directory) certificate(r *endpoint.Request) (*endpoint.Answer, error) {
	k, err := d.keyAt(r.Path["organisation"], r.Path["software"], r.Path["kid"])
	if err != nil {
		return nil, err
	}
	if len(k.Chain) == 0 {
		return nil, oauth.NotFound("key %s has no certificate", k.ID)
	}
	return &endpoint.Answer{Body: d.pem(k), Type: pemType}, nil
}

// pem writes the certificates of a key as curl and OpenSSL read them.
func (d *Directory) pem(k *Key) []byte {
	var text bytes.Buffer
	for _, der := range d.chain(k) {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return text.Bytes()
}

// participant is an organisation as anybody sees it.
type participant struct {
	Organisation
	AuthorisationServers []*AuthorisationServer `json:"AuthorisationServers"`
	DomainClaims         []domainClaim          `json:"OrgDomainClaims"`
	RoleClaims           []AuthorityClaim       `json:"OrgDomainRoleClaims"`
}

// domainClaim says that an organisation is under an authority's rules: it is, by
// one role at least.
type domainClaim struct {
	Domain         string `json:"AuthorisationDomainName"`
	AuthorityID    string `json:"AuthorityId"`
	AuthorityName  string `json:"AuthorityName"`
	RegistrationID string `json:"RegistrationId"`
	Status         string `json:"Status"`
}

// domainClaims are made of the roles, in their order.
func (o *Organisation) domainClaims() []domainClaim {
	claims, at := []domainClaim{}, map[string]int{}
	for _, role := range o.Claims {
		i, there := at[role.Domain]
		if !there {
			i = len(claims)
			at[role.Domain] = i
			claims = append(claims, domainClaim{Domain: role.Domain, AuthorityID: role.AuthorityID, RegistrationID: role.RegistrationID, Status: statusInactive})
			if authority, ok := findAuthority(role.AuthorityID); ok {
				claims[i].AuthorityName = authority.Name
			}
		}
		if role.Status == statusActive {
			claims[i].Status = statusActive
		}
	}
	return claims
}

// participants lists every organisation with its servers and roles, save those that
// are made for a drill and gone in a moment.
func (d *Directory) participants(*endpoint.Request) (*endpoint.Answer, error) {
	servers := map[string][]*AuthorisationServer{}
	for _, a := range list(d, &d.servers, func(a *AuthorisationServer) bool { return a.Status == statusActive }) {
		servers[a.OrganisationID] = append(servers[a.OrganisationID], a)
	}
	all := []participant{}
	for _, o := range list(d, &d.organisations, func(o *Organisation) bool { return !o.Drill }) {
		all = append(all, participant{
			Organisation:         *o,
			AuthorisationServers: append([]*AuthorisationServer{}, servers[o.ID]...),
			DomainClaims:         o.domainClaims(),
			RoleClaims:           append([]AuthorityClaim{}, o.Claims...),
		})
	}
	return &endpoint.Answer{JSON: all}, nil
}
