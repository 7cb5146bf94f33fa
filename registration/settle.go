package registration

import (
	"cmp"
	"context"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// vouched are the members that a statement may speak of, and the facts behind them.
var vouched = map[string]fact{
	"redirect_uris": redirectURIs, "jwks_uri": jwksURI, "webhook_uris": webhookURIs,
	"software_id": softwareID, "software_version": softwareVersion,
	"client_name": clientName, "client_uri": clientURI, "logo_uri": logoURI, "policy_uri": policyURI, "tos_uri": tosURI,
}

// applyStatement has the statement say its part.
func (j *judgement) applyStatement(context.Context) error {
	if j.Replaces != nil {
		j.rules.keepOperators(&j.Replaces.Metadata, &j.metadata)
	}
	if j.facts == nil {
		return nil
	}
	if j.stated("jwks") && j.facts.JWKSURI != "" {
		return j.fail("software statement jwks_uri", "jwks or jwks_uri", "both", "fetch another statement",
			oauth.InvalidSoftwareStatement("the software statement has both jwks and jwks_uri (RFC 7591 section 2)"))
	}
	if j.stated("jwks") && j.metadata.JWKSURI != "" {
		return j.refuseMember("jwks_uri", "none beside the statement's jwks", quote(j.metadata.JWKSURI), "leave it out", "contradicts the software statement, which has the keys")
	}
	if j.facts.JWKSURI != "" && j.metadata.JWKS != nil {
		return j.refuseMember("jwks", "none beside the statement's jwks_uri", "jwks", "leave it out", "contradicts the software statement, which says where the keys are")
	}
	for _, rule := range j.rules.Members {
		field := reflect.ValueOf(&j.metadata).Elem().Field(memberFields[rule.Member]).Addr().Interface()
		var err error
		switch fact := vouched[rule.Member].(type) {
		case text:
			if stated := *fact(j.facts); stated != "" {
				j.dropLocalized(rule.Member)
			}
			err = j.applyText(&rule, field.(*string), *fact(j.facts))
		case texts:
			err = j.applyTexts(&rule, field.(*[]string), *fact(j.facts))
		}
		if err != nil {
			return err
		}
	}
	j.metadata.SoftwareStatementIssuer = j.issuer.Name
	return nil
}

func (j *judgement) applyText(rule *MemberRule, value *string, stated string) error {
	switch {
	case *value == "" || *value == stated || rule.Precedence == StatementWins && stated == "":
	case rule.Precedence == StatementWins:
		j.event.Pass(rule.Member, "the statement's: "+oauth.Shown(stated), oauth.Shown(*value))
	default:
		return j.contradicted(rule, quote(stated), quote(*value))
	}
	if stated != "" {
		*value = stated
	}
	return nil
}

func (j *judgement) applyTexts(rule *MemberRule, values *[]string, stated []string) error {
	sent := *values
	switch rule.Precedence {
	case PartOf:
		for _, value := range sent {
			if !slices.Contains(stated, value) {
				return j.contradicted(rule, list(stated), quote(value))
			}
		}
		if len(sent) > 0 {
			return nil
		}
	case MustAgreeOrOff:
		if len(sent) > 0 && !sameTexts(sent, stated) {
			return j.contradicted(rule, list(stated), list(sent))
		}
		return nil
	default:
		if len(stated) == 0 {
			return nil
		}
		if len(sent) > 0 && !sameTexts(sent, stated) {
			j.event.Pass(rule.Member, "the statement's: "+list(stated), list(sent))
		}
	}
	*values = slices.Clone(stated)
	return nil
}

// sameTexts compares lists without regard to order.
func sameTexts(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// contradicted refuses what the statement does not bear out.
func (j *judgement) contradicted(rule *MemberRule, stated, sent string) error {
	if rule.Text != "" {
		return j.fail(rule.Member, stated, sent, "send what the statement says, or have the directory's record changed and fetch another statement", oauth.BadRegistration(rule.Error, "%s", rule.Text))
	}
	return j.refuseMember(rule.Member, stated, sent, "send what the statement says, or have the directory's record changed and fetch another statement",
		"%s is not what the software statement says: %s", sent, stated)
}

// applyDefaults fills in what the ecosystem and the registration itself decide.
func (j *judgement) applyDefaults(context.Context) error {
	m := &j.metadata
	m.Ecosystem = j.rules.Name
	if m.ApplicationType == "" {
		m.ApplicationType = appWeb // OpenID Connect Registration section 2
	}
	if m.TokenEndpointAuthMethod == "" && len(j.rules.AuthMethods) > 0 {
		m.TokenEndpointAuthMethod = j.rules.AuthMethods[0]
	}
	if m.GrantTypes == nil {
		for _, grant := range j.rules.Grants {
			if j.config.Grants(grant) {
				m.GrantTypes = append(m.GrantTypes, grant)
			}
		}
		if m.GrantTypes == nil && !j.config.Grants(grantCode) {
			m.GrantTypes = []string{grantClientCredentials} // what RFC 7591 presumes is not to be had
		}
	}
	switch {
	case j.Replaces != nil:
		m.ClientID = j.Replaces.ID
		j.settlePolicy()
	case j.rules.OwnClientID:
		m.ClientID = j.facts.ClientID
		j.settleOrigin()
	default:
		m.ClientID = oauth.NewTimedUUID(j.now)
		j.settleOrigin()
	}
	return nil
}

// settlePolicy puts software for which somebody vouches from now on under the policy
// of his software, as if it had come with the statement; what the operator, or its
// initial access token, has put it under stays.
func (j *judgement) settlePolicy() {
	before := &j.Replaces.Metadata
	if j.issuer != nil && before.SoftwareStatementIssuer == "" && before.Policy == j.config.Policy {
		j.metadata.Policy = j.issuer.Policy
	}
}

// settleOrigin notes what let new software come, and what that gives it: the policy
// of its initial access token, of whoever vouches for it, or of those for whom
// nobody does.
func (j *judgement) settleOrigin() {
	m := &j.metadata
	m.RegisteredBy = j.By
	if m.RegisteredBy == ByAnybody && j.issuer != nil {
		m.RegisteredBy = ByStatement
	}
	m.Policy = j.config.Policy
	if j.issuer != nil {
		m.Policy = j.issuer.Policy
	}
	if j.Initial != nil {
		m.RegistrationScope, m.Policy = j.Initial.Scope, cmp.Or(j.Initial.Policy, m.Policy)
	}
}

// settleScope gives the software what it asks for within what its roles, its
// statement and the realm allow; all of that if it asks for nothing.
func (j *judgement) settleScope(context.Context) error {
	allowed, limited := j.config.Scopes, false
	if own, err := oauth.ParseScope(j.metadata.RegistrationScope); err == nil && len(own) > 0 {
		allowed = own
	}
	if j.facts != nil {
		var stated oauth.Scope
		if stated, limited = j.rules.Scope.scopes(j.facts); limited {
			allowed = common(stated, allowed)
		}
	}
	asked, err := oauth.ParseScope(j.metadata.Scope)
	if err != nil {
		return j.refuseMember("scope", "scopes with one space between", quote(j.metadata.Scope), "send the scopes in one string", "%s", strings.TrimPrefix(oauth.AsError(err).Description, "scope "))
	}
	switch {
	case len(asked) == 0 && limited:
		asked = allowed
	case j.rules.Scope.Drop:
		asked = common(asked, allowed)
	default:
		if beyond, yes := allowed.Missing(asked); yes {
			return j.refuseMember("scope", list(allowed), quote(beyond), "ask for what the roles of the software and this server allow", "%s is not for this software, which may have %s", quote(beyond), list(allowed))
		}
	}
	j.metadata.Scope = asked.String()
	j.event.Pass("scope", list(allowed), list(asked))
	return nil
}

// common are the scopes of wanted that are in allowed.
func common(wanted, allowed oauth.Scope) (both oauth.Scope) {
	for _, scope := range wanted {
		if allowed.Has(scope) && !both.Has(scope) {
			both = append(both, scope)
		}
	}
	return both
}

// checkSettled holds what has come out against the ecosystem; the rest is for the
// rules of every registration.
func (j *judgement) checkSettled(context.Context) error {
	m := &j.metadata
	if methods := j.rules.AuthMethods; len(methods) > 0 && !slices.Contains(methods, m.TokenEndpointAuthMethod) {
		return j.refuseMember("token_endpoint_auth_method", list(methods), quote(m.TokenEndpointAuthMethod), "register one of these",
			"%s is not accepted by %s, which has %s", quote(m.TokenEndpointAuthMethod), j.rules.About, list(methods))
	}
	if j.rules.AssertionAlg && m.TokenEndpointAuthMethod == oauth.AuthPrivateKeyJWT && m.TokenEndpointAuthSigningAlg == "" {
		return j.refuseMember("token_endpoint_auth_signing_alg", "the algorithm of client assertions", "none", "send it; "+j.rules.About+" requires it with "+oauth.AuthPrivateKeyJWT,
			"is missing; %s wants it", oauth.AuthPrivateKeyJWT)
	}
	for _, grant := range m.GrantTypes {
		if !j.config.Grants(grant) {
			return j.refuseMember("grant_types", "grant types of this server", quote(grant), "see grant_types_supported in discovery", "%s is not offered by this realm", quote(grant))
		}
	}
	if m.ApplicationType == appMobile && !j.rules.MobileApps {
		return j.refuseMember("application_type", "web or native", appMobile, "send native", "is %s, expected web or native", appMobile)
	}
	if _, older := j.members[olderSubjectDN]; older && m.TokenEndpointAuthMethod == oauth.AuthTLS && len(m.tlsNames()) == 0 {
		return j.refuseMember(mtls.KindSubjectDN, mtls.KindSubjectDN, olderSubjectDN, "write it as "+mtls.KindSubjectDN, "is sent by its older name, %s", olderSubjectDN)
	}
	for _, name := range m.tlsNames() {
		if names := j.rules.CertificateNames; len(names) > 0 && !slices.Contains(names, name.member) {
			return j.refuseMember(name.member, list(names), name.member, "register "+list(names), "is not accepted by %s, which has %s", j.rules.About, list(names))
		}
	}
	for _, uri := range m.RedirectURIs {
		if parsed, err := url.Parse(uri); j.rules.PublicRedirects && (err != nil || parsed.Scheme != "https" || loopbackHost(strings.ToLower(parsed.Hostname()))) {
			return j.refuseMember("redirect_uris", "https and a host that is not localhost", quote(uri), "register a public address", "%s must begin with https:// and not lead to localhost", quote(uri))
		}
	}
	return nil
}
