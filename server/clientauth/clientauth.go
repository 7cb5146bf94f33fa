// Package clientauth finds out who the client is. Each method has its file; the
// steps that all of them need are here, once.
package clientauth

import (
	"context"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/store"
)

// Authenticator authenticates the clients of one realm.
type Authenticator struct {
	Clients *registration.Registry
	// Trust returns the realm's trusted CAs as they are now.
	Trust func() *mtls.Trust
	// Issuer is the issuer identifier.
	Issuer string
	// TokenEndpoints are the addresses of the token endpoint and its alias, which
	// assertions may name as aud under [oauth.AudienceEndpoints].
	TokenEndpoints []string
	// MTLSURL is where certificates are asked for; advice names it.
	MTLSURL string
	// Standing says why a client that is who it says may do nothing now, nil for one
	// that may; nil is for a realm where all may.
	Standing func(*registration.Client) *registration.Suspended
	// Assertions remembers spent client assertions until they have expired, Grants
	// the authorization grants.
	Assertions, Grants store.Claims
	Now                func() time.Time
	// EitherSecret takes the secret of a client in the header or in the body,
	// whichever of the two it is registered for.
	EitherSecret bool
	// Discreet keeps from the wire whether a client exists, which a refusal of its
	// certificate would tell: that has the text of every other then.
	Discreet bool
	// RefreshWithoutSecret takes a refresh token for the proof of a client that is
	// registered for a secret and sends none.
	RefreshWithoutSecret bool
	// Verified is told of the certificate, from a CA, of every client that has
	// authenticated, before anything can be bound to it; nil for nobody.
	Verified func(context.Context, *mtls.Presented) error
}

// standing asks whether a client that is who it says may do anything now.
func (a *Authenticator) standing(client *registration.Client, event *oauth.Event) *registration.Suspended {
	if a.Standing == nil {
		return nil
	}
	suspended := a.Standing(client)
	if suspended != nil {
		event.Fail("client standing", suspended.Expected, suspended.Presented, suspended.Advice)
	}
	return suspended
}

// Attempt is what a request presents to say who sends it.
type Attempt struct {
	Form          oauth.Form
	Authorization []string // the Authorization header's values
	Certificate   *mtls.Presented
	// Endpoints are the addresses of the endpoint that is called.
	Endpoints []string
	// Refresh says that a refresh token is to be redeemed, which is looked at later.
	Refresh bool
	Event   *oauth.Event

	assertion *readAssertion // nil until it is read
}

// Identity is an authenticated client.
type Identity struct {
	Client *registration.Client
	// Certificate is the verified client certificate of the request; nil when
	// none was presented.
	Certificate *mtls.Presented
	// Unproven says that nothing speaks for the client but the refresh token: whoever
	// finds that good calls [Authenticator.Proven].
	Unproven bool
}

// method authenticates a client that uses it; nil means it has.
type method func(*Authenticator, context.Context, *registration.Client, *Attempt) error

var methods = map[string]method{
	oauth.AuthTLS:           (*Authenticator).byCertificate,
	oauth.AuthSelfSignedTLS: (*Authenticator).bySelfSigned,
	oauth.AuthPrivateKeyJWT: (*Authenticator).byPrivateKeyJWT,
	oauth.AuthSecretJWT:     (*Authenticator).bySecretJWT,
	oauth.AuthSecretBasic:   (*Authenticator).bySecret,
	oauth.AuthSecretPost:    (*Authenticator).bySecret,
}

// Authenticate returns the client that sent the request, or the refusal.
// Nothing is spent unless every check before it passed.
func (a *Authenticator) Authenticate(ctx context.Context, attempt *Attempt) (Identity, error) {
	claimed, err := identify(attempt)
	if err != nil {
		return Identity{}, err
	}
	event := attempt.Event
	event.ClaimedID = oauth.Clip(claimed.clientID)
	client, ok := a.Clients.Get(claimed.clientID)
	if !ok {
		event.Fail("client", "a registered client", claimed.clientID,
			"register the client, or correct client_id; `fapid client list` shows those there are")
		return Identity{}, failed("no client has this id")
	}
	event.Pass("client", client.ID, claimed.clientID)
	registered := client.AuthMethod
	if a.trustsRefresh(claimed, registered, attempt) {
		event.Pass("client authentication method", registered, "none; the realm takes the refresh token for it")
		return Identity{Client: client, Unproven: true}, nil
	}
	if !a.takes(claimed, registered) {
		event.Fail("client authentication method", registered, claimed.describe(), methodAdvice[registered])
		return Identity{}, failed("registered for %s, presented %s", registered, claimed.describe())
	}
	event.Pass("client authentication method", registered, registered)
	event.AuthMethod = registered
	if err := a.checkCertificate(ctx, client, attempt); err != nil {
		return Identity{}, err
	}
	if err := methods[registered](a, ctx, client, attempt); err != nil {
		return Identity{}, err
	}
	if err := a.Proven(client, event); err != nil {
		return Identity{}, err
	}
	if a.Verified != nil && attempt.Certificate != nil && !attempt.Certificate.SelfSigned() {
		if err := a.Verified(ctx, attempt.Certificate); err != nil {
			return Identity{}, err
		}
	}
	return Identity{Client: client, Certificate: attempt.Certificate}, nil
}

// Proven admits a client that is known to be who it says: it may do something now, and
// is in use.
func (a *Authenticator) Proven(client *registration.Client, event *oauth.Event) error {
	if suspended := a.standing(client, event); suspended != nil {
		return oauth.InvalidClient("%s", suspended.Public).Because("%w", suspended)
	}
	client.Used(a.Now())
	event.ClientID = client.ID
	return nil
}

// trustsRefresh reports whether a client with a secret may leave that to its refresh
// token here.
func (a *Authenticator) trustsRefresh(c claim, registered string, attempt *Attempt) bool {
	return a.RefreshWithoutSecret && attempt.Refresh && c.form == "" && bySecret(registered)
}

// bySecret reports whether a method sends the secret itself.
func bySecret(method string) bool {
	return method == oauth.AuthSecretBasic || method == oauth.AuthSecretPost
}

// claim is who the request says it is from, and how it would prove that.
type claim struct {
	clientID string
	// form is what was presented: "basic", "post", "assertion", or "" for at
	// most a certificate.
	form        string
	certificate bool
}

// uses reports whether what was presented is the registered method's.
func (c claim) uses(method string) bool {
	switch method {
	case oauth.AuthSecretBasic:
		return c.form == "basic"
	case oauth.AuthSecretPost:
		return c.form == "post"
	case oauth.AuthPrivateKeyJWT, oauth.AuthSecretJWT:
		return c.form == "assertion"
	default:
		return c.form == "" // without a certificate, the method says so itself
	}
}

// takes reports whether what was presented is what the client registered, or as
// good here.
func (a *Authenticator) takes(c claim, registered string) bool {
	return c.uses(registered) || a.EitherSecret && bySecret(registered) && (c.form == "basic" || c.form == "post")
}

func (c claim) describe() string {
	switch {
	case c.form == "basic":
		return oauth.AuthSecretBasic
	case c.form == "post":
		return oauth.AuthSecretPost
	case c.form == "assertion":
		return "client_assertion"
	case c.certificate:
		return "a client certificate only"
	}
	return "no credentials"
}

var methodAdvice = map[string]string{
	oauth.AuthTLS:           "send client_id and the certificate, no secret and no assertion, to the address in mtls_endpoint_aliases",
	oauth.AuthSelfSignedTLS: "send client_id and the certificate, no secret and no assertion, to the address in mtls_endpoint_aliases",
	oauth.AuthPrivateKeyJWT: "send client_assertion_type and a client_assertion signed with the registered key",
	oauth.AuthSecretJWT:     "send client_assertion_type and a client_assertion signed with the client secret",
	oauth.AuthSecretBasic:   "send client_id and client_secret in the Authorization header (HTTP Basic)",
	oauth.AuthSecretPost:    "send client_id and client_secret in the body",
}

// identify reads which client the request claims to be from. RFC 6749 section
// 2.3: a client uses at most one method in a request.
func identify(attempt *Attempt) (claim, error) {
	form := attempt.Form
	claimed := claim{clientID: form.Get("client_id"), certificate: attempt.Certificate != nil}
	var presented []string
	if len(attempt.Authorization) > 0 {
		id, err := basicID(attempt)
		if err != nil {
			return claim{}, err
		}
		if claimed.clientID != "" && claimed.clientID != id {
			attempt.Event.Fail("client_id", "one client", "the Authorization header and the body name different ones", "send one client_id")
			return claim{}, failed("client_id differs between Authorization header and body")
		}
		claimed.clientID, claimed.form = id, "basic"
		presented = append(presented, "Authorization: Basic")
	}
	if form.Has("client_secret") {
		claimed.form = "post"
		presented = append(presented, "client_secret")
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		id, err := assertionID(attempt)
		if err != nil {
			return claim{}, err
		}
		if claimed.clientID == "" {
			claimed.clientID = id
		}
		claimed.form = "assertion"
		presented = append(presented, "client_assertion")
	}
	if len(presented) > 1 {
		attempt.Event.Fail("client authentication", "one method", strings.Join(presented, " and "), "remove all but one")
		return claim{}, oauth.InvalidRequest("the request uses more than one client authentication method")
	}
	if claimed.clientID == "" {
		attempt.Event.Fail("client_id", "a client_id", "none", "send client_id, or an assertion whose iss and sub are the client_id")
		return claim{}, oauth.InvalidClient("the request does not say which client it is from").Because("no client_id")
	}
	return claimed, nil
}

// failedText is the one public text for everything that would tell a stranger
// whether a client exists or which credential was nearly right.
const failedText = "client authentication failed"

func failed(format string, args ...any) oauth.Error {
	return oauth.InvalidClient(failedText).Because(format, args...)
}
