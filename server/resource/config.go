package resource

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

// Config says which tokens an API takes. Issuer and Audience are needed, and URL
// for tokens that are bound by DPoP.
type Config struct {
	// Issuer is the issuer identifier, exactly as it stands in the iss of tokens.
	// Keys and endpoints are found through its discovery document, which must
	// name the same issuer. It begins with https://; http:// is taken for a server
	// on this machine.
	Issuer string
	// Audience is what the aud of tokens must name: the identifier of this API.
	Audience string
	// URL is where clients call the API, such as https://api.example.com or
	// https://gateway.example.com/my-api; the path of a request goes behind it.
	// DPoP proofs are held to it, and no header has a say in it. Without it no
	// token that is bound by DPoP is taken.
	URL string
	// Roots are who may vouch for the issuer's TLS certificates; nil is the
	// system's.
	Roots *x509.CertPool

	// Types are the typ headers of access tokens; nil is "at+jwt" (RFC 9068). For
	// issuers whose access tokens say "JWT", such as Keycloak, name that; ID
	// tokens and the like are then kept apart by their claims. "" stands for a
	// token without typ.
	Types []string
	// Algs are the algorithms that tokens may be signed with; nil is PS256, ES256
	// and EdDSA. RS256, RS384, RS512, PS384, PS512, ES384 and ES512 are there, too.
	Algs []string
	// DPoPAlgs are the algorithms of DPoP proofs; nil is ES256, PS256 and EdDSA.
	DPoPAlgs []string
	// RequireBound refuses tokens that are bound to nothing: whoever has one of
	// those can use it.
	RequireBound bool
	// Skew is how far clocks may differ, from a second to five minutes; zero is
	// ten seconds.
	Skew time.Duration

	// ClientCAs are roots, and intermediates that clients do not send, for the
	// certificates that bound tokens are used with. With none, a certificate is
	// good because a token names it, as RFC 8705 section 3 has it, while its dates
	// and its key are.
	ClientCAs []*x509.Certificate
	// Proxy hands client certificates on; nil takes them from the TLS connection
	// only, and looks at no header.
	Proxy *Proxy
	// Introspection asks the issuer about tokens; nil asks about none, and takes
	// JWTs only, until they expire, though they be revoked before.
	Introspection *Introspection
	// NonceKey makes DPoP proofs carry a nonce of this API (RFC 9449 section 9).
	// It has at least 32 random bytes, the same on all nodes of the API; nil wants
	// no nonce.
	NonceKey []byte
	// Proofs remembers the DPoP proofs that were used; nil is a memory of this
	// process, from its start.
	Proofs Replay

	// Refused is told of every request that was not let in, after it was answered;
	// nil writes a line to slog's default logger.
	Refused func(r *http.Request, refusal *Refusal)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Proxy says which TLS-terminating proxies hand client certificates on, and how.
// From any other address a header with one is refused.
type Proxy struct {
	// Trusted are the addresses of the proxies.
	Trusted []netip.Prefix
	// Format is "rfc9440" (Client-Cert, HAProxy), "pem-escaped" (nginx's
	// $ssl_client_escaped_cert) or "xfcc" (Envoy); empty is rfc9440.
	Format string
	// Header is the header with the certificate, which the proxy must overwrite
	// or remove at every request. Empty is Client-Cert, X-SSL-Client-Cert or
	// X-Forwarded-Client-Cert, by format. ChainHeader is that of its chain; empty
	// is Client-Cert-Chain for rfc9440 and none for the others.
	Header, ChainHeader string
}

// typeAccessToken is the typ of RFC 9068 section 2.1.
const typeAccessToken = "at+jwt"

// defaultAlgs are those of FAPI 2 section 5.4.1.
var defaultAlgs = []string{"PS256", "ES256", "EdDSA"}

// knownAlgs can be asked for; none and the HMACs are not among them, since an API
// that could verify those could make them.
var knownAlgs = []string{"PS256", "ES256", "EdDSA", "PS384", "PS512", "ES384", "ES512", "RS256", "RS384", "RS512"}

// What clocks may differ.
const (
	defaultSkew = 10 * time.Second
	minSkew     = time.Second
	maxSkew     = 5 * time.Minute
)

// minNonceKey is as many bytes as the hash that is made with it.
const minNonceKey = sha256.Size

// complete fills in the defaults.
func complete(config Config) Config {
	if config.Types == nil {
		config.Types = []string{typeAccessToken}
	}
	config.Types = slices.Clone(config.Types)
	for i, typ := range config.Types {
		config.Types[i] = mediaType(typ)
	}
	if config.Algs == nil {
		config.Algs = defaultAlgs
	}
	if config.DPoPAlgs == nil {
		config.DPoPAlgs = defaultAlgs
	}
	if config.Skew == 0 {
		config.Skew = defaultSkew
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Proofs == nil {
		config.Proofs = newMemory(config.Now)
	}
	if config.Refused == nil {
		config.Refused = logRefusal
	}
	if config.Proxy != nil {
		proxy := *config.Proxy
		if proxy.Format == "" {
			proxy.Format = mtls.FormatRFC9440
		}
		if proxy.Format == mtls.FormatPEMEscaped && proxy.Header == "" {
			proxy.Header = "X-SSL-Client-Cert"
		}
		config.Proxy = &proxy
	}
	return config
}

// problems are what is wrong with a complete configuration.
func (c *Config) problems() (problems []error) {
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := address(c.Issuer); err != nil {
		refuse("Issuer: %w", err)
	}
	if c.Audience == "" {
		refuse("Audience is missing: the identifier of this API, which aud must name")
	}
	if c.URL != "" {
		if err := address(c.URL); err != nil {
			refuse("URL: %w", err)
		} else if strings.HasSuffix(c.URL, "/") {
			refuse("URL: %s must not end with /, since the path of a request goes behind it", oauth.Quote(c.URL))
		}
	}
	if len(c.Types) == 0 {
		refuse("Types lists nothing; leave it out for %s", typeAccessToken)
	}
	for _, list := range []struct {
		name string
		algs []string
	}{{"Algs", c.Algs}, {"DPoPAlgs", c.DPoPAlgs}} {
		if len(list.algs) == 0 {
			refuse("%s lists nothing; leave it out for %s", list.name, oauth.List(defaultAlgs))
		}
		for _, alg := range list.algs {
			if !slices.Contains(knownAlgs, alg) {
				refuse("%s: %s is none of %s", list.name, oauth.Quote(alg), oauth.List(knownAlgs))
			}
		}
	}
	if c.Skew < minSkew || c.Skew > maxSkew {
		refuse("Skew is %s, expected %s to %s", c.Skew, minSkew, maxSkew)
	}
	if c.NonceKey != nil && len(c.NonceKey) < minNonceKey {
		refuse("NonceKey has %d bytes, expected at least %d", len(c.NonceKey), minNonceKey)
	}
	if c.NonceKey != nil && c.URL == "" {
		refuse("NonceKey goes with URL: without it no DPoP proof is taken")
	}
	if c.Introspection != nil {
		if err := c.Introspection.check(); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// address wants a URL that stands in a header as it is.
func address(text string) error {
	if text == "" {
		return errors.New("it is missing")
	}
	if strings.ContainsAny(text, "\"\\?#") {
		return fmt.Errorf("%s has a query, a fragment or a quote", oauth.Quote(text))
	}
	if _, err := url.Parse(text); err != nil {
		return fmt.Errorf("%s is not a URL", oauth.Quote(text))
	}
	return secure(text)
}
