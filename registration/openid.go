package registration

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// Values of application_type. Open Banking's older versions call an app mobile.
const (
	appWeb    = "web"
	appNative = "native"
	appMobile = "mobile"
)

// checkApplication holds redirect URIs to what the application type and the policy
// allow (OpenID Connect Registration section 2, RFC 8252 section 7).
func checkApplication(c *Client) error {
	m := &c.Metadata
	native := m.ApplicationType == appNative || m.ApplicationType == appMobile
	if m.ApplicationType != "" && m.ApplicationType != appWeb && !native {
		return invalid("application_type", "is %s, expected web or native", quote(m.ApplicationType))
	}
	for _, uri := range m.RedirectURIs {
		if err := redirectOf(c, uri, native); err != nil {
			return oauth.InvalidRedirectURI("redirect_uris %s", err.Error())
		}
	}
	for _, uri := range m.PostLogoutRedirectURIs {
		if err := redirectOf(c, uri, native); err != nil {
			return invalid("post_logout_redirect_uris", "%s", err.Error())
		}
	}
	return nil
}

// redirectOf checks one address that browsers are sent back to.
func redirectOf(c *Client, uri string, native bool) error {
	if native && !c.Policy.HTTPSRedirects && privateUse(uri) {
		return nil
	}
	if err := redirectURI(uri); err != nil {
		return err
	}
	u, err := url.Parse(uri)
	local := err == nil && loopbackHost(strings.ToLower(u.Hostname()))
	switch {
	case native:
		return nil
	case u.Scheme != "https" && c.Policy.HTTPSRedirects && c.Metadata.ApplicationType == appWeb:
		return fmt.Errorf("%s must begin with https://: application_type is web, and policy %s wants it", quote(uri), c.Policy.Name)
	case c.MayUse(grantImplicit) && c.Metadata.ApplicationType == appWeb && (u.Scheme != "https" || local):
		return fmt.Errorf("%s must begin with https:// and not lead to localhost: application_type is web, with the implicit grant", quote(uri))
	}
	return nil
}

// privateScheme is a reversed domain name (RFC 8252 section 7.1): what has no dot
// may be javascript, data, or whatever else a browser runs.
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/[!-~]*$`)

func privateUse(uri string) bool {
	return privateScheme.MatchString(uri) && !strings.ContainsAny(uri, `#*\@`) && !strings.HasPrefix(uri[strings.Index(uri, ":"):], "://")
}

// checkSubjects: a realm's subjects are public ones; nobody should think that his
// are not.
func checkSubjects(c *Client) error {
	m := &c.Metadata
	if m.SubjectType != "" && m.SubjectType != "public" {
		return invalid("subject_type", "is %s, expected public; the others are not offered here", quote(m.SubjectType))
	}
	if m.SectorIdentifierURI == "" {
		return nil
	}
	if err := webURI(m.SectorIdentifierURI); err != nil {
		return invalid("sector_identifier_uri", "%s", err.Error())
	}
	return nil
}

// setAnswers settles how what the client is sent is signed. What it would have
// encrypted is refused: it would come in the clear.
func setAnswers(c *Client) error {
	m := &c.Metadata
	for _, alg := range []struct{ member, value string }{
		{"id_token_signed_response_alg", m.IDTokenSignedResponseAlg},
		{"userinfo_signed_response_alg", m.UserinfoSignedResponseAlg},
		{"authorization_signed_response_alg", m.AuthorizationSignedResponseAlg},
		{"introspection_signed_response_alg", m.IntrospectionSignedResponseAlg},
		{"access_token_signed_response_alg", m.AccessTokenSignedResponseAlg},
	} {
		if alg.value != "" && !slices.Contains(c.Policy.TokenAlgs, alg.value) {
			return invalid(alg.member, "%s is not in policy %s, which allows %s", quote(alg.value), c.Policy.Name, list(c.Policy.TokenAlgs))
		}
	}
	for _, encrypted := range []struct{ member, value string }{
		{"id_token_encrypted_response_alg", m.IDTokenEncryptedResponseAlg},
		{"id_token_encrypted_response_enc", m.IDTokenEncryptedResponseEnc},
		{"userinfo_encrypted_response_alg", m.UserinfoEncryptedAlg},
		{"userinfo_encrypted_response_enc", m.UserinfoEncryptedEnc},
		{"authorization_encrypted_response_alg", m.AuthorizationEncryptedResponseAlg},
		{"authorization_encrypted_response_enc", m.AuthorizationEncryptedResponseEnc},
		{"introspection_encrypted_response_alg", m.IntrospectionEncryptedResponseAlg},
		{"introspection_encrypted_response_enc", m.IntrospectionEncryptedResponseEnc},
		{"request_object_encryption_alg", m.RequestObjectEncryptionAlg},
		{"request_object_encryption_enc", m.RequestObjectEncryptionEnc},
	} {
		if encrypted.value != "" {
			return invalid(encrypted.member, "is %s, and nothing is encrypted here; leave it out", quote(encrypted.value))
		}
	}
	// OpenID Connect presumes RS256, which few policies sign with.
	if m.IDTokenSignedResponseAlg == "" && len(c.Policy.TokenAlgs) > 0 && (c.MayUse(grantCode) || c.MayUse(grantImplicit)) {
		m.IDTokenSignedResponseAlg = c.Policy.TokenAlgs[0]
	}
	return nil
}

// checkRequests wants an algorithm for what the client signs beside assertions,
// and a key for it.
func checkRequests(c *Client) error {
	m := &c.Metadata
	for _, alg := range []struct{ member, value string }{
		{"request_object_signing_alg", m.RequestObjectSigningAlg},
		{"backchannel_authentication_request_signing_alg", m.BackchannelRequestSigningAlg},
	} {
		if alg.value == "" {
			continue
		}
		if allowed := only(c.Policy.AssertionAlgs, jwk.Signs); !slices.Contains(allowed, alg.value) {
			return invalid(alg.member, "%s is not in policy %s, which allows %s", quote(alg.value), c.Policy.Name, list(allowed))
		}
		if err := c.signsWith(alg.member, []string{alg.value}); err != nil {
			return err
		}
	}
	if m.RequireSignedRequestObject {
		return c.signsWith("require_signed_request_object", only(c.Policy.AssertionAlgs, jwk.Signs))
	}
	return nil
}

// signsWith wants a key that verifies one of the algorithms; those behind a URI
// are looked for when they are needed.
func (c *Client) signsWith(member string, algs []string) error {
	if c.Keys == nil {
		return invalid(member, "needs a key of the client; register jwks or jwks_uri")
	}
	if set := c.Keys.Set(); set != nil && !slices.ContainsFunc(algs, set.Verifies) {
		return invalid(member, "needs a key that verifies %s; jwks has: %s", list(algs), set)
	}
	return nil
}

// checkBackchannel is for clients of CIBA (OpenID Connect CIBA section 4).
func checkBackchannel(c *Client) error {
	m := &c.Metadata
	switch m.BackchannelTokenDeliveryMode {
	case "", "poll":
		if m.BackchannelNotificationEndpoint != "" {
			return invalid("backchannel_client_notification_endpoint", "goes with backchannel_token_delivery_mode ping only")
		}
	case "ping":
		if m.BackchannelNotificationEndpoint == "" {
			return invalid("backchannel_client_notification_endpoint", "is missing; ping needs it")
		}
		if err := webURI(m.BackchannelNotificationEndpoint); err != nil {
			return invalid("backchannel_client_notification_endpoint", "%s", err.Error())
		}
	default: // FAPI-CIBA section 5.2.2 forbids push
		return invalid("backchannel_token_delivery_mode", "is %s, expected poll or ping", quote(m.BackchannelTokenDeliveryMode))
	}
	m.BackchannelUserCode = false // there are none here (CIBA section 4)
	return nil
}

// checkFurther is for what is left: ages, and addresses that are kept for later.
func checkFurther(c *Client) error {
	m := &c.Metadata
	if m.DefaultMaxAge != nil && (*m.DefaultMaxAge < 0 || *m.DefaultMaxAge > math.MaxInt32) {
		return invalid("default_max_age", "is %d, expected seconds from 0 on", *m.DefaultMaxAge)
	}
	// RFC 9396 section 10. No type is served here yet.
	m.AuthorizationDetailsTypes = nil
	for _, uri := range m.RequestURIs {
		if err := requestURI(uri); err != nil {
			return invalid("request_uris", "%s", err.Error())
		}
	}
	for _, uri := range []struct{ member, value string }{
		{"initiate_login_uri", m.InitiateLoginURI},
		{"backchannel_logout_uri", m.BackchannelLogoutURI},
	} {
		if uri.value == "" {
			continue
		}
		if err := webURI(uri.value); err != nil {
			return invalid(uri.member, "%s", err.Error())
		}
	}
	return checkFrontchannel(m)
}

// contentHash is the SHA-256 of what a request_uri leads to, in base64url.
var contentHash = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// requestURI is webURI, except for the hash that may follow it (OpenID Connect
// Registration section 2).
func requestURI(value string) error {
	address, hash, hashed := strings.Cut(value, "#")
	if hashed && !contentHash.MatchString(hash) {
		return fmt.Errorf("%s has a fragment that is no SHA-256 in base64url", quote(value))
	}
	return webURI(address)
}

// checkFrontchannel wants the logout page where the client is at home (OpenID
// Connect Front-Channel Logout section 2): it is loaded into other people's browsers.
func checkFrontchannel(m *Metadata) error {
	if m.FrontchannelLogoutURI == "" {
		return nil
	}
	if err := redirectURI(m.FrontchannelLogoutURI); err != nil {
		return invalid("frontchannel_logout_uri", "%s", err.Error())
	}
	if !slices.ContainsFunc(m.RedirectURIs, func(uri string) bool { return origin(uri) == origin(m.FrontchannelLogoutURI) }) {
		return invalid("frontchannel_logout_uri", "%s is not at the scheme, host and port of a redirect URI", quote(m.FrontchannelLogoutURI))
	}
	return nil
}

// origin is scheme, host and port of a URI that has been checked.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// checkResponseTypes holds response types, grant types and redirect URIs to the
// table of RFC 7591 section 2.1.
func checkResponseTypes(c *Client) error {
	m := &c.Metadata
	for _, responseType := range m.ResponseTypes {
		for part := range strings.SplitSeq(responseType, " ") {
			needed := grantImplicit
			switch part {
			case "code":
				needed = grantCode
			case "token", "id_token":
			default:
				return invalid("response_types", "%s is unknown; expected code, token and id_token in combination", quote(responseType))
			}
			if !c.MayUse(needed) {
				return invalid("response_types", "%s needs %s among grant_types (RFC 7591 section 2.1)", quote(responseType), needed)
			}
		}
	}
	redirects := c.MayUse(grantCode) || c.MayUse(grantImplicit)
	if redirects && len(m.RedirectURIs) == 0 {
		return oauth.InvalidRedirectURI("redirect_uris is missing; %s needs at least one", list(c.GrantTypes))
	}
	if redirects && len(m.ResponseTypes) == 0 {
		return invalid("response_types", "is missing; %s needs at least one", list(c.GrantTypes))
	}
	return nil
}
