package binding

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

var start = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// policy takes every algorithm that a proof may have.
func policy() *oauth.Policy {
	return &oauth.Policy{Name: "fapi2", ClockSkew: 30 * time.Second, DPoPAlgs: []string{"ES256", "PS256", "EdDSA"}}
}

func newBinder(t testing.TB) *Binder {
	t.Helper()
	b := &Binder{Now: func() time.Time { return start }}
	s, err := store.Open("", store.Options{Ephemeral: true, Now: func() time.Time { return b.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b.Proofs = usedProofs{store.Claims{Store: s, Name: "default/dpop-proof"}}
	nonces, err := store.NewSealer(make([]byte, 32), "default/dpop-nonce")
	if err != nil {
		t.Fatal(err)
	}
	b.Nonces = nonces.MAC
	return b
}

// usedProofs are those in the store.
type usedProofs struct{ store.Claims }

func (u usedProofs) Claim(ctx context.Context, key string, until time.Time) (first bool, err error) {
	err = u.Claims.Claim(ctx, key, until)
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// sender is a request to the token endpoint with these DPoP headers.
func sender(proofs ...string) *Sender {
	return &Sender{
		Proofs: proofs, Method: "POST", Path: "/token",
		Bases: [2]string{"https://as.example", "https://mtls.as.example:8444"}, Event: &oauth.Event{},
	}
}

// claimsOf are those of a good proof, some changed; nil leaves one out.
func claimsOf(changes ...any) map[string]any {
	claims := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": "https://as.example/token", "iat": start.Unix()}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, changes[i].(string))
		}
	}
	return claims
}

func proofBy(t testing.TB, alg string, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keys are those of the three algorithms.
func keys() map[string]crypto.Signer {
	return map[string]crypto.Signer{"ES256": testkeys.P256(1), "PS256": testkeys.RSA(1), "EdDSA": testkeys.Ed25519(1)}
}

// TestProofByEveryAlgorithm: a good proof passes, its key is named by RFC 7638,
// every check is in the event, and it is good once.
func TestProofByEveryAlgorithm(t *testing.T) {
	b := newBinder(t)
	for alg, key := range keys() {
		text := proofBy(t, alg, key, claimsOf())
		s := sender(text)
		jkt, err := b.verify(t.Context(), s, policy(), nil)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
		if want := base64.RawURLEncoding.EncodeToString(sum); err != nil || jkt != want {
			t.Errorf("%s: jkt is %s, want %s", alg, jkt, want)
		}
		seen := map[string]bool{}
		for _, check := range s.Event.Checks {
			seen[check.Name] = check.OK
		}
		for _, check := range checks {
			if check.number != 12 && !seen[check.name] {
				t.Errorf("%s: the event says nothing of %s", alg, check.name)
			}
		}
		if _, err := b.verify(t.Context(), sender(text), policy(), nil); oauth.AsError(err).Code != oauth.CodeInvalidDPoPProof || !strings.Contains(err.Error(), "jti is spent") {
			t.Errorf("%s, a second time: %v", alg, err)
		}
	}
}

// TestClaimOutlivesProof: as long as a proof could be accepted its claim is not
// swept away, and a sweep refuses no proof that was not used.
func TestClaimOutlivesProof(t *testing.T) {
	b := newBinder(t)
	var offset atomic.Int64
	b.Now = func() time.Time { return start.Add(time.Duration(offset.Load())) }
	made := claimsOf("iat", start.Add(policy().ClockSkew).Unix())
	used := proofBy(t, "ES256", testkeys.P256(1), made)
	if _, err := b.verify(t.Context(), sender(used), policy(), nil); err != nil {
		t.Fatal(err)
	}
	offset.Store(int64(proofAge + 2*policy().ClockSkew))
	if _, err := b.Proofs.(usedProofs).Store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.verify(t.Context(), sender(used), policy(), nil); err == nil || !strings.Contains(err.Error(), "jti is spent") {
		t.Errorf("used before: %v", err)
	}
	made["jti"] = rand.Text()
	if _, err := b.verify(t.Context(), sender(proofBy(t, "ES256", testkeys.P256(1), made)), policy(), nil); err != nil {
		t.Errorf("another of the same second: %v", err)
	}
	offset.Add(int64(time.Second))
	if _, err := b.verify(t.Context(), sender(used), policy(), nil); err == nil || !strings.Contains(err.Error(), "check 11") {
		t.Errorf("too old: %v", err)
	}
}

// TestTestKeys: a key whose private half everybody has binds nothing.
func TestTestKeys(t *testing.T) {
	b := newBinder(t)
	b.Refuse = testkeys.Refuse
	for alg, key := range keys() {
		if _, err := b.verify(t.Context(), sender(proofBy(t, alg, key, claimsOf())), policy(), nil); oauth.AsError(err).Code != oauth.CodeInvalidDPoPProof {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestExplanations: what a tester meets first is said in words of its own.
func TestExplanations(t *testing.T) {
	b := newBinder(t)
	certificates := &oauth.Policy{Name: "fapi1-advanced"}
	encoding := base64.RawURLEncoding
	bare := encoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"ES256"}`)) + ".e30." + encoding.EncodeToString(make([]byte, 64))
	for name, row := range map[string]struct {
		proofs              []string
		policy              *oauth.Policy
		expected, presented string
	}{
		"none":               {nil, policy(), "one", "0"},
		"no jwk":             {[]string{bare}, policy(), "a public key", "none"},
		"no DPoP by policy":  {[]string{bare}, certificates, "no DPoP under policy fapi1-advanced", "ES256"},
		"no proof by policy": {nil, certificates, "one", "0"},
	} {
		s := sender(row.proofs...)
		if _, err := b.verify(t.Context(), s, row.policy, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if check, _ := s.Event.Failed(); check.Expected != row.expected || check.Presented != row.presented || check.Advice == "" {
			t.Errorf("%s: the event says %+v", name, check)
		}
	}
}

// TestTwelveChecks: the list is that of RFC 9449 section 4.3, without a gap.
func TestTwelveChecks(t *testing.T) {
	numbers := map[int]bool{}
	for _, check := range checks {
		numbers[check.number] = true
		if check.of == nil || check.refuse == nil || check.says == "" || oauth.Printable(check.says) != check.says {
			t.Errorf("check %d is incomplete", check.number)
		}
	}
	for number := 1; number <= 12; number++ {
		if !numbers[number] {
			t.Errorf("no check %d", number)
		}
	}
}

// TestEmptyConfirmation: a cnf that says nothing a request can prove lets nobody in.
func TestEmptyConfirmation(t *testing.T) {
	for _, scheme := range []string{oauth.SchemeBearer, oauth.SchemeDPoP} {
		use := &Use{Scheme: scheme, Token: "t", Confirmation: &oauth.Confirmation{}, Policy: policy()}
		if err := newBinder(t).Enforce(t.Context(), use, sender()); oauth.AsError(err).Code != oauth.CodeInvalidToken {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestCostlyKeys: what would take long to compute with is refused before
// anything is (attack: RSA-16384 costs a verification 25 ms).
func TestCostlyKeys(t *testing.T) {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	rsaKey := func(n *big.Int, e string) string {
		return `{"kty":"RSA","n":"` + number(n) + `","e":"` + e + `"}`
	}
	modulus := testkeys.RSA(1).N
	large := new(big.Int).Add(new(big.Int).Lsh(modulus, 16384-2048), big.NewInt(1))
	b := newBinder(t)
	for name, jwk := range map[string]string{
		"RSA-16384":  rsaKey(large, "AQAB"),
		"e = 2^31-1": rsaKey(modulus, number(big.NewInt(1<<31-1))),
		"e = 2^64-1": rsaKey(modulus, number(new(big.Int).SetUint64(1<<64-1))),
	} {
		header := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"PS256","jwk":%s}`, jwk)
		encoding := base64.RawURLEncoding
		payload, err := json.Marshal(claimsOf())
		if err != nil {
			t.Fatal(err)
		}
		text := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString(payload) + "." + encoding.EncodeToString(make([]byte, 256))
		fastest := time.Hour
		for i := 0; i < 1000 && fastest > slowdown*time.Millisecond; i++ { // the machine may be busy with something else
			started := time.Now()
			_, err := b.verify(t.Context(), sender(text), policy(), nil)
			fastest = min(fastest, time.Since(started))
			if oauth.AsError(err).Code != oauth.CodeInvalidDPoPProof || !strings.Contains(err.Error(), "check 7") {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if fastest > slowdown*time.Millisecond {
			t.Errorf("%s: refused after %s", name, fastest)
		}
	}
}

// TestNonceWindows: a nonce is good in its five minutes and in the next five, at
// every node with the key and in no other realm.
func TestNonceWindows(t *testing.T) {
	b, node := newBinder(t), newBinder(t)
	now := start.Truncate(nonceWindow)
	b.Now = func() time.Time { return now }
	node.Now = b.Now
	wanting := policy()
	wanting.DPoPNonce = true
	nonce := b.nonce(0)
	for _, step := range []struct {
		at    time.Duration
		good  bool
		fresh bool // the answer brings another nonce
	}{
		{0, true, false},
		{nonceWindow - time.Second, true, false},
		{nonceWindow, true, true},
		{2*nonceWindow - time.Second, true, true},
		{2 * nonceWindow, false, true},
		{100 * nonceWindow, false, true},
		{-time.Second, false, true},
	} {
		now = start.Truncate(nonceWindow).Add(step.at)
		s := sender(proofBy(t, "ES256", testkeys.P256(1), claimsOf("nonce", nonce, "iat", now.Unix())))
		_, err := node.verify(t.Context(), s, wanting, nil)
		if step.good != (err == nil) || err != nil && oauth.AsError(err).Code != oauth.CodeUseDPoPNonce {
			t.Errorf("after %s: %v", step.at, err)
		}
		if step.fresh != (s.Nonce != "") || s.Nonce == nonce {
			t.Errorf("after %s: the answer brings nonce %q", step.at, s.Nonce)
		}
	}
	other, err := store.NewSealer(make([]byte, 32), "strict/dpop-nonce")
	if err != nil {
		t.Fatal(err)
	}
	foreign := *b
	foreign.Nonces = other.MAC
	if foreign.nonce(0) == b.nonce(0) {
		t.Error("two realms have the same nonce")
	}
}

// FuzzProof: whatever stands in the header, nothing panics, and what is accepted
// is a proof for this request by the key it names, and accepted once.
func FuzzProof(f *testing.F) {
	for alg, key := range keys() {
		f.Add(proofBy(f, alg, key, claimsOf()))
	}
	f.Add(proofBy(f, "ES256", testkeys.P256(1), claimsOf("htu", "HTTPS://AS.example:443/%74oken?a#b", "nonce", "x")))
	f.Add(proofBy(f, "ES256", testkeys.P256(1), claimsOf("iat", 1e300)))
	f.Add("..")
	f.Add("e30.e30.")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUiLCJqd2siOnt9fQ.e30.")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IlBTMjU2IiwiandrIjp7Imt0eSI6IlJTQSIsImUiOiJBUUFCIiwibiI6IiJ9fQ.e30.AA")
	b := newBinder(f)
	f.Fuzz(func(t *testing.T, text string) {
		p := &proof{binder: b, sender: sender(text), policy: policy(), now: float64(start.Unix())}
		if err := p.examine(); err != nil {
			if code := oauth.AsError(err).Code; code != oauth.CodeInvalidDPoPProof {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA})
		if err != nil {
			t.Fatalf("%q is accepted, and go-jose says %v", text, err)
		}
		key := jws.Signatures[0].Header.JSONWebKey
		if _, err := jws.Verify(key); err != nil {
			t.Fatalf("%q is accepted, and go-jose says %v", text, err)
		}
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil || base64.RawURLEncoding.EncodeToString(sum) != p.key.Thumbprint {
			t.Fatalf("%q: jkt %s", text, p.key.Thumbprint)
		}
		_ = p.spend(context.Background()) // this text may have been tried before
		if _, err := b.verify(context.Background(), sender(text), policy(), nil); err == nil {
			t.Fatalf("%q is good after it was spent", text)
		}
	})
}

// BenchmarkProof is the verification of a proof with its token, but for the
// claim of its jti, by algorithm; "signature" is what nobody can do without.
func BenchmarkProof(b *testing.B) {
	binder := newBinder(b)
	token := strings.Repeat("t", 900)
	for alg, key := range keys() {
		sum := sha256.Sum256([]byte(token))
		text := proofBy(b, alg, key, claimsOf("ath", base64.RawURLEncoding.EncodeToString(sum[:])))
		jkt, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		use := &Use{Scheme: oauth.SchemeDPoP, Token: token, Policy: policy(), Confirmation: &oauth.Confirmation{KeyThumbprint: base64.RawURLEncoding.EncodeToString(jkt)}}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			event := &oauth.Event{}
			for b.Loop() {
				event.Reset()
				s := sender(text)
				s.Event = event
				p := &proof{binder: binder, sender: s, policy: use.Policy, use: use, now: float64(start.Unix())}
				if err := p.examine(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/signature", func(b *testing.B) {
			jws, err := oauth.ParseCompact(text)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if !oauth.VerifySignature(alg, key.Public(), jws.Signed, jws.Signature) {
					b.Fatal("it does not verify")
				}
			}
		})
	}
}
