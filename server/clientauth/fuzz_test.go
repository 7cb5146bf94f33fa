package clientauth

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/testkeys"
)

// FuzzAssertion reads what a stranger sends as a client assertion. Whatever it
// is, it is refused with a reason or is a JWS in its one spelling, and claims
// under a good signature that pass name the client, are for us and are current.
func FuzzAssertion(f *testing.F) {
	const issuer, client = "https://as.example.com", "tpp"
	now := time.Unix(1_800_000_000, 0)
	part := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{`{"alg":"ES256","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":"HS256","kid":5}`, `[]`} {
		for _, payload := range []string{
			`{"iss":"tpp","sub":"tpp","aud":"https://as.example.com","jti":"1","exp":1800000060,"iat":1800000000}`,
			`{"iss":"tpp","sub":"tpp","aud":["https://as.example.com"],"jti":"1","exp":1e400}`, `{"sub":"tpp","sub":"x"}`, `null`, "\xff",
		} {
			f.Add(header, payload, part([]byte(header))+"."+part([]byte(payload))+".AAAA")
		}
	}
	policy := &oauth.Policy{Name: "fuzz", AssertionAudience: oauth.AudienceIssuer, AssertionLifetime: time.Hour, ClockSkew: 30 * time.Second}
	known := &registration.Client{ID: client, Policy: policy, AssertionAlgs: []string{"ES256"}}
	authenticator := &Authenticator{Issuer: issuer, Now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, header, payload, raw string) {
		attempt := &Attempt{Event: &oauth.Event{}, Form: oauth.Form{
			{Name: "client_assertion_type", Value: assertionType}, {Name: "client_assertion", Value: raw},
		}}
		_, _ = assertionID(attempt)
		if read, err := parseAssertion(raw); err == nil {
			if again := part(read.Header) + "." + part(read.Payload) + "." + part(read.Signature); again != raw {
				t.Errorf("read %q, which is written %q", raw, again)
			}
			if checkHeader(&read.header, known.AssertionAlgs, attempt.Event) == nil && read.header.Algorithm != "ES256" {
				t.Errorf("another algorithm passed: %q", raw)
			}
		}
		// The same behind a good signature, as a client could make it.
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: testkeys.P256(3)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		forged := part([]byte(header)) + compact[strings.IndexByte(compact, '.'):]
		if read, err := parseAssertion(forged); err == nil && oauth.VerifySignature("ES256", &testkeys.P256(3).PublicKey, read.Signed, read.Signature) && forged != compact {
			t.Errorf("a signature is good for another header: %q", header)
		}
		var claims assertionClaims
		if decodeClaims([]byte(payload), &claims) != nil || authenticator.checkClaims(&claims, known, attempt) != nil {
			return
		}
		if claims.Issuer != client || claims.Subject != client || claims.ID == "" || !strings.Contains(string(claims.Audience), "as.example.com") ||
			*claims.Expires < 1_799_999_970 || *claims.Expires > 1_800_003_630 {
			t.Errorf("claims passed: %q", payload)
		}
	})
}
