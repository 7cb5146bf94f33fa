package registration

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

// invalid is a refusal that names the member and says what is expected.
func invalid(member, format string, args ...any) error {
	return oauth.InvalidClientMetadata("%s %s", member, fmt.Sprintf(format, args...))
}

// rules is what the registrations of a realm are held to.
type rules struct {
	policies      func(name string) (*oauth.Policy, bool)
	defaultPolicy string
	scopes        oauth.Scope
	selfScopes    oauth.Scope
	grants        func(string) bool
	sealer        *store.Sealer
	fetch         *Fetcher
	allowTestKeys bool
}

// build makes a client of a registration, judged as a whole and by the rules in
// force now, whatever was registered before (the new state, never the change).
// Only the credential that is kept already may be carried over.
func (r *rules) build(m Metadata, kept *credential, from jwk.Origin) (*Client, error) {
	c := &Client{Metadata: m, ID: m.ClientID, AuthMethod: m.TokenEndpointAuthMethod, secret: kept, sealer: r.sealer}
	for _, check := range []func(*Client) error{
		checkTexts,
		checkID,
		r.setPolicy,
		checkAuthMethod,
		setSecret,
		func(c *Client) error { return r.setKeys(c, from) },
		setAssertionAlgs,
		checkAssertionKey,
		setCertificate,
		r.setGrants,
		checkResponseTypes,
		checkApplication,
		checkSubjects,
		setAnswers,
		checkRequests,
		checkBackchannel,
		checkURIs,
		checkLocalized,
		checkFurther,
		checkSoftware,
		r.setScope,
		setTokens,
		setRefresh,
	} {
		if err := check(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// withDefaults fills in what RFC 7591 section 2 says an absent member means, so
// that a client is shown what is in force.
func (r *rules) withDefaults(m *Metadata) {
	if m.Policy == "" {
		m.Policy = r.defaultPolicy
	}
	if policy, ok := r.policies(m.Policy); ok && m.TokenEndpointAuthMethod == "" && policy.Allows(oauth.AuthSecretBasic) {
		m.TokenEndpointAuthMethod = oauth.AuthSecretBasic
	}
	if m.GrantTypes == nil {
		m.GrantTypes = []string{grantCode}
	}
	if m.ResponseTypes == nil && slices.Contains(m.GrantTypes, grantCode) {
		m.ResponseTypes = []string{"code"}
	}
}

// Grant types that rules speak of (RFC 7591 section 2.1).
const (
	grantClientCredentials = "client_credentials"
	grantRefresh           = "refresh_token"
	grantCode              = "authorization_code"
	grantImplicit          = "implicit"
)

// GrantBasic stands among the grant types of clients that may call the realm's
// management API by HTTP Basic, as in Aidbox; no token is granted by it.
const GrantBasic = "basic"

// checkTexts holds every string of the registration to the same limits: bounded,
// without control characters, and no entry of an array empty or repeated.
func checkTexts(c *Client) error {
	value := reflect.ValueOf(&c.Metadata).Elem()
	for _, name := range memberNames {
		switch field := value.Field(memberFields[name]).Interface().(type) {
		case string:
			if err := checkText(field); err != nil {
				return invalid(name, "%s", err.Error())
			}
		case []string:
			if err := checkList(field); err != nil {
				return refusedList(name, err)
			}
		}
	}
	return nil
}

// refusedList is the refusal of a list, by the error that its member has.
func refusedList(member string, err error) error {
	switch member {
	case "redirect_uris":
		return oauth.InvalidRedirectURI("%s %s", member, err)
	case "webhook_uris":
		return oauth.BadRegistration(oauth.CodeInvalidWebhookURIs, "%s %s", member, err)
	}
	return invalid(member, "%s", err.Error())
}

func checkText(text string) error {
	switch {
	case len(text) > maxTextBytes:
		return fmt.Errorf("is longer than %d bytes", maxTextBytes)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("holds a control character or invalid UTF-8: %s", quote(text))
	}
	return nil
}

func checkList(entries []string) error {
	if len(entries) > maxListLength {
		return fmt.Errorf("has %d entries, more than %d", len(entries), maxListLength)
	}
	for i, entry := range entries {
		if entry == "" {
			return fmt.Errorf("entry %d is empty", i+1)
		}
		if err := checkText(entry); err != nil {
			return fmt.Errorf("entry %d %w", i+1, err)
		}
		if slices.Contains(entries[:i], entry) {
			return fmt.Errorf("has %s twice", quote(entry))
		}
	}
	return nil
}

func checkID(c *Client) error {
	switch {
	case c.ID == "":
		return invalid("client_id", "is missing")
	case len(c.ID) > maxIDBytes || !visible(c.ID):
		return invalid("client_id", "must be at most %d printable ASCII characters (RFC 6749 appendix A.1)", maxIDBytes)
	}
	return nil
}

func (r *rules) setPolicy(c *Client) error {
	policy, ok := r.policies(c.Metadata.Policy)
	if !ok {
		return invalid("policy", "%s is not a policy of this realm", quote(c.Metadata.Policy))
	}
	c.Policy = policy
	return nil
}

func checkAuthMethod(c *Client) error {
	if c.AuthMethod == "" {
		return invalid("token_endpoint_auth_method", "is missing; policy %s allows %s", c.Policy.Name, list(c.Policy.AuthMethods))
	}
	if !c.Policy.Allows(c.AuthMethod) {
		return invalid("token_endpoint_auth_method", "%s is not in policy %s, which allows %s", quote(c.AuthMethod), c.Policy.Name, list(c.Policy.AuthMethods))
	}
	if c.AuthMethod == oauth.AuthSelfSignedTLS && c.Metadata.JWKS == nil && c.Metadata.JWKSURI == "" {
		return invalid("jwks", "or jwks_uri is missing; %s needs the certificate in the x5c of a key (RFC 8705 section 2.2.2)", c.AuthMethod)
	}
	if c.AuthMethod == oauth.AuthPrivateKeyJWT && c.Metadata.JWKS == nil && c.Metadata.JWKSURI == "" {
		return invalid("jwks", "or jwks_uri is missing; %s needs the client's public key", c.AuthMethod)
	}
	return nil
}

func (r *rules) setKeys(c *Client, from jwk.Origin) error {
	m := &c.Metadata
	switch {
	case m.JWKS != nil && m.JWKSURI != "":
		return invalid("jwks", "and jwks_uri are both given; expected at most one (RFC 7591 section 2)")
	case m.JWKSURI != "":
		if err := webURI(m.JWKSURI); err != nil {
			return invalid("jwks_uri", "%s", err.Error())
		}
		c.Keys = r.fetch.sets.Keys(m.JWKSURI, r.allowTestKeys)
		return nil
	case m.JWKS == nil:
		return nil
	}
	set, err := jwk.Parse(m.JWKS, from, refuseKey(r.allowTestKeys))
	if err != nil {
		return invalid("jwks", "is refused: %s", err.Error())
	}
	if set.Empty() {
		return invalid("jwks", "has no keys; leave it out or add one")
	}
	if c.AuthMethod == oauth.AuthSelfSignedTLS && !set.Certified() {
		return invalid("jwks", "has no key with x5c; %s needs the certificate there (RFC 8705 section 2.2.2)", c.AuthMethod)
	}
	c.Keys = jwk.In(set)
	return nil
}

// refuseKey is for keys that everybody has, unless this is a sandbox.
func refuseKey(allowTestKeys bool) jwk.Refuse {
	if allowTestKeys {
		return nil
	}
	return testkeys.Refuse
}

// hmacKeyBytes are the shortest keys of the HMAC algorithms: as long as their
// output (RFC 7518 section 3.2).
var hmacKeyBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

func setAssertionAlgs(c *Client) error {
	const member = "token_endpoint_auth_signing_alg"
	allowed, alg := c.Policy.AssertionAlgs, c.Metadata.TokenEndpointAuthSigningAlg
	if alg != "" {
		if !slices.Contains(allowed, alg) {
			return invalid(member, "%s is not in policy %s, which allows %s", quote(alg), c.Policy.Name, list(allowed))
		}
		allowed = []string{alg}
	}
	switch c.AuthMethod {
	case oauth.AuthPrivateKeyJWT:
		c.AssertionAlgs = only(allowed, jwk.Signs)
	case oauth.AuthSecretJWT:
		c.AssertionAlgs = only(allowed, func(alg string) bool { return hmacKeyBytes[alg] != 0 })
	default:
		if c.Keys != nil {
			c.AssertionAlgs = only(allowed, jwk.Signs)
		}
		return nil
	}
	if len(c.AssertionAlgs) == 0 {
		return invalid(member, "%s does not go with %s; policy %s allows %s", quote(alg), c.AuthMethod, c.Policy.Name, list(c.Policy.AssertionAlgs))
	}
	return nil
}

func only(values []string, keep func(string) bool) (kept []string) {
	for _, value := range values {
		if keep(value) {
			kept = append(kept, value)
		}
	}
	return kept
}

// checkAssertionKey wants a key that fits at least one algorithm the client may
// sign with: better refused here than at the first token request.
func checkAssertionKey(c *Client) error {
	switch c.AuthMethod {
	case oauth.AuthPrivateKeyJWT:
		if set := c.Keys.Set(); set != nil && !slices.ContainsFunc(c.AssertionAlgs, set.Verifies) {
			return invalid("jwks", "has no key that verifies %s (it has: %s)", list(c.AssertionAlgs), set)
		}
	case oauth.AuthSecretJWT:
		key, err := c.SecretKey()
		if err != nil {
			return invalid("client_secret", "cannot be opened: %s", err.Error())
		}
		algs := c.AssertionAlgs
		c.AssertionAlgs = only(algs, func(alg string) bool { return len(key) >= hmacKeyBytes[alg] })
		if len(c.AssertionAlgs) == 0 {
			return invalid("client_secret", "is too short for %s: expected at least %d bytes (RFC 7518 section 3.2)", algs[0], hmacKeyBytes[algs[0]])
		}
	}
	return nil
}

// setCertificate wants exactly one of the five names from a tls_client_auth
// client (RFC 8705 section 2.1.2), and none from others: a name that is not
// checked is a name somebody relies on in vain.
func setCertificate(c *Client) error {
	names := c.Metadata.tlsNames()
	if c.AuthMethod != oauth.AuthTLS {
		if len(names) > 0 {
			return invalid(names[0].member, "goes with %s only, and the method is %s", oauth.AuthTLS, c.AuthMethod)
		}
		return nil
	}
	if len(names) == 0 {
		return invalid("tls_client_auth_subject_dn", "is missing; %s needs exactly one of it, tls_client_auth_san_dns, _san_uri, _san_ip and _san_email (RFC 8705 section 2.1.2)", oauth.AuthTLS)
	}
	if len(names) > 1 {
		return invalid(names[1].member, "is given together with %s; expected exactly one of the five names (RFC 8705 section 2.1.2)", names[0].member)
	}
	registered, err := mtls.ParseRegistered(names[0].member, names[0].value, c.dnMatching())
	if err != nil {
		return oauth.InvalidClientMetadata("%s", err.Error())
	}
	c.Certificate = registered
	return nil
}

// dnMatching is the one rule by which a client's subject is parsed and compared: its
// ecosystem's if that has one, because no realm can loosen what an ecosystem wants
// of all, and its policy's otherwise.
func (c *Client) dnMatching() mtls.Matching {
	if ecosystem, known := FindEcosystem(c.Metadata.Ecosystem); known && ecosystem.DNMatching != "" {
		return ecosystem.DNMatching
	}
	return mtls.Matching(c.Policy.DNMatching)
}

func (r *rules) setGrants(c *Client) error {
	c.GrantTypes = c.Metadata.GrantTypes
	for _, grant := range c.GrantTypes {
		if !r.grants(grant) {
			return invalid("grant_types", "%s is not offered by this realm", quote(grant))
		}
		if !c.Policy.Grants(grant) {
			return invalid("grant_types", "%s is not in policy %s, which has %s", quote(grant), c.Policy.Name, list(c.Policy.GrantTypes))
		}
	}
	return nil
}

func checkURIs(c *Client) error {
	m := &c.Metadata
	for _, uri := range m.WebhookURIs {
		if err := webURI(uri); err != nil {
			return oauth.BadRegistration(oauth.CodeInvalidWebhookURIs, "webhook_uris %s", err.Error())
		}
	}
	for _, uri := range []struct{ member, value string }{
		{"client_uri", m.ClientURI},
		{"logo_uri", m.LogoURI},
		{"policy_uri", m.PolicyURI},
		{"tos_uri", m.TosURI},
	} {
		if uri.value == "" {
			continue
		}
		if err := webURI(uri.value); err != nil {
			return invalid(uri.member, "%s", err.Error())
		}
	}
	return nil
}

// checkSoftware wants to know which software was vouched for.
func checkSoftware(c *Client) error {
	if c.Metadata.SoftwareStatementIssuer != "" && c.Metadata.SoftwareID == "" {
		return invalid("software_id", "is missing; software_statement_issuer says who vouched for it")
	}
	return nil
}

func (r *rules) setScope(c *Client) error {
	scope, err := oauth.ParseScope(c.Metadata.Scope)
	if err != nil {
		return oauth.InvalidClientMetadata("%s", oauth.AsError(err).Description)
	}
	if missing, yes := r.scopes.Missing(scope); yes {
		return invalid("scope", "%s is not offered by this realm, which offers %s", quote(missing), list(r.scopes))
	}
	c.Scope = scope
	return r.checkSelfScope(c)
}

// checkSelfScope holds what a client may give itself to what any software may:
// whoever may write registrations could else have it take what he may not give.
func (r *rules) checkSelfScope(c *Client) error {
	const member = "registration_scope"
	own, err := oauth.ParseScope(c.Metadata.RegistrationScope)
	if err != nil {
		return invalid(member, "%s", oauth.AsError(err).Description)
	}
	if beyond, yes := r.selfScopes.Missing(own); yes {
		return invalid(member, "%s is not one that software which registers itself may have: %s", quote(beyond), list(r.selfScopes))
	}
	return nil
}
