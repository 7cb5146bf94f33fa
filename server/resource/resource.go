// Package resource protects an API that is called with access tokens: it
// verifies JWT access tokens (RFC 9068) by the keys of their issuer, asks the
// issuer about all others (RFC 7662), and holds whoever uses a token to what it
// is bound to, a client certificate (RFC 8705) or a DPoP key (RFC 9449). It works
// with net/http and any issuer that has a discovery document.
//
//	guard, err := resource.New(resource.Config{
//		Issuer:   "https://localhost:8443",
//		Audience: "https://api.example.com",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.Handle("/accounts", guard.Protect("accounts", accounts))
//
// Inside the handler, resource.Token(r.Context()) is what the token says.
//
// For tokens that are bound to certificates the API's own server has to ask its
// clients for one, and to take any: tls.Config{ClientAuth: tls.RequestClientCert}.
// A certificate that is not the token's is then refused with a reason, not with a
// TLS alert. Behind a proxy that terminates TLS, [Config.Proxy] says how that
// hands the certificate on.
//
// This package is the one Go API of fapid that is promised to stay: what its
// documentation describes, apart from [Gate], [Verifier], [Access] and
// [Challenge], which are for fapid itself.
package resource

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/binding"
)

// Guard lets requests in that come with a good access token. It is safe for
// concurrent use.
type Guard struct {
	config     Config
	policy     *oauth.Policy
	gate       Gate
	issuer     *issuer
	forwarding *mtls.Forwarding
	answers    answers
	events     sync.Pool
}

// New makes a guard. The error names everything that is wrong with the
// configuration. Nothing is fetched yet; see [Guard.Ready].
func New(config Config) (*Guard, error) {
	config = complete(config)
	g := &Guard{config: config}
	problems := config.problems()
	if config.Proxy != nil {
		proxy := config.Proxy
		g.forwarding = &mtls.Forwarding{Trusted: proxy.Trusted, Format: proxy.Format, Header: proxy.Header, ChainHeader: proxy.ChainHeader}
		if err := g.forwarding.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("Proxy: %w", err))
		}
	}
	binder := &binding.Binder{Proofs: config.Proofs, Now: config.Now}
	if len(config.ClientCAs) > 0 {
		var cas mtls.TrustConfig
		cas.Add(config.ClientCAs...)
		trust, err := mtls.NewTrust(cas)
		if err != nil {
			problems = append(problems, fmt.Errorf("ClientCAs: %w", err))
		}
		binder.Trust = func() *mtls.Trust { return trust }
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("resource: %w", errors.Join(problems...))
	}
	g.policy = &oauth.Policy{Name: "of this API", ClockSkew: config.Skew, DPoPNonce: config.NonceKey != nil}
	if config.URL != "" {
		g.policy.DPoPAlgs, binder.Algs = config.DPoPAlgs, config.DPoPAlgs
	}
	binder.Nonces = func(message []byte) []byte {
		mac := hmac.New(sha256.New, config.NonceKey)
		mac.Write(message)
		return mac.Sum(nil)
	}
	g.gate = Gate{Audience: config.Audience, Binder: binder, RequireBound: config.RequireBound}
	g.issuer = newIssuer(&config)
	return g, nil
}

// Ready makes sure that the issuer can be reached and is the configured one, and
// that its keys are there: for the start of an API that would rather not start,
// and for its readiness probe. A guard works without.
func (g *Guard) Ready(ctx context.Context) error {
	if err := g.issuer.keys.Fetch(ctx); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	return nil
}

// Protect lets requests through to a handler that come with an access token of
// all the scope, which has a space between its tokens and may be empty; everybody
// else it answers itself.
func (g *Guard) Protect(scope string, next http.Handler) http.Handler {
	wanted := oauth.Scope(strings.Fields(scope))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if claims, ok := g.admit(w, r, wanted); ok {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		}
	})
}

// Admit is Protect for handlers that know only later what scope they need. When
// it is false, the request has been answered. Call it once a request: a DPoP
// proof is good once.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, scope string) (*Claims, bool) {
	return g.admit(w, r, strings.Fields(scope))
}

func (g *Guard) admit(w http.ResponseWriter, r *http.Request, wanted oauth.Scope) (*Claims, bool) {
	event, _ := g.events.Get().(*oauth.Event)
	if event == nil {
		event = &oauth.Event{}
	}
	defer func() {
		event.Reset()
		g.events.Put(event)
	}()
	tokens := verifier{guard: g}
	sender := binding.Sender{
		Authorization: r.Header["Authorization"], Proofs: r.Header["Dpop"],
		Method: r.Method, Path: pathOf(r), Query: r.URL.RawQuery, Bases: [2]string{g.config.URL},
		Event: event,
	}
	var err error
	if sender.Certificate, err = g.certificate(r); err == nil {
		err = g.gate.Admit(r.Context(), &tokens, &sender, wanted)
	}
	if sender.Nonce != "" {
		w.Header().Set("DPoP-Nonce", sender.Nonce) // RFC 9449 section 8.2
	}
	if err != nil {
		g.refuse(w, r, err, event)
		return nil, false
	}
	return tokens.claims, true
}

// pathOf is the path as the client wrote it, whatever a handler in front has
// stripped off the URL since.
func pathOf(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	return r.URL.EscapedPath()
}

// verifier lets the gate ask the guard, and keeps what it says.
type verifier struct {
	guard  *Guard
	claims *Claims
}

// Verify says what a token says.
func (v *verifier) Verify(ctx context.Context, token string, event *oauth.Event) (Access, error) {
	claims, err := v.guard.verify(ctx, token, event)
	if err != nil {
		return Access{}, err
	}
	v.claims = claims
	return Access{
		ClientID: claims.ClientID, Audience: claims.Audience, Scope: claims.Scope,
		Confirmation: claims.bound, Policy: v.guard.policy,
	}, nil
}

// verify tells JWTs from all other tokens.
func (g *Guard) verify(ctx context.Context, token string, event *oauth.Event) (claims *Claims, err error) {
	if len(token) > maxToken {
		event.Fail("access token", fmt.Sprintf("at most %d bytes", maxToken), fmt.Sprint(len(token)), "put less into tokens")
		return nil, notValid("it has %d bytes", len(token))
	}
	asks := g.config.Introspection
	jws, notJWT := oauth.ParseCompact(token)
	switch {
	case notJWT == nil:
		claims, err = g.verifyJWT(ctx, &jws, event)
		// Of a token for another API the issuer would only say that it is not active.
		if err == nil && asks != nil && asks.Always && slices.Contains(claims.Audience, g.config.Audience) {
			_, err = g.introspect(ctx, token, event)
		}
	case asks != nil && plainToken(token):
		claims, err = g.introspect(ctx, token, event)
	default:
		event.Fail("access token", "a JWT", notJWT.Error(), "fetch a JWT, or set Introspection for opaque tokens")
		err = notValid("%w", notJWT)
	}
	return claims, err
}

// plainToken reports whether a text is a b64token (RFC 6750 section 2.1): nothing
// else is worth a question.
func plainToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("-._~+/=", c) < 0 {
			return false
		}
	}
	return true
}

// certificate is what the client presented, to the proxy or to this server.
func (g *Guard) certificate(r *http.Request) (*mtls.Presented, error) {
	if g.forwarding != nil {
		certificate, err := g.forwarding.FromRequest(r)
		if err != nil {
			return nil, oauth.InvalidRequest("the client certificate header is not accepted").Because("%w", err)
		}
		if g.forwarding.FromProxy(r) {
			return certificate, nil
		}
	}
	certificate, err := ofConnection(r)
	if err != nil {
		return nil, oauth.InvalidToken("the client certificate is not acceptable").Because("%w", err)
	}
	return certificate, nil
}

func ofConnection(r *http.Request) (*mtls.Presented, error) {
	if mtls.Connection(r.Context()) == nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return mtls.NewPresented(r.TLS.PeerCertificates, "tls") // a server without ConnContext
	}
	return mtls.FromRequest(r)
}

// ConnContext is for http.Server.ConnContext. With it, the certificate of a
// connection is read and judged once, not at every request; all else is the same.
func ConnContext(ctx context.Context, connection net.Conn) context.Context {
	return mtls.ConnContext(ctx, connection)
}
