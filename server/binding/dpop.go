package binding

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// Limits of a proof. Real ones stay under two thousand bytes, also by RSA-4096.
const (
	maxProof    = 8 << 10
	maxProofJTI = 256
)

// proofAge is how old a proof may be by its iat, beyond what clocks differ. It is
// made for one request; a minute covers slow networks and retries.
const proofAge = time.Minute

// proofHeader is what is looked at in the JOSE header of a proof (RFC 9449
// section 4.2). Of crit and b64 it counts only that they are there.
type proofHeader struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	Key       json.RawMessage `json:"jwk"`
	Critical  json.RawMessage `json:"crit"`
	Base64    json.RawMessage `json:"b64"`
}

// proofClaims are the claims of a proof (RFC 9449 section 4.2); exp and nbf are
// not among them, but a JWT that carries them means them.
type proofClaims struct {
	ID        string   `json:"jti"`
	Method    string   `json:"htm"`
	Target    string   `json:"htu"`
	IssuedAt  *float64 `json:"iat"`
	TokenHash string   `json:"ath"`
	Nonce     string   `json:"nonce"`
	Expires   *float64 `json:"exp"`
	NotUntil  *float64 `json:"nbf"`
}

// proof is the DPoP proof of a request under examination.
type proof struct {
	binder *Binder
	sender *Sender
	policy *oauth.Policy
	use    *Use    // the access token it comes with; nil at the token endpoint
	now    float64 // seconds since 1970

	oauth.Compact
	header proofHeader
	claims proofClaims
	key    *jwk.ProofKey
}

// finding is what a check saw; advice is what to do where it is not ok.
type finding struct {
	ok                          bool
	expected, presented, advice string
}

// checks are the twelve of RFC 9449 section 4.3, by their numbers there. They
// stand in the order in which each can rely on those before it.
var checks = [...]struct {
	number int
	name   string
	of     func(*proof) finding
	refuse func(format string, args ...any) oauth.Error
	says   string // to the client
}{
	{1, "DPoP header", (*proof).oneHeader, oauth.InvalidDPoPProof, "send exactly one DPoP header, with a DPoP proof"},
	{2, "DPoP proof", (*proof).wellFormed, oauth.InvalidDPoPProof, "the DPoP proof is not a well-formed JWT"},
	{4, "DPoP typ", (*proof).typ, oauth.InvalidDPoPProof, "typ of the DPoP proof is not dpop+jwt"},
	{5, "DPoP alg", (*proof).algorithm, oauth.InvalidDPoPProof, "alg of the DPoP proof is not accepted"},
	{7, "DPoP jwk", (*proof).publicKey, oauth.InvalidDPoPProof, "jwk of the DPoP proof is not an acceptable public key"},
	{6, "DPoP signature", (*proof).signature, oauth.InvalidDPoPProof, "the signature of the DPoP proof does not verify"},
	{3, "DPoP claims", (*proof).complete, oauth.InvalidDPoPProof, "the DPoP proof lacks one of jti, htm, htu and iat"},
	{8, "DPoP htm", (*proof).method, oauth.InvalidDPoPProof, "htm of the DPoP proof is not the method of the request"},
	{9, "DPoP htu", (*proof).target, oauth.InvalidDPoPProof, "htu of the DPoP proof is not the address of the request"},
	{10, "DPoP nonce", (*proof).nonce, oauth.UseDPoPNonce, "the DPoP proof needs the nonce of the DPoP-Nonce header"},
	{11, "DPoP iat", (*proof).fresh, oauth.InvalidDPoPProof, "the DPoP proof was not made just now"},
	{12, "DPoP ath", (*proof).tokenHash, oauth.InvalidDPoPProof, "ath of the DPoP proof is not the hash of the access token"},
	{12, "DPoP key", (*proof).tokenKey, oauth.InvalidToken, "the access token is bound to another DPoP key"},
}

// verify examines the request's proof, spends it, and returns the thumbprint of
// its key. With a token it is held to that, too.
func (b *Binder) verify(ctx context.Context, sender *Sender, policy *oauth.Policy, use *Use) (string, error) {
	p := &proof{binder: b, sender: sender, policy: policy, use: use, now: float64(b.Now().UnixMilli()) / 1000}
	if err := p.examine(); err != nil {
		return "", err
	}
	return p.key.Thumbprint, p.spend(ctx)
}

// examine puts the proof through the checks. Where nonces are wanted, every
// refusal brings one, so that the next proof need not be refused for that.
func (p *proof) examine() error {
	event := p.sender.Event
	for i := range checks {
		check := &checks[i]
		if check.number == 12 && p.use == nil {
			continue
		}
		found := check.of(p)
		if found.ok {
			event.Pass(check.name, found.expected, found.presented)
			continue
		}
		event.Fail(check.name, found.expected, found.presented, found.advice)
		if p.policy.DPoPNonce {
			p.sender.Nonce = p.binder.nonce(0)
		}
		return check.refuse("%s", check.says).Because("RFC 9449 section 4.3, check %d", check.number)
	}
	return nil
}

func (p *proof) oneHeader() finding {
	return finding{len(p.sender.Proofs) == 1, "one", fmt.Sprint(len(p.sender.Proofs)), "make a DPoP proof for every request; `fapid dpop` prints one"}
}

// wellFormed takes the proof apart; the size is capped before anything is
// decoded. No extension of JWS is understood (RFC 7515 section 4.1.11).
func (p *proof) wellFormed() finding {
	err := p.parse(p.sender.Proofs[0])
	if err != nil {
		return finding{false, "a compact JWS", err.Error(), "send header.payload.signature, each member once and with its type"}
	}
	return finding{ok: true}
}

func (p *proof) parse(text string) (err error) {
	if len(text) > maxProof {
		return fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxProof)
	}
	if p.Compact, err = oauth.ParseCompact(text); err != nil {
		return err
	}
	if err := strict.Unmarshal(p.Header, &p.header); err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	if p.header.Critical != nil || p.header.Base64 != nil {
		return errors.New("its header has crit or b64")
	}
	if !utf8.Valid(p.Payload) {
		return errors.New("its payload is not UTF-8")
	}
	if err := strict.Unmarshal(p.Payload, &p.claims); err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	return nil
}

// proofType keeps proofs apart from every other JWT (RFC 8725 section 3.11).
const proofType = "dpop+jwt"

func (p *proof) typ() finding {
	return finding{p.header.Type == proofType, proofType, p.header.Type, "set typ in the header; another kind of JWT is no proof"}
}

// algorithm takes what the policy lists, and that is never none or an HMAC.
func (p *proof) algorithm() finding {
	if len(p.policy.DPoPAlgs) == 0 {
		return finding{false, "no DPoP under policy " + p.policy.Name, p.header.Algorithm, "bind tokens to a certificate, or put the client under a policy with DPoP"}
	}
	return finding{slices.Contains(p.policy.DPoPAlgs, p.header.Algorithm), strings.Join(p.policy.DPoPAlgs, " or "), p.header.Algorithm, "sign with one of dpop_signing_alg_values_supported"}
}

func (p *proof) publicKey() finding {
	if p.header.Key == nil {
		return finding{false, "a public key", "none", "put the public key as jwk into the header"}
	}
	key, err := jwk.ParseProofKey(p.header.Key, p.header.Algorithm, p.binder.Refuse)
	if err != nil {
		return finding{false, "a public key that may verify " + p.header.Algorithm, err.Error(), "put the public half of a good key into the header, and nothing of the private one"}
	}
	p.key = key
	return finding{ok: true, presented: "jkt " + key.Thumbprint}
}

func (p *proof) signature() finding {
	const expected = "a signature by the key in jwk"
	alg := p.header.Algorithm
	if oauth.VerifySignature(alg, p.key.Public, p.Signed, p.Signature) {
		return finding{ok: true, expected: expected, presented: alg}
	}
	return finding{false, expected, alg, oauth.SigningAdvice("the private half of the key in jwk", alg)}
}

func (p *proof) complete() finding {
	const expected = "jti, htm, htu and iat"
	missing := ""
	switch {
	case p.claims.ID == "":
		missing = "no jti"
	case len(p.claims.ID) > maxProofJTI:
		missing = fmt.Sprintf("a jti of %d bytes, more than %d", len(p.claims.ID), maxProofJTI)
	case p.claims.Method == "":
		missing = "no htm"
	case p.claims.Target == "":
		missing = "no htu"
	case p.claims.IssuedAt == nil:
		missing = "no iat"
	}
	return finding{missing == "", expected, missing, "put all four into the proof; jti fresh and random"}
}

// method compares as HTTP does: methods are case-sensitive (RFC 9110 section 9.1).
func (p *proof) method() finding {
	return finding{p.claims.Method == p.sender.Method, p.sender.Method, p.claims.Method, "set htm to the method of the request, in capitals"}
}

func (p *proof) target() finding {
	if p.sender.calls(p.claims.Target) {
		return finding{ok: true, presented: withoutQuery(p.claims.Target)}
	}
	return finding{false, p.sender.addresses(), withoutQuery(p.claims.Target), "set htu to the address the request is sent to, as discovery has it"}
}

// nonce looks for the nonce where the policy wants one. One that is about to go
// out of use is answered with the next.
func (p *proof) nonce() finding {
	if !p.policy.DPoPNonce || isNonce(p.claims.Nonce, p.binder.nonce(0)) {
		return finding{ok: true}
	}
	if isNonce(p.claims.Nonce, p.binder.nonce(1)) {
		p.sender.Nonce = p.binder.nonce(0)
		return finding{ok: true, presented: "the one before the present one"}
	}
	presented := "none"
	if p.claims.Nonce != "" {
		presented = "another, or an old one"
	}
	return finding{false, "the nonce of this server", presented, "send the request once more, with a new proof that has the DPoP-Nonce of this answer as nonce"}
}

// fresh holds iat to a window: as far ahead as the policy lets clocks differ, and
// that and a minute behind. exp and nbf count where there are any.
func (p *proof) fresh() finding {
	skew, iat := p.policy.ClockSkew.Seconds(), *p.claims.IssuedAt
	oldest := proofAge.Seconds() + skew
	expected := fmt.Sprintf("iat from %.0f s ago to %.0f s ahead", oldest, skew)
	const advice = "make a new proof for every request; set the client's clock"
	switch {
	case iat > p.now+skew || iat < p.now-oldest:
		return finding{false, expected, "iat " + offset(iat-p.now), advice}
	case p.claims.Expires != nil && p.now >= *p.claims.Expires+skew:
		return finding{false, "exp in the future", "exp " + offset(*p.claims.Expires-p.now), advice}
	case p.claims.NotUntil != nil && *p.claims.NotUntil > p.now+skew:
		return finding{false, "nbf not in the future", "nbf " + offset(*p.claims.NotUntil-p.now), advice}
	}
	return finding{ok: true, expected: expected, presented: "iat " + offset(iat-p.now)}
}

// offset says how far ahead or behind a time is, for people.
func offset(seconds float64) string {
	if seconds < 0 {
		return fmt.Sprintf("%.6g s ago", -seconds)
	}
	return fmt.Sprintf("%.6g s ahead", seconds)
}

func (p *proof) tokenHash() finding {
	sum := sha256.Sum256([]byte(p.use.Token))
	hash := base64.RawURLEncoding.EncodeToString(sum[:])
	presented := p.claims.TokenHash
	if presented == "" {
		presented = "none"
	}
	return finding{subtle.ConstantTimeCompare([]byte(presented), []byte(hash)) == 1, hash, presented, "set ath to the base64url SHA-256 of the access token as it is sent"}
}

func (p *proof) tokenKey() finding {
	bound := p.use.Confirmation.KeyThumbprint
	return finding{p.key.Thumbprint == bound, "jkt " + bound, "jkt " + p.key.Thumbprint, "sign the proof with the key the token was issued to"}
}

// spend claims the jti for its key: of any number of requests with one proof one
// wins (RFC 9449 section 11.1). The claim is the key's own, so nobody can burn
// another's jti. It outlives the time in which the proof would be accepted, and
// since that follows from iat, no clock makes it good again.
func (p *proof) spend(ctx context.Context) error {
	until := time.Unix(int64(math.Ceil(*p.claims.IssuedAt)), 0).Add(proofAge + p.policy.ClockSkew + time.Second)
	hash := sha256.Sum256([]byte(p.key.Thumbprint + "\x00" + p.claims.ID))
	first, err := p.binder.Proofs.Claim(ctx, string(hash[:]), until)
	if err != nil {
		return oauth.TemporarilyUnavailable().Because("claim jti: %w", err)
	}
	if !first {
		p.sender.Event.Fail("DPoP jti", "one that was not used before", "used before", "make a new proof, with a fresh jti, for every request")
		return oauth.InvalidDPoPProof("the DPoP proof was used before").Because("jti is spent")
	}
	p.sender.Event.Pass("DPoP jti", "", "")
	return nil
}
