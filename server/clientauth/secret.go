package clientauth

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// bySecret is client_secret_basic and client_secret_post (RFC 6749 section
// 2.3.1); which of the two was used has been compared with the registration.
func (a *Authenticator) bySecret(_ context.Context, client *registration.Client, attempt *Attempt) error {
	secret := attempt.Form.Get("client_secret")
	if len(attempt.Authorization) > 0 {
		var err error
		if _, secret, err = basicCredentials(attempt); err != nil {
			return err
		}
	}
	if !client.CheckSecret(secret) {
		attempt.Event.Fail("client secret", "the registered secret", "another one", "check the secret; in HTTP Basic, id and secret are form-encoded first (RFC 6749 section 2.3.1)")
		return failed("wrong client secret")
	}
	attempt.Event.Pass("client secret", "the registered secret", "the same")
	return nil
}

func basicID(attempt *Attempt) (string, error) {
	id, _, err := basicCredentials(attempt)
	return id, err
}

// basicCredentials decodes the Authorization header. RFC 6749 section 2.3.1: id
// and secret are form-encoded before they are joined.
func basicCredentials(attempt *Attempt) (id, secret string, err error) {
	if len(attempt.Authorization) > 1 {
		return "", "", oauth.InvalidRequest("there is more than one Authorization header")
	}
	scheme, encoded, _ := strings.Cut(attempt.Authorization[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		attempt.Event.Fail("Authorization header", "Basic", oauth.Printable(oauth.Clip(scheme)), "client authentication takes HTTP Basic, an assertion or a certificate")
		return "", "", oauth.InvalidClient("the Authorization scheme is not one clients authenticate with").Because("unknown scheme")
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", malformedBasic(attempt, "not base64")
	}
	rawID, rawSecret, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", "", malformedBasic(attempt, "no colon")
	}
	if id, err = url.QueryUnescape(rawID); err != nil {
		return "", "", malformedBasic(attempt, "client_id is not form-encoded")
	}
	if secret, err = url.QueryUnescape(rawSecret); err != nil {
		return "", "", malformedBasic(attempt, "client_secret is not form-encoded")
	}
	return id, secret, nil
}

func malformedBasic(attempt *Attempt, what string) oauth.Error {
	attempt.Event.Fail("Authorization header", "Basic base64(client_id:client_secret)", what, "form-encode id and secret, join them with a colon, then base64")
	return oauth.InvalidClient("the Authorization header is malformed").Because("%s", what)
}
