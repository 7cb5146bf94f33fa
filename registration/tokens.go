package registration

import (
	"slices"
	"time"

	"github.com/fapid/fapid/oauth"
)

// setTokens settles what the client's access tokens are like.
func setTokens(c *Client) (err error) {
	m, p := &c.Metadata, c.Policy
	for _, alg := range []struct{ member, value string }{
		{"access_token_signed_response_alg", m.AccessTokenSignedResponseAlg},
		{"introspection_signed_response_alg", m.IntrospectionSignedResponseAlg},
	} {
		if alg.value != "" && !slices.Contains(p.TokenAlgs, alg.value) {
			return invalid(alg.member, "%s is not in policy %s, which allows %s", quote(alg.value), p.Name, list(p.TokenAlgs))
		}
	}
	c.TokenAlg = m.AccessTokenSignedResponseAlg
	if c.TokenAlg == "" {
		if len(p.TokenAlgs) == 0 {
			return invalid("policy", "%s has no access token algorithm", quote(p.Name))
		}
		c.TokenAlg = p.TokenAlgs[0]
	}
	longest := max(p.MaxAccessTokenLifetime, p.AccessTokenLifetime)
	if m.AccessTokenExpiration < 0 || m.AccessTokenExpiration > int64(longest/time.Second) {
		return invalid("access_token_expiration", "is %d, expected 1 to %d seconds by policy %s", m.AccessTokenExpiration, int64(longest/time.Second), p.Name)
	}
	c.TokenLifetime = p.AccessTokenLifetime
	if m.AccessTokenExpiration > 0 {
		c.TokenLifetime = time.Duration(m.AccessTokenExpiration) * time.Second
	}
	if c.TokenFormat, err = tokenFormat(m.AccessTokenFormat); err != nil {
		return err
	}
	if c.TokenFormat == "" {
		c.TokenFormat = oauth.FormatJWT
	}
	c.RecordTokens = m.RecordAccessTokens
	if m.DPoPBoundTokens && len(p.DPoPAlgs) == 0 {
		return invalid("dpop_bound_access_tokens", "does not go with policy %s, which knows no DPoP", p.Name)
	}
	c.BoundTokens = m.CertificateBoundTokens || m.DPoPBoundTokens || p.SenderConstrained
	return nil
}

// tokenFormat checks a format of access tokens that may be left out.
func tokenFormat(format string) (string, error) {
	switch format {
	case "", oauth.FormatJWT, oauth.FormatOpaque:
		return format, nil
	}
	return "", invalid("access_token_format", "is %s, expected jwt or opaque", quote(format))
}
