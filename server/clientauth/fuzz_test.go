package clientauth

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/testkeys"
)

// FuzzAssertion reads what a stranger sends as an assertion. Whatever it is, it is
// refused with a reason or is a JWS in its one spelling, and claims under a good
// signature that pass name the client, are for us and are current. Nothing is good
// as a client assertion and as an authorization grant.
func FuzzAssertion(f *testing.F) {
	const issuer, client = "https://as.example.com", "tpp"
	now := time.Unix(1_800_000_000, 0)
	part := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{`{"alg":"ES256","typ":"JWT"}`, `{"alg":"ES256","typ":"authorization-grant+jwt"}`, `{"alg":"ES256","typ":"application/Client-Authentication+JWT"}`, `{"alg":"none"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":"HS256","kid":5}`, `[]`} {
		for _, payload := range []string{
			`{"iss":"tpp","sub":"tpp","aud":"https://as.example.com","jti":"1","exp":1800000060,"iat":1800000000}`,
			`{"iss":"tpp","sub":"alice","aud":"https://as.example.com","jti":"1","exp":1800000060,"scope":"accounts","may_act":{"sub":"api"}}`,
			`{"iss":"tpp","sub":"alice","aud":"https://as.example.com","jti":"1","exp":1800000060,"may_act":{"sub":"api","exp":"1"}}`,
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
		var read readAssertion
		if err := read.parse(raw, &read.claims); err == nil {
			if again := part(read.Header) + "." + part(read.Payload) + "." + part(read.Signature); again != raw {
				t.Errorf("read %q, which is written %q", raw, again)
			}
			if checkHeader(clientAssertion, &read.header, known.AssertionAlgs, attempt.Event) == nil && read.header.Algorithm != "ES256" {
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
		var behind readAssertion
		if err := behind.parse(forged, &behind.claims); err == nil && oauth.VerifySignature("ES256", &testkeys.P256(3).PublicKey, behind.Signed, behind.Signature) && forged != compact {
			t.Errorf("a signature is good for another header: %q", header)
		}
		asClient, asGrant := judged(authenticator, known, header, payload)
		if asClient && asGrant {
			t.Errorf("good as a client assertion and as a grant: %q %q", header, payload)
		}
		var claims grantClaims
		if !asClient && !asGrant || decodeClaims([]byte(payload), &claims) != nil {
			return
		}
		if claims.Issuer != client || asClient && claims.Subject != client || claims.ID == "" || !strings.Contains(string(claims.Audience), "as.example.com") ||
			*claims.Expires < 1_799_999_970 || *claims.Expires > 1_800_003_630 {
			t.Errorf("claims passed: %q", payload)
		}
	})
}

// judged says as what an assertion by the client would be taken: everything is
// looked at but the signature.
func judged(a *Authenticator, client *registration.Client, header, payload string) (asClient, asGrant bool) {
	event := &oauth.Event{}
	var read assertion
	var claims grantClaims
	if json.Unmarshal([]byte(header), &read.header) != nil || decodeClaims([]byte(payload), &claims) != nil || claims.Issuer != client.ID {
		return false, false
	}
	passes := func(k *kind) bool {
		return checkHeader(k, &read.header, client.AssertionAlgs, event) == nil && a.checkClaims(k, &claims.assertionClaims, client, nil, event) == nil
	}
	if asGrant = passes(grantAssertion) && apart(&read, &claims, event) == nil; asGrant {
		_, err := claims.grant(client, event)
		asGrant = err == nil
	}
	return claims.Subject == client.ID && passes(clientAssertion), asGrant
}
