package registration

import (
	"slices"
	"time"

	"github.com/fapid/fapid/oauth"
)

// setTokens settles what the client's access tokens are like.
func setTokens(c *Client) (err error) {
	m, p := &c.Metadata, c.Policy
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

// setRefresh settles whether the client has refresh tokens, and their life.
func setRefresh(c *Client) error {
	m, p := &c.Metadata, c.Policy
	if m.RefreshToken && !(p.RefreshForClientCredentials && p.Grants(grantRefresh)) {
		return invalid("refresh_token", "is true, and policy %s gives none with client credentials; leave it out", p.Name)
	}
	if m.RefreshToken && !c.MayUse(grantRefresh) {
		c.GrantTypes = append(slices.Clone(c.GrantTypes), grantRefresh)
	}
	if !c.MayUse(grantRefresh) && (m.RefreshTokenExpiration != 0 || m.RefreshTokenExpirationFrom != "") {
		return invalid("refresh_token_expiration", "goes with refresh_token: true or grant type %s", grantRefresh)
	}
	longest := max(p.MaxRefreshTokenLifetime, p.RefreshTokenLifetime)
	if m.RefreshTokenExpiration < 0 || m.RefreshTokenExpiration > int64(longest/time.Second) {
		return invalid("refresh_token_expiration", "is %d, expected 1 to %d seconds by policy %s", m.RefreshTokenExpiration, int64(longest/time.Second), p.Name)
	}
	switch m.RefreshTokenExpirationFrom {
	case "", "issue", "last_use":
		c.RefreshFromLastUse = m.RefreshTokenExpirationFrom == "last_use"
	default:
		return invalid("refresh_token_expiration_from", "is %s, expected issue or last_use", quote(m.RefreshTokenExpirationFrom))
	}
	c.RefreshTokens, c.RefreshLifetime = m.RefreshToken, p.RefreshTokenLifetime
	if m.RefreshTokenExpiration > 0 {
		c.RefreshLifetime = time.Duration(m.RefreshTokenExpiration) * time.Second
	}
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
