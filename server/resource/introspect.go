package resource

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
)

// Introspection lets the issuer say what a token says (RFC 7662): for tokens that
// are no JWT, and for JWTs whose end must be known at once. The API asks as a
// client of its own, with exactly one of Certificate, Key and Secret.
type Introspection struct {
	// ClientID is the API's own client. At fapid it is the client_id of the API's
	// record, or the audience itself.
	ClientID string
	// Certificate authenticates by tls_client_auth or self_signed_tls_client_auth;
	// the request goes to the address in mtls_endpoint_aliases, if there is one.
	Certificate *tls.Certificate
	// Key authenticates by private_key_jwt: RSA (PS256), P-256 (ES256) or Ed25519
	// (EdDSA). KeyID is the kid by which the issuer knows it; it may be empty.
	Key   crypto.Signer
	KeyID string
	// Secret authenticates by client_secret_basic.
	Secret string

	// Always asks for JWTs too, once their signature is verified.
	Always bool
	// Keep is how long an answer that a token is active is used again, and never
	// beyond its exp; a token that was revoked is good for that long. Zero asks at
	// every request. At most a minute.
	Keep time.Duration
	// URL is the introspection endpoint; empty is the one that discovery gives.
	URL string
}

// maxKeep is the longest that a revoked token may go on.
const maxKeep = time.Minute

func (i *Introspection) check() error {
	credentials := 0
	for _, given := range []bool{i.Certificate != nil, i.Key != nil, i.Secret != ""} {
		if given {
			credentials++
		}
	}
	switch {
	case i.ClientID == "":
		return errors.New("Introspection.ClientID is missing")
	case credentials != 1:
		return errors.New("Introspection wants exactly one of Certificate, Key and Secret")
	case i.KeyID != "" && i.Key == nil:
		return errors.New("Introspection.KeyID goes with Key")
	case i.Keep < 0 || i.Keep > maxKeep:
		return fmt.Errorf("Introspection.Keep is %s, expected 0 to %s", i.Keep, maxKeep)
	}
	if i.Key != nil {
		if _, err := algOf(i.Key.Public()); err != nil {
			return err
		}
	}
	if i.URL != "" {
		if err := secure(i.URL); err != nil {
			return fmt.Errorf("Introspection.URL: %w", err)
		}
	}
	return nil
}

// algOf is the algorithm that a key signs client assertions with.
func algOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.PS256, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	}
	return "", fmt.Errorf("Introspection.Key is a %T, expected RSA, P-256 or Ed25519", public)
}

// introspect asks the issuer about a token, or knows the answer still. The claims
// are the issuer's answer; whether they hold is looked at every time.
func (g *Guard) introspect(ctx context.Context, token string, event *oauth.Event) (*Claims, error) {
	const check = "introspection"
	now := g.config.Now()
	hash := sha256.Sum256([]byte(token))
	if claims := g.answers.get(hash, now); claims != nil {
		event.Pass(check, "active", "active, by an answer that is kept")
		return claims, nil
	}
	wire, claims, err := g.ask(ctx, token)
	if err != nil {
		event.Fail(check, "an answer of the issuer", "", err.Error())
		if oauth.AsError(err).Code == oauth.CodeTooManyRequests {
			return nil, err
		}
		return nil, oauth.TemporarilyUnavailable().Because("introspection: %w", err)
	}
	if !wire.Active {
		event.Fail(check, "active", "not active", "fetch a new token; the issuer knows why, if it knows this one")
		return nil, notValid("the issuer says that it is not active")
	}
	if wire.Issuer != "" && wire.Issuer != g.config.Issuer {
		event.Fail(check, g.config.Issuer, wire.Issuer, "ask the issuer of the token")
		return nil, notValid("its iss is %s", oauth.Quote(wire.Issuer))
	}
	event.Pass(check, "active", "active")
	if err := wire.current(now, g.config.Skew, event); err != nil {
		return nil, err
	}
	claims.Issuer = g.config.Issuer
	if keep := g.config.Introspection.Keep; keep > 0 {
		until := now.Add(keep)
		if !claims.Expires.IsZero() && claims.Expires.Before(until) {
			until = claims.Expires
		}
		g.answers.put(hash, claims, now, until)
	}
	return claims, nil
}

// introspectionEndpoint is where this API asks: with a certificate, where it is
// asked for one.
func (g *Guard) introspectionEndpoint(ctx context.Context) (string, error) {
	own := g.config.Introspection
	if own.URL != "" {
		return own.URL, nil
	}
	found, err := g.issuer.endpoints(ctx)
	if err != nil {
		return "", err
	}
	if alias := found.Aliases["introspection_endpoint"]; alias != "" && own.Certificate != nil {
		return alias, nil
	}
	if found.Introspection == "" {
		return "", errors.New("the issuer has no introspection_endpoint")
	}
	return found.Introspection, nil
}

// ask sends the request of RFC 7662 section 2.1.
func (g *Guard) ask(ctx context.Context, token string) (*wireClaims, *Claims, error) {
	own := g.config.Introspection
	address, err := g.introspectionEndpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if own.Secret == "" {
		form.Set("client_id", own.ClientID)
	}
	if own.Key != nil {
		assertion, err := g.assertion()
		if err != nil {
			return nil, nil, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode())) //nolint:gosec // the address is configured, or the configured issuer's
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if own.Secret != "" {
		// RFC 6749 section 2.3.1: both are form-encoded first.
		request.SetBasicAuth(url.QueryEscape(own.ClientID), url.QueryEscape(own.Secret))
	}
	reply, err := g.issuer.do(request)
	if err != nil {
		return nil, nil, err
	}
	if reply.status != http.StatusOK {
		err := fmt.Errorf("%s answered %d %s", address, reply.status, refusalIn(reply.body))
		if reply.status == http.StatusTooManyRequests {
			// Callers send what the issuer does not know; this API works.
			return nil, nil, oauth.TooManyRequests(time.Second, "too many tokens that are not good; try again").Because("introspection: %w", err)
		}
		return nil, nil, err
	}
	if err := reply.isJSON(); err != nil {
		return nil, nil, err
	}
	wire, claims, err := readPayload(reply.body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	return wire, claims, nil
}

// refusalIn is what an error answer says, for the API's own log.
func refusalIn(body []byte) string {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		URI         string `json:"error_uri"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return strings.Join(strings.Fields(oauth.Printable(oauth.Clip(answer.Error+" "+answer.Description+" "+answer.URI))), " ")
}

// assertionLife is how long a client assertion is good; it is used at once.
const assertionLife = time.Minute

// assertion authenticates the API by private_key_jwt (RFC 7523 section 3), with
// the issuer as the audience, which every server takes (FAPI 2 section 5.3.3.1).
func (g *Guard) assertion() (string, error) {
	own, now := g.config.Introspection, g.config.Now()
	alg, err := algOf(own.Key.Public())
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if own.KeyID != "" {
		options = options.WithHeader("kid", own.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: own.Key}, options)
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": own.ClientID, "sub": own.ClientID, "aud": g.config.Issuer,
		"jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	return jws.CompactSerialize()
}

// maxAnswers bounds the answers that are kept.
const maxAnswers = 10_000

// answers are what the issuer has said of tokens, by their hash.
type answers struct {
	mu   sync.Mutex
	kept map[[sha256.Size]byte]answer
}

type answer struct {
	claims *Claims
	until  time.Time
}

func (a *answers) get(hash [sha256.Size]byte, now time.Time) *Claims {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, ok := a.kept[hash]; ok && now.Before(kept.until) {
		return kept.claims
	}
	return nil
}

// put keeps an answer. When there are too many, what has expired goes, and if
// that is nothing, one that happens to be there: it is asked for again.
func (a *answers) put(hash [sha256.Size]byte, claims *Claims, now, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = map[[sha256.Size]byte]answer{}
	}
	if len(a.kept) >= maxAnswers {
		for other, kept := range a.kept {
			if !now.Before(kept.until) {
				delete(a.kept, other)
			}
		}
	}
	for other := range a.kept {
		if len(a.kept) < maxAnswers {
			break
		}
		delete(a.kept, other)
	}
	a.kept[hash] = answer{claims, until}
}
