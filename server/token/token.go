package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// Authorization is what a grant has established: who may get a token for what.
// The pipeline turns it into a token; a grant never signs or writes one.
type Authorization struct {
	Subject string
	Scope   oauth.Scope
	// Audience is what the grant was limited to, nil for no limit; the pipeline
	// makes of it what the token is for.
	Audience oauth.Audience
	// From is the client whose token or assertion was brought; empty for none. An
	// API must let the client exchange what is from it, other than those of Kept,
	// which the client's own token was for already.
	From string
	Kept oauth.Audience
	// Until is when the token expires at the latest; zero for no limit.
	Until time.Time
	// Act, MayAct and Origins are claims of the token.
	Act     *oauth.Actor
	MayAct  *oauth.Party
	Origins []Origin
	// IssuedType is the issued_token_type to answer with (RFC 8693 section 2.2.1);
	// empty for none.
	IssuedType string

	// The pipeline fills in what follows, unless the grant says it.

	Client *registration.Client
	Roles  []string // that the APIs gave the client
	// RolesAt are those of each API, by its identifier; nil where the realm's tokens do
	// not say it.
	RolesAt      map[string]RolesAt
	Lifetime     time.Duration
	Format       string              // oauth.FormatJWT or oauth.FormatOpaque
	Confirmation *oauth.Confirmation // what the token is bound to; nil for nothing
	// Bind has the last word on that: it is given what client and policy want, and
	// adds to it or refuses; nil adds nothing.
	Bind func(*oauth.Confirmation) (*oauth.Confirmation, error)

	// ID is the jti; empty for the first token of a new session.
	ID string
	// Refresh has a refresh token issued with a new session. CertificateSubject
	// and CertificateIssuer are by whose certificate that is bound, so that a renewed
	// one is known.
	Refresh            bool
	CertificateSubject string
	CertificateIssuer  string
	// RefreshToken is the one to answer with, empty for none.
	RefreshToken string

	// Spend uses up what the client brought, when nothing else can be refused any
	// more and before a token is made; nil where there is nothing to spend.
	Spend func(context.Context, *Authorization) error
}

// Claims are what an access token says: the claims of a JWT (RFC 9068 section
// 2.2), or what is recorded of an opaque one.
type Claims struct {
	Issuer       string              `json:"iss"`
	Subject      string              `json:"sub"`
	Audience     oauth.Audience      `json:"aud"`
	ClientID     string              `json:"client_id"`
	Scope        string              `json:"scope,omitempty"`
	Roles        []string            `json:"roles,omitempty"` // RFC 9068 section 2.2.3.1
	ID           string              `json:"jti"`
	IssuedAt     int64               `json:"iat"` // seconds since 1970
	Expires      int64               `json:"exp"` // seconds since 1970
	Confirmation *oauth.Confirmation `json:"cnf,omitempty"`

	// Act is who acts for the subject, MayAct who alone may have this token
	// exchanged and act (RFC 8693 sections 4.1 and 4.4).
	Act    *oauth.Actor `json:"act,omitempty"`
	MayAct *oauth.Party `json:"may_act,omitempty"`
	// Origins are what the token was made of; nil for one that a client got for itself.
	Origins []Origin `json:"origins,omitempty"`

	// Further is nil where the realm's tokens have no further claims.
	*Further

	// Client is the client of ClientID as it is registered now; set by
	// [Issuer.Verify].
	Client *registration.Client `json:"-"`

	opaque, ended bool // of an opaque token: that it is one, and whether its session was ended
}

// Issuer issues and verifies a realm's access tokens.
type Issuer struct {
	// ID is the issuer identifier, the iss claim.
	ID   string
	Keys *Keyring
	Now  func() time.Time
	// Further are the names of the claims that tokens have beside those of RFC 9068,
	// of [FurtherClaims]; Subject is the sub of a client, for them.
	Further []string
	Subject func(clientID string) string
	// Sessions is the record of what was issued and of what was ended.
	Sessions *Sessions
	// Client finds a client that may still get and use tokens.
	Client func(id string) (*registration.Client, bool)
	// Standing says why a client may use no token now, nil for one that may; nil is
	// for a realm where all may.
	Standing func(*registration.Client) *registration.Suspended
	// Ended tells which scopes a client has no more, although it is registered for them;
	// nil, as what it returns may be, is for all there are.
	Ended func(*registration.Client) func(scope string) bool
	// User reports whether a user, by id, may still be acted for.
	User func(id string) bool
	// CertificateRevoked reports whether the certificate with this x5t#S256 has
	// been revoked; what is bound to it is dead with it.
	CertificateRevoked func(thumbprint string) bool
	// Signed is told how long each signature took; nil for nobody.
	Signed func(alg string, took time.Duration)
}

// Issue makes an access token and returns it with its life in seconds.
func (i *Issuer) Issue(ctx context.Context, authorization *Authorization) (text string, expiresIn int64, err error) {
	client := authorization.Client
	now := i.Now()
	expiresIn = int64(authorization.Lifetime / time.Second)
	if until := authorization.Until; !until.IsZero() {
		if expiresIn = min(expiresIn, until.Unix()-now.Unix()); expiresIn <= 0 {
			return "", 0, oauth.InvalidRequest("what the token was asked for with has expired").Because("until %s", until)
		}
	}
	id := authorization.ID
	if id == "" {
		id = newID(now)
	}
	claims := Claims{
		Issuer:       i.ID,
		Subject:      authorization.Subject,
		Audience:     authorization.Audience,
		ClientID:     client.ID,
		Scope:        authorization.Scope.String(),
		Roles:        authorization.Roles,
		ID:           id,
		IssuedAt:     now.Unix(),
		Expires:      now.Unix() + expiresIn,
		Confirmation: authorization.Confirmation,
		Act:          authorization.Act,
		MayAct:       authorization.MayAct,
		Origins:      authorization.Origins,
	}
	if len(i.Further) > 0 {
		claims.Further = i.further(&claims, authorization.RolesAt)
	}
	var hash []byte
	if authorization.Format == oauth.FormatOpaque {
		h := handle{kind: kindAccess, client: client.ID, id: id, secret: newSecret()}
		text, hash = h.String(), h.hash()
	} else if text, err = i.sign(ctx, client.TokenAlg, &claims); err != nil {
		return "", 0, err
	}
	if len(text) > MaxToken {
		return "", 0, oauth.InvalidRequest("the token would be too long; ask for fewer APIs or less scope").Because("%d bytes, at most %d", len(text), MaxToken)
	}
	// Signed before the record is waited for, while all of it is in the caches;
	// nobody has the token until it is recorded.
	if err := i.record(ctx, authorization, &claims, hash); err != nil {
		return "", 0, oauth.TemporarilyUnavailable().Because("record a token: %w", err)
	}
	return text, expiresIn, nil
}

// sign makes a JWT access token.
func (i *Issuer) sign(ctx context.Context, alg string, claims *Claims) (string, error) {
	key, err := i.Keys.signing(ctx, alg)
	if err != nil {
		return "", err
	}
	started := time.Now()
	compact, err := key.Sign(TypeAccessToken, claims)
	if i.Signed != nil {
		i.Signed(key.Alg, time.Since(started))
	}
	return compact, err
}

// ErrForeign says that a token is none of this realm, or is good no more.
var ErrForeign = errors.New("not a good token of this issuer")

// MaxToken is the most bytes a token may have; ours stay under two thousand.
const MaxToken = 8 << 10

// Parse checks that an access token is one of ours and returns its claims,
// whether or not they still hold. The error says what was wrong; one that is no
// [ErrForeign] is a failure of the store, and says nothing of the token.
func (i *Issuer) Parse(ctx context.Context, text string) (claims *Claims, err error) {
	if IsOpaque(text) {
		claims, err = i.Sessions.access(ctx, text)
	} else {
		claims, err = i.parseJWT(text)
	}
	if err == nil && claims.Issuer != i.ID {
		return nil, fmt.Errorf("%w: its iss is %q", ErrForeign, oauth.Clip(claims.Issuer))
	}
	return claims, err
}

// parseJWT checks form, type, key and signature.
func (i *Issuer) parseJWT(compact string) (*Claims, error) {
	if len(compact) > MaxToken {
		return nil, fmt.Errorf("%w: it has %d bytes, ours have at most %d", ErrForeign, len(compact), MaxToken)
	}
	jws, err := oauth.ParseCompact(compact)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	// The header is compared as a text with those that are written here: it
	// fixes key, algorithm and type, and nothing of it is obeyed.
	key := i.Keys.signed(string(jws.Header))
	if key == nil {
		return nil, fmt.Errorf("%w: %s", ErrForeign, i.foreign(jws.Header))
	}
	if !oauth.VerifySignature(key.Alg, key.public.Key, jws.Signed, jws.Signature) {
		return nil, fmt.Errorf("%w: the signature does not verify", ErrForeign)
	}
	var claims Claims
	if err := strict.Unmarshal(jws.Payload, &claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return &claims, nil
}

// foreign says what keeps the header of a JWS from being one of an access token
// of this issuer.
func (i *Issuer) foreign(text []byte) string {
	var header joseHeader
	if err := strict.Unmarshal(text, &header); err != nil {
		return "its header: " + err.Error()
	}
	if header.Type != TypeAccessToken {
		return fmt.Sprintf("its typ is %q, not %s", oauth.Clip(header.Type), TypeAccessToken)
	}
	key := i.Keys.Find(header.KeyID)
	if key == nil {
		return fmt.Sprintf("no key with kid %q is published here", oauth.Clip(header.KeyID))
	}
	if header.Algorithm != key.Alg {
		return fmt.Sprintf("its alg is %s, the key's is %s", oauth.Clip(header.Algorithm), key.Alg)
	}
	return "its header has more in it than is written here, or in another way"
}

// Verify is Parse and then every check of whether the token still holds: time,
// revocation, its client, its certificate. Each is recorded in the event. A
// refusal of the token is an invalid_token; when the store cannot say whether it
// is revoked, the error is temporarily_unavailable and the token not accepted.
func (i *Issuer) Verify(ctx context.Context, text string, event *oauth.Event) (*Claims, error) {
	claims, err := i.Parse(ctx, text)
	if err != nil && !errors.Is(err, ErrForeign) {
		return nil, oauth.TemporarilyUnavailable().Because("recorded tokens: %w", err)
	}
	if err != nil {
		event.Fail("access token", "an access token issued by "+i.ID, "", err.Error())
		return nil, refused(err)
	}
	event.Pass("access token", i.ID, claims.ID)
	if event.ClaimedID == "" { // at an API, where the token alone says whose it is
		event.ClaimedID = claims.ClientID
	}
	now := i.Now().Unix()
	if now >= claims.Expires {
		event.Fail("access token lifetime", "now before exp", fmt.Sprintf("expired %d s ago", now-claims.Expires), "fetch a new token")
		return nil, refused(errors.New("expired"))
	}
	revoked, err := i.Sessions.dead(ctx, claims)
	if err != nil {
		return nil, oauth.TemporarilyUnavailable().Because("revoked tokens: %w", err)
	}
	if revoked {
		event.Fail("access token revocation", "not revoked", "revoked", "fetch a new token")
		return nil, refused(errors.New("revoked"))
	}
	var known bool
	if claims.Client, known = i.Client(claims.ClientID); !known {
		event.Fail("access token client", "a registered client", claims.ClientID, "register the client again")
		return nil, refused(errors.New("its client is gone"))
	}
	if claims.IssuedAt < claims.Client.Metadata.ClientIDIssuedAt {
		event.Fail("access token client", "one registered before the token was issued", claims.ClientID, "fetch a new token; the client of this name that had the token was deleted")
		return nil, refused(errors.New("its client was deleted, and another registered under the name"))
	}
	if err := i.standing(claims.Client, "access token client standing", event); err != nil {
		return nil, err
	}
	if err := i.held(claims.Client, claims.Scope, "access token roles", event); err != nil {
		return nil, err
	}
	if claims.Confirmation != nil && i.CertificateRevoked(claims.Confirmation.CertificateThumbprint) {
		event.Fail("access token certificate", "a certificate that is not revoked", claims.Confirmation.CertificateThumbprint, "the certificate this token is bound to was revoked; issue a new one")
		return nil, refused(errors.New("its certificate is revoked"))
	}
	event.Pass("access token lifetime and revocation", "", "")
	if len(claims.Origins) > 0 {
		if err := i.verifyOrigins(ctx, claims, event); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// standing asks whether a token of a client, or what came of it, may be used now.
func (i *Issuer) standing(client *registration.Client, check string, event *oauth.Event) error {
	if i.Standing == nil {
		return nil
	}
	if suspended := i.Standing(client); suspended != nil {
		event.Fail(check, suspended.Expected, suspended.Presented, suspended.Advice)
		return refused(suspended)
	}
	return nil
}

func refused(err error) error {
	return oauth.InvalidToken("the access token is not valid").Because("%w", err)
}

// SignIntrospection signs an introspection answer (RFC 9701 section 5).
func (i *Issuer) SignIntrospection(ctx context.Context, alg string, claims any) (string, error) {
	key, err := i.Keys.signing(ctx, alg)
	if err != nil {
		return "", err
	}
	return key.Sign(TypeIntrospection, claims)
}
