// Package binding ties tokens to what their sender can prove: that it holds the
// key of a certificate (RFC 8705), of DPoP proofs (RFC 9449), or both.
package binding

import (
	"context"
	"net/http"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// Binder binds the tokens of a realm, and holds requests to what they are bound to.
type Binder struct {
	// Trust returns the trusted CAs as they are now; nil where a certificate is
	// trusted because a token names it.
	Trust func() *mtls.Trust
	// Proofs remembers the DPoP proofs that were used.
	Proofs Replay
	// Nonces is a keyed hash that the nonces of DPoP proofs are made with; it is
	// asked only under a policy that wants nonces.
	Nonces func(message []byte) []byte
	Now    func() time.Time
	// Algs are the DPoP algorithms of all the realm's policies, for discovery
	// and challenges.
	Algs []string
	// Refuse is for DPoP proofs by keys that everybody has; nil takes them.
	Refuse jwk.Refuse
}

// Replay remembers what can be used once.
type Replay interface {
	// Claim marks a key as used until that time: of any number of callers one is
	// the first, on every node that shares the memory.
	Claim(ctx context.Context, key string, until time.Time) (first bool, err error)
}

// Client is what binding has to know of a client.
type Client struct {
	Policy *oauth.Policy
	// AuthMethod is how it authenticates.
	AuthMethod string
	// Certificate and DPoP: it registered for this binding.
	Certificate, DPoP bool
	// Bound: it or its policy wants either of them.
	Bound bool
}

// Sender is what a request shows of who sends it.
type Sender struct {
	Certificate   *mtls.Presented // nil for none
	Authorization []string        // the values of its Authorization headers
	Proofs        []string        // the values of its DPoP headers
	Method        string
	// Path is where the request went, escaped, and Query what came with it. Bases
	// are the URLs that it may be called below, as they are advertised; the
	// second may be empty.
	Path, Query string
	Bases       [2]string
	Event       *oauth.Event

	// Nonce is what the answer must carry as DPoP-Nonce (RFC 9449 section 8.2),
	// whether it is a refusal or not; empty for none.
	Nonce string
}

// Bind returns what a new token of the client is bound to; nil for nothing. A
// client that registered for certificates, for DPoP or for both is held to that.
// Beyond it, a DPoP proof always binds (RFC 9449 section 5), and where the policy
// wants bound tokens and no proof came, the certificate does (RFC 8705 section 3).
// The certificate is one that client authentication has verified. The proof is
// spent, so this comes after every check that could refuse without it.
func (b *Binder) Bind(ctx context.Context, client *Client, sender *Sender) (*oauth.Confirmation, error) {
	proves := len(sender.Proofs) > 0 || client.DPoP
	certified := client.Certificate || client.Bound && !proves
	if !proves && !certified {
		return nil, nil
	}
	var confirmation oauth.Confirmation
	if certified {
		if sender.Certificate == nil {
			return nil, nothingToBind(client, sender.Event)
		}
		confirmation.CertificateThumbprint = sender.Certificate.Thumbprint
		sender.Event.Pass("token binding", "x5t#S256", sender.Certificate.Thumbprint)
	}
	if proves {
		var err error
		if confirmation.KeyThumbprint, err = b.verify(ctx, sender, client.Policy, nil); err != nil {
			return nil, err
		}
		sender.Event.Pass("token binding", "jkt", confirmation.KeyThumbprint)
	}
	return &confirmation, nil
}

// nothingToBind refuses a client that must have bound tokens, came without a
// certificate, and sent no proof in its place.
func nothingToBind(client *Client, event *oauth.Event) error {
	const advice = "send the request with the certificate to the address in mtls_endpoint_aliases"
	if client.Certificate || len(client.Policy.DPoPAlgs) == 0 {
		event.Fail("token binding", "a client certificate to bind the token to", "none", advice)
		return oauth.InvalidRequest("this client's tokens are bound to its certificate, and none was presented").Because("no certificate to bind to")
	}
	event.Fail("token binding", "a client certificate or a DPoP proof to bind the token to", "neither", advice+", or with a DPoP proof to any")
	return oauth.InvalidRequest("this client's tokens are bound, and neither a client certificate nor a DPoP proof was presented").Because("nothing to bind to")
}

// Use is an access token as a request presents it to a protected resource.
type Use struct {
	Scheme       string // of the Authorization header: Bearer or DPoP
	Token        string
	Confirmation *oauth.Confirmation // what the token is bound to
	Policy       *oauth.Policy       // of the client it was issued to
}

// Enforce holds the sender of a request to everything its token is bound to, as
// a resource server must (RFC 8705 section 3, RFC 9449 section 7). A token with
// two bindings needs both proofs.
func (b *Binder) Enforce(ctx context.Context, use *Use, sender *Sender) error {
	if err := checkScheme(use, sender); err != nil {
		return err
	}
	bound := use.Confirmation
	if bound == nil {
		return nil
	}
	if bound.CertificateThumbprint != "" {
		if err := b.enforceCertificate(bound.CertificateThumbprint, sender); err != nil {
			return err
		}
	}
	if bound.KeyThumbprint == "" {
		return nil
	}
	if _, err := b.verify(ctx, sender, use.Policy, use); err != nil {
		refusal := oauth.AsError(err)
		if refusal.Status < http.StatusInternalServerError {
			refusal.Status = http.StatusUnauthorized // RFC 9449 section 7.1
		}
		return refusal
	}
	sender.Event.Pass("token binding", "jkt "+bound.KeyThumbprint, "jkt "+bound.KeyThumbprint)
	return nil
}

// Held reports whether a client that asks about its own token holds what that is
// bound to. A certificate must be the one of the connection. A DPoP proof is not
// part of introspection and no client library sends one, so none is wanted; one
// that comes must be good, and by the token's key.
func (b *Binder) Held(ctx context.Context, bound *oauth.Confirmation, policy *oauth.Policy, sender *Sender) (bool, error) {
	if bound == nil {
		return true, nil
	}
	if wanted := bound.CertificateThumbprint; wanted != "" {
		held := "no client certificate"
		if sender.Certificate != nil {
			held = sender.Certificate.Thumbprint
		}
		if held != wanted {
			sender.Event.Fail("token binding", wanted, held, "use the certificate the token was issued to, at the address in mtls_endpoint_aliases")
			return false, nil
		}
	}
	if len(sender.Proofs) == 0 || bound.KeyThumbprint == "" {
		return true, nil
	}
	key, err := b.verify(ctx, sender, policy, nil)
	if err != nil {
		return false, err
	}
	if key != bound.KeyThumbprint {
		sender.Event.Fail("token binding", "jkt "+bound.KeyThumbprint, "jkt "+key, "sign the proof with the key the token was issued to")
		return false, nil
	}
	return true, nil
}

// checkScheme keeps the schemes apart (RFC 9449 sections 7.1 and 7.2): a DPoP
// token used as Bearer would be worth as much to a thief, and a proof beside a
// token that is not bound to its key proves nothing.
func checkScheme(use *Use, sender *Sender) error {
	event, bound := sender.Event, use.Confirmation
	if bound != nil && *bound == (oauth.Confirmation{}) {
		event.Fail("token binding", "x5t#S256 or jkt", "a cnf with neither", "fetch a token that is bound to one of them")
		return oauth.InvalidToken("the access token is bound to something that cannot be proved here").Because("cnf without x5t#S256 and jkt")
	}
	if wanted := bound.TokenType(); use.Scheme != wanted {
		event.Fail("token scheme", "Authorization: "+wanted, "Authorization: "+use.Scheme, "use the token_type of the token response as scheme; a DPoP token needs a proof in the DPoP header, too")
		return oauth.InvalidToken("the access token is to be used with the scheme %s", wanted).Because("scheme %s", use.Scheme)
	}
	if use.Scheme == oauth.SchemeBearer && len(sender.Proofs) > 0 {
		event.Fail("token scheme", "no DPoP proof beside a Bearer token", "a DPoP header", "fetch a token that is bound to the key of the proof, or leave the proof out")
		return oauth.InvalidToken("the access token is not bound to the key of the DPoP proof").Because("DPoP proof beside a Bearer token")
	}
	event.Pass("token scheme", use.Scheme, use.Scheme)
	return nil
}
