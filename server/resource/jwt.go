package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// maxToken is the most bytes a token may have. fapid's stay under two thousand;
// others put every role of a user in.
const maxToken = 16 << 10

// tokenHeader is what is looked at in the JOSE header of an access token. A key
// that it brings along or points to is not (RFC 9068 section 4, RFC 8725 section
// 3.10); of crit and b64 it counts only that they are there.
type tokenHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Type      string          `json:"typ"`
	Critical  json.RawMessage `json:"crit"`
	Base64    json.RawMessage `json:"b64"`
}

// verifyJWT checks a JWT access token: form, type, algorithm, signature by a key
// of the issuer, who it is from and when it holds (RFC 9068 section 4).
func (g *Guard) verifyJWT(ctx context.Context, jws *oauth.Compact, event *oauth.Event) (*Claims, error) {
	const check = "access token"
	expected := "an access token issued by " + g.config.Issuer
	header, err := g.readHeader(jws)
	if err != nil {
		event.Fail(check, expected, "", err.Error())
		return nil, notValid("%w", err)
	}
	if err := g.verifySignature(ctx, jws, header); err != nil {
		event.Fail(check, "a signature by a key of "+g.config.Issuer, "", err.Error())
		return nil, err
	}
	wire, claims, err := readPayload(jws.Payload)
	if err == nil {
		err = g.isAccessToken(wire, header)
	}
	if err != nil {
		event.Fail(check, expected, "", err.Error())
		return nil, notValid("%w", err)
	}
	event.Pass(check, g.config.Issuer, claims.ID)
	return claims, wire.current(g.config.Now(), g.config.Skew, event)
}

func (g *Guard) readHeader(jws *oauth.Compact) (*tokenHeader, error) {
	var header tokenHeader
	if err := strict.Unmarshal(jws.Header, &header); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	switch {
	case header.Critical != nil || header.Base64 != nil:
		return nil, errors.New("its header has crit or b64")
	case !slices.Contains(g.config.Types, mediaType(header.Type)):
		return nil, fmt.Errorf("its typ is %s, not %s", oauth.Quote(header.Type), oauth.List(g.config.Types))
	case !slices.Contains(g.config.Algs, header.Algorithm):
		return nil, fmt.Errorf("its alg is %s, not %s", oauth.Quote(header.Algorithm), oauth.List(g.config.Algs))
	}
	return &header, nil
}

// mediaType is a typ in one spelling: RFC 7515 section 4.1.9 lets the prefix be
// left out, and media types are compared in any case.
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// verifySignature looks for a key that verifies. That the keys cannot be had is
// no fault of the token.
func (g *Guard) verifySignature(ctx context.Context, jws *oauth.Compact, header *tokenHeader) error {
	keys, err := g.issuer.keys.Find(ctx, header.KeyID, header.Algorithm)
	var fetch *jwk.FetchError
	if errors.As(err, &fetch) {
		return oauth.TemporarilyUnavailable().Because("%w", err)
	}
	if err != nil {
		return notValid("%w", err)
	}
	for i := range keys {
		if oauth.VerifySignature(header.Algorithm, keys[i].Key, jws.Signed, jws.Signature) {
			return nil
		}
	}
	return notValid("the signature does not verify")
}

func readPayload(payload []byte) (*wireClaims, *Claims, error) {
	if !utf8.Valid(payload) {
		return nil, nil, errors.New("its payload is not UTF-8")
	}
	wire, claims, err := read(payload)
	if err != nil {
		return nil, nil, fmt.Errorf("its payload: %w", err)
	}
	return wire, claims, nil
}

// isAccessToken keeps other issuers, and the other JWTs of this one, out (RFC
// 8725 section 3.12). With typ at+jwt the type says it; with a plain JWT only its
// claims do.
func (g *Guard) isAccessToken(wire *wireClaims, header *tokenHeader) error {
	switch {
	case wire.Issuer != g.config.Issuer:
		return fmt.Errorf("its iss is %s", oauth.Quote(wire.Issuer))
	case wire.Expires == nil:
		return errors.New("it has no exp")
	case mediaType(header.Type) == typeAccessToken:
		return nil
	case wire.TokenHash != nil || wire.CodeHash != nil:
		return errors.New("it is an ID token")
	case wire.EventClaim != nil:
		return errors.New("it is a security event token")
	case wire.Type != "" && !strings.EqualFold(wire.Type, oauth.SchemeBearer) && !strings.EqualFold(wire.Type, oauth.SchemeDPoP):
		return fmt.Errorf("its claim typ is %s, not Bearer or DPoP", oauth.Quote(wire.Type))
	case wire.Use != "" && wire.Use != "access":
		return fmt.Errorf("its token_use is %s, not access", oauth.Quote(wire.Use))
	}
	return nil
}
