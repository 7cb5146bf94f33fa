package participant

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
)

// AssertionType is the client_assertion_type (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// The grant types of a client that acts for others.
const (
	GrantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 section 2.1
	GrantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523 section 2.1
)

// TypeGrant is the typ of authorization grants (draft-ietf-oauth-rfc7523bis).
const TypeGrant = "authorization-grant+jwt"

// TypeAccessToken is the token type of access tokens (RFC 8693 section 3).
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// Assertion signs a client assertion for the audience that is good for a minute
// from now (RFC 7523 section 3).
func (p *Participant) Assertion(audience string, now time.Time) (string, error) {
	return p.Sign(p.claims(p.Metadata.ClientID, audience, now))
}

// Grant signs an authorization grant for the audience that is good for a minute
// from now (RFC 7523 section 3): whoever it is given to may act for the subject,
// the client itself or a user. Its typ keeps it from being a client assertion.
func (p *Participant) Grant(subject, audience string, now time.Time) (string, error) {
	return p.SignAs(TypeGrant, p.claims(subject, audience, now))
}

func (p *Participant) claims(subject, audience string, now time.Time) map[string]any {
	return map[string]any{
		"iss": p.Metadata.ClientID, "sub": subject, "aud": audience,
		"jti": rand.Text(), "iat": now.Unix(), "exp": now.Unix() + defaultAssertionLife,
	}
}

// Sign signs claims with the participant's signing key, or its secret for
// client_secret_jwt.
func (p *Participant) Sign(claims map[string]any) (string, error) { return p.SignAs("JWT", claims) }

// SignAs is Sign with another typ.
func (p *Participant) SignAs(typ string, claims map[string]any) (string, error) {
	key, alg := any(p.SigningKey), p.Metadata.TokenEndpointAuthSigningAlg
	if p.Metadata.TokenEndpointAuthMethod == oauth.AuthSecretJWT {
		key = []byte(p.Secret)
		if alg == "" {
			alg = "HS256"
		}
	} else if p.SigningKey == nil {
		return "", fmt.Errorf("client %s has no signing key", p.Metadata.ClientID)
	} else if alg == "" {
		jwk, err := certs.PublicJWK(p.SigningKey.Public(), certs.JWKOptions{})
		if err != nil {
			return "", err
		}
		alg = jwk.Algorithm
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if p.KeyID != "" {
		options = options.WithHeader("kid", p.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", alg, err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", alg, err)
	}
	return jws.CompactSerialize()
}

// Provider is what a participant knows of an authorization server.
type Provider struct {
	Issuer                string            `json:"issuer"`
	TokenEndpoint         string            `json:"token_endpoint"`
	IntrospectionEndpoint string            `json:"introspection_endpoint"`
	RevocationEndpoint    string            `json:"revocation_endpoint"`
	RegistrationEndpoint  string            `json:"registration_endpoint"`
	JWKSURI               string            `json:"jwks_uri"`
	Aliases               map[string]string `json:"mtls_endpoint_aliases"`
}

// Client is the HTTP client of the participant: it trusts roots (nil means the
// system's) and presents the participant's certificate where asked for one.
func (p *Participant) Client(roots *x509.CertPool) *http.Client {
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if p.TransportKey != nil {
		certificate := tls.Certificate{PrivateKey: p.TransportKey}
		for _, link := range p.Transport {
			certificate.Certificate = append(certificate.Certificate, link.Raw)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
		Timeout:   15 * time.Second,
	}
}

// Discover reads the discovery document of an issuer (OpenID Connect Discovery
// section 4).
func Discover(ctx context.Context, client *http.Client, issuer string) (*Provider, error) {
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	reply, err := Send(ctx, client, http.MethodGet, address, nil, nil)
	if err != nil {
		return nil, err
	}
	if reply.Status != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", address, reply.Status)
	}
	var provider Provider
	if err := json.Unmarshal(reply.Body, &provider); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if provider.Issuer != issuer {
		return nil, fmt.Errorf("%s says its issuer is %s", address, provider.Issuer)
	}
	return &provider, nil
}

// Endpoint picks the address the participant calls: the mTLS alias where it
// uses a certificate, the standard one elsewhere.
func (p *Participant) Endpoint(provider *Provider, name string) string {
	if alias, ok := provider.Aliases[name]; ok && p.UsesCertificate() {
		return alias
	}
	switch name {
	case "introspection_endpoint":
		return provider.IntrospectionEndpoint
	case "revocation_endpoint":
		return provider.RevocationEndpoint
	case "registration_endpoint":
		return provider.RegistrationEndpoint
	}
	return provider.TokenEndpoint
}

// Exchange is the form of a request to exchange an access token (RFC 8693 section 2.1).
func Exchange(token string) url.Values {
	return url.Values{"grant_type": {GrantExchange}, "subject_token": {token}, "subject_token_type": {TypeAccessToken}}
}

// Post sends an authenticated request to an endpoint: the participant's client
// authentication is added to the form and, where it proves a DPoP key, a proof
// to a token request. A proof that lacks the server's nonce is made once more
// (RFC 9449 section 8).
func (p *Participant) Post(ctx context.Context, client *http.Client, provider *Provider, endpoint string, form url.Values) (*Reply, error) {
	if !p.Metadata.DPoPBoundTokens || endpoint != "token_endpoint" {
		return p.post(ctx, client, provider, endpoint, form, "")
	}
	var nonce string
	for {
		proof, err := p.Proof(http.MethodPost, p.Endpoint(provider, endpoint), Proof{Nonce: nonce})
		if err != nil {
			return nil, err
		}
		reply, err := p.post(ctx, client, provider, endpoint, form, proof)
		if err != nil || nonce != "" || !reply.wantsNonce() {
			return reply, err
		}
		nonce = reply.Header.Get("DPoP-Nonce")
	}
}

func (p *Participant) post(ctx context.Context, client *http.Client, provider *Provider, endpoint string, form url.Values, proof string) (*Reply, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if proof != "" {
		header.Set("DPoP", proof)
	}
	id := p.Metadata.ClientID
	switch p.Metadata.TokenEndpointAuthMethod {
	case oauth.AuthSecretBasic:
		request := http.Request{Header: header}
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(p.Secret))
	case oauth.AuthSecretPost:
		form.Set("client_id", id)
		form.Set("client_secret", p.Secret)
	case oauth.AuthPrivateKeyJWT, oauth.AuthSecretJWT:
		assertion, err := p.Assertion(provider.Issuer, p.now())
		if err != nil {
			return nil, err
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", AssertionType)
		form.Set("client_assertion", assertion)
	default:
		form.Set("client_id", id)
	}
	return Send(ctx, client, http.MethodPost, p.Endpoint(provider, endpoint), header, strings.NewReader(form.Encode()))
}

// maxAnswer is the most that is read of an answer.
const maxAnswer = 1 << 20

// Reply is what a server answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// wantsNonce reports whether a proof was refused for the nonce that comes along.
func (r *Reply) wantsNonce() bool {
	var refusal struct {
		Code string `json:"error"`
	}
	return r.Header.Get("DPoP-Nonce") != "" && json.Unmarshal(r.Body, &refusal) == nil && refusal.Code == oauth.CodeUseDPoPNonce
}

// Send sends a request and reads its answer, which is never more than a document.
func Send(ctx context.Context, client *http.Client, method, address string, header http.Header, body io.Reader) (*Reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if header != nil {
		request.Header = header
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return &Reply{response.StatusCode, response.Header, text}, err
}

// TokenResponse is a token endpoint's answer.
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
	// RefreshToken is empty where none was issued.
	RefreshToken string `json:"refresh_token"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"error_uri"`
}

// Refused is a refusal by a server.
type Refused struct {
	Status   int
	Response TokenResponse
}

// Error says what the server said, and where it explains itself.
func (e *Refused) Error() string {
	text := fmt.Sprintf("the server answered %d %s: %s", e.Status, e.Response.Error, e.Response.Description)
	if e.Response.URI != "" {
		text += "\nwhy: " + e.Response.URI
	}
	return text
}

// Token fetches a token by client credentials and returns it with the answer as
// it came.
func (p *Participant) Token(ctx context.Context, client *http.Client, provider *Provider, form url.Values) (*TokenResponse, []byte, error) {
	if form == nil {
		form = url.Values{}
	}
	if form.Get("grant_type") == "" {
		form.Set("grant_type", "client_credentials")
	}
	reply, err := p.Post(ctx, client, provider, "token_endpoint", form)
	if err != nil {
		return nil, nil, err
	}
	var response TokenResponse
	if err := json.Unmarshal(reply.Body, &response); err != nil {
		return nil, reply.Body, fmt.Errorf("the token endpoint answered %d with something that is no JSON: %w", reply.Status, err)
	}
	if reply.Status != http.StatusOK {
		return nil, reply.Body, &Refused{reply.Status, response}
	}
	if response.AccessToken == "" {
		return nil, reply.Body, errors.New("the token endpoint answered 200 without an access_token")
	}
	return &response, reply.Body, nil
}
