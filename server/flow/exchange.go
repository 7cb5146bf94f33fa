package flow

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/token"
)

// Exchange is token exchange (RFC 8693). A client brings an access token, its own
// or one for an API that it speaks for, and gets another for the same subject: for
// less, or for other APIs that let it. There is no refresh token with it: whoever
// has the token that was exchanged can exchange it again, while it is good.
type Exchange struct {
	Issuer *token.Issuer
	APIs   *registration.APIs
	// Subject is who a client is that acts for itself.
	Subject Subject
}

// The token types that are taken and issued (RFC 8693 section 3).
const (
	tokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	tokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// Bounds of what comes of one token by exchange after exchange. An actor is an
// API that calls another; real chains have two or three.
const (
	maxActors  = 5
	maxOrigins = 10
)

// Type is the grant_type.
func (Exchange) Type() string { return "urn:ietf:params:oauth:grant-type:token-exchange" }

// Redeem finds out whether the token may be exchanged by this client, and what it
// allows. That the APIs agree is the pipeline's to see.
func (g Exchange) Redeem(ctx context.Context, r *Redemption) (token.Authorization, error) {
	var none token.Authorization
	format, issuedType, err := requestedType(r)
	if err != nil {
		return none, err
	}
	brought, err := g.brought(ctx, r)
	if err != nil {
		return none, err
	}
	act, err := g.act(brought, r)
	if err != nil {
		return none, err
	}
	subject := brought.subject
	granted, err := scopeLeft(subject, r.Event)
	if err != nil {
		return none, err
	}
	scope, err := r.narrowed(granted, oauth.InvalidScope("the subject token has not every requested scope"), oauth.InvalidScope("the client is registered for no scope of the subject token"))
	if err != nil {
		return none, err
	}
	authorization := token.Authorization{
		Subject: subject.Subject, Scope: scope, From: subject.ClientID, Until: time.Unix(brought.expires(), 0),
		Act: act, MayAct: subject.MayAct, Origins: brought.origins(), IssuedType: issuedType, Format: format,
		Bind: func(proved *oauth.Confirmation) (*oauth.Confirmation, error) { return brought.bind(proved, r) },
	}
	if brought.own {
		authorization.Kept = subject.Audience
		if !r.Form.Has("audience") && !r.Form.Has("resource") {
			authorization.Audience = subject.Audience
		}
	}
	if len(authorization.Origins) > maxOrigins {
		r.Event.Fail("exchanged token's origin", fmt.Sprintf("at most %d", maxOrigins), fmt.Sprint(len(authorization.Origins)), "exchange the token that all of it began with")
		return none, badToken(subjectToken, "it came of %d tokens", len(subject.Origins))
	}
	return authorization, nil
}

// scopeLeft is the scope of the subject token, without what the client it was
// issued to may not have any more: nobody gets that by its token.
func scopeLeft(subject *token.Claims, event *oauth.Event) (oauth.Scope, error) {
	granted, err := oauth.ParseScope(subject.Scope)
	if err != nil {
		return nil, err
	}
	left := granted.Within(subject.Client.Scope)
	if len(granted) > 0 && len(left) == 0 {
		event.Fail("scope", granted.String(), "none of it is registered for "+subject.ClientID+" any more", "register that client for the scope again")
		return nil, oauth.InvalidScope("nothing is left of the subject token's scope").Because("%s lost its scope", subject.ClientID)
	}
	return left, nil
}

// requestedType is the format and the type of the token that is asked for. Where
// the request does not say, the API and the client's registration do.
func requestedType(r *Redemption) (format, issuedType string, err error) {
	switch requested := r.Form.Get("requested_token_type"); requested {
	case "", tokenTypeAccessToken:
		return "", tokenTypeAccessToken, nil
	case tokenTypeJWT:
		return oauth.FormatJWT, tokenTypeJWT, nil
	default:
		r.Event.Fail("requested_token_type", tokenTypeAccessToken+" or "+tokenTypeJWT, requested, "ask for an access token, or leave it out")
		return "", "", oauth.InvalidRequest("no token of the requested_token_type is issued here")
	}
}

// The parameters of the tokens that are brought.
const (
	subjectToken = "subject_token"
	actorToken   = "actor_token"
)

// badToken is the one public text for every token that is not good, or not this
// client's to exchange: it tells nobody that a token he found is good. RFC 8693
// section 2.2.2 wants invalid_request.
func badToken(name, format string, args ...any) oauth.Error {
	return oauth.InvalidRequest("the %s is not valid, or not this client's to exchange", name).Because(format, args...)
}

// brought is what a client exchanges.
type brought struct {
	subject *token.Claims
	own     bool          // it was issued to the client itself
	actor   *token.Claims // nil where the client acts by itself
}

// brought verifies the tokens of the request, and that they are the client's to
// exchange. Nothing happens to one that is refused.
func (g Exchange) brought(ctx context.Context, r *Redemption) (*brought, error) {
	subject, err := g.verify(ctx, subjectToken, r)
	if err != nil {
		return nil, err
	}
	client := r.Client.Client.ID
	b := &brought{subject: subject, own: subject.ClientID == client}
	expected := "one that was issued to " + client + ", or for an API of " + client
	presented := "one that was issued to " + subject.ClientID + ", for " + strings.Join(subject.Audience, " ")
	if !b.own && !speaksFor(g.APIs, client, subject.Audience) {
		r.Event.Fail("subject token's holder", expected, presented, "exchange your own token, or one that you received as an API")
		return nil, badToken(subjectToken, "it is another client's")
	}
	r.Event.Pass("subject token's holder", expected, presented)
	if b.own {
		if err := certified(subjectToken, subject, r); err != nil {
			return nil, err
		}
	}
	if !r.Form.Has(actorToken) {
		if r.Form.Has(actorToken + "_type") {
			return nil, oauth.InvalidRequest("actor_token_type goes with an actor_token") // RFC 8693 section 2.1
		}
		return b, nil
	}
	if b.actor, err = g.verify(ctx, actorToken, r); err != nil {
		return nil, err
	}
	if b.actor.ClientID != client || b.actor.Act != nil {
		r.Event.Fail("actor token's holder", "one that was issued to "+client+", and to nobody who acts for another", "one that was issued to "+b.actor.ClientID+"; acting: "+b.actor.Act.String(), "send a token of the party that acts, issued to the client that sends it")
		return nil, badToken(actorToken, "it is another client's, or delegated itself")
	}
	r.Event.Pass("actor token's holder", client, b.actor.ClientID)
	return b, certified(actorToken, b.actor, r)
}

// verify reads one of the tokens and makes sure that it is good now.
func (g Exchange) verify(ctx context.Context, name string, r *Redemption) (*token.Claims, error) {
	text, kind := r.Form.Get(name), r.Form.Get(name+"_type")
	if text == "" {
		return nil, oauth.InvalidRequest("%s is missing", name)
	}
	if kind == "" {
		return nil, oauth.InvalidRequest("%s_type is missing", name)
	}
	if kind != tokenTypeAccessToken && (kind != tokenTypeJWT || token.IsOpaque(text)) {
		r.Event.Fail(name+"_type", tokenTypeAccessToken+", or "+tokenTypeJWT+" for one that is a JWT", kind, "exchange an access token")
		return nil, oauth.InvalidRequest("no %s of that %s_type is taken here", name, name)
	}
	r.Event.Pass(name+"_type", kind, kind)
	claims, err := g.Issuer.Verify(ctx, text, r.Event)
	if err != nil && oauth.AsError(err).Code == oauth.CodeInvalidToken {
		return nil, badToken(name, "%w", err)
	}
	return claims, err
}

// certified wants the certificate that a client's own token is bound to: a token
// that was stolen is as worthless here as at an API (RFC 8705 section 3). The key
// of a DPoP proof is looked at in bind.
func certified(name string, claims *token.Claims, r *Redemption) error {
	if claims.Confirmation == nil || claims.Confirmation.CertificateThumbprint == "" {
		return nil
	}
	wanted, held := claims.Confirmation.CertificateThumbprint, "no client certificate"
	if r.Client.Certificate != nil {
		held = r.Client.Certificate.Thumbprint
	}
	if held != wanted {
		r.Event.Fail(name+" binding", wanted, held, "use the certificate the token was issued to, at the address in mtls_endpoint_aliases")
		return badToken(name, "it is bound to another certificate")
	}
	r.Event.Pass(name+" binding", wanted, held)
	return nil
}

// act is who acts for the subject by the new token (RFC 8693 section 4.1). A
// client that has its own token exchanged, for itself, delegates nothing to anybody.
func (g Exchange) act(b *brought, r *Redemption) (*oauth.Actor, error) {
	client := r.Client.Client.ID
	party := oauth.Party{Subject: g.Subject.Of(client), ClientID: client}
	if b.actor != nil {
		party.Subject = b.actor.Subject
	}
	before := b.subject.Act
	if b.own && (b.actor == nil || party.Subject == b.subject.Subject || before != nil && party == before.Party) {
		r.Event.Pass("delegation", "", before.String())
		return before, nil
	}
	act, err := delegate(b.subject.MayAct, party, g.Issuer.ID, before, r.Event)
	if err != nil {
		return nil, badToken(subjectToken, "%w", err)
	}
	return act, nil
}

// expires is when the first of the tokens expires.
func (b *brought) expires() int64 {
	if b.actor != nil {
		return min(b.subject.Expires, b.actor.Expires)
	}
	return b.subject.Expires
}

func (b *brought) origins() []token.Origin {
	if b.actor != nil {
		return token.Lineage(b.subject, b.actor)
	}
	return token.Lineage(b.subject)
}

// bind holds the client to the DPoP key that its own tokens are bound to, by the
// proof that the new one is bound by; and makes nothing that is bound into
// something that is not.
func (b *brought) bind(proved *oauth.Confirmation, r *Redemption) (*oauth.Confirmation, error) {
	if b.own {
		if err := keyed(subjectToken, b.subject, proved, r); err != nil {
			return nil, err
		}
	}
	if b.actor != nil {
		if err := keyed(actorToken, b.actor, proved, r); err != nil {
			return nil, err
		}
	}
	if b.subject.Confirmation == nil || proved != nil {
		return proved, nil
	}
	if r.Client.Certificate == nil {
		r.Event.Fail("token binding", "a client certificate or a DPoP proof, since the subject token is bound", "neither", "send the request with a certificate to the address in mtls_endpoint_aliases, or with a DPoP proof")
		return nil, oauth.InvalidRequest("the subject token is bound, and neither a client certificate nor a DPoP proof was presented to bind the new one").Because("nothing to bind to")
	}
	r.Event.Pass("token binding", "x5t#S256", r.Client.Certificate.Thumbprint)
	return &oauth.Confirmation{CertificateThumbprint: r.Client.Certificate.Thumbprint}, nil
}

// keyed wants a proof by the DPoP key that a client's own token is bound to.
func keyed(name string, claims *token.Claims, proved *oauth.Confirmation, r *Redemption) error {
	if claims.Confirmation == nil || claims.Confirmation.KeyThumbprint == "" {
		return nil
	}
	wanted, held := "jkt "+claims.Confirmation.KeyThumbprint, "no DPoP proof"
	if proved != nil && proved.KeyThumbprint != "" {
		held = "jkt " + proved.KeyThumbprint
	}
	if held != wanted {
		r.Event.Fail(name+" binding", wanted, held, "send a DPoP proof by the key the token is bound to")
		return badToken(name, "it is bound to another DPoP key")
	}
	r.Event.Pass(name+" binding", wanted, held)
	return nil
}
