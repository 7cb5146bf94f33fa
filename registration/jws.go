package registration

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk"
)

// signed is a compact JWS taken apart: a software statement, or a request that
// the software signed. Nothing in it is to be believed before it is verified.
type signed struct {
	oauth.Compact
	header statementHeader
	claims map[string]stdjson.RawMessage
}

// statementHeader is what is looked at in a JOSE header. Of the RawMessages it
// counts only that they are there.
type statementHeader struct {
	Algorithm string             `json:"alg"`
	KeyID     string             `json:"kid"`
	Type      *string            `json:"typ"`
	Critical  stdjson.RawMessage `json:"crit"`
	Base64    stdjson.RawMessage `json:"b64"`
	Zip       stdjson.RawMessage `json:"zip"`
	Key       stdjson.RawMessage `json:"jwk"`
	KeySetURL stdjson.RawMessage `json:"jku"`
	ChainURL  stdjson.RawMessage `json:"x5u"`
	Chain     stdjson.RawMessage `json:"x5c"`
}

// readSigned takes one compact JWS apart and nothing else.
func readSigned(text string) (*signed, error) {
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return nil, errors.New("it is JSON; a compact JWS is three parts in base64url with dots between")
	}
	if strings.Count(text, ".") == 4 {
		return nil, errors.New("it is encrypted (JWE); a signed one is expected")
	}
	var read signed
	var err error
	if read.Compact, err = oauth.ParseCompact(text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(read.Header, &read.header); err != nil {
		return nil, fmt.Errorf("its header is not one strict JSON object: %s", oauth.JSONText(err))
	}
	if read.claims, err = readClaims(read.Payload); err != nil {
		return nil, fmt.Errorf("its payload: %w", err)
	}
	return &read, nil
}

// part is one of the two JWS of a registration: what it is called, and how it is
// refused.
type part struct {
	name   string
	refuse func(format string, args ...any) oauth.Error
	event  *oauth.Event
}

// fail records a check that failed and gives the refusal.
func (p *part) fail(check, expected, presented, advice, format string, args ...any) oauth.Error {
	p.event.Fail(p.name+" "+check, expected, presented, advice)
	return p.refuse("the "+p.name+" "+format, args...)
}

// checkHeader looks at what the header claims before any key is used. Keys come
// from the trusted issuer and from where its statement says, never from a header
// (RFC 8725 section 3.10).
func (p *part) checkHeader(h *statementHeader, algs []string) error {
	switch {
	case !slices.Contains(algs, h.Algorithm):
		return p.fail("alg", strings.Join(algs, " or "), quote(h.Algorithm), "sign with one of these algorithms",
			"must be signed by %s, not %s", strings.Join(algs, " or "), quote(h.Algorithm))
	case h.Type != nil && !plainJWT(*h.Type):
		return p.fail("typ", "JWT, or none", quote(*h.Type), "this is another kind of JWT",
			"has typ %s, which is another kind of JWT", quote(*h.Type))
	case h.Critical != nil || h.Base64 != nil || h.Zip != nil:
		return p.fail("header", "no crit, b64 and zip", "one of them", "leave them out: no extension is understood here (RFC 7515 section 4.1.11)",
			"has a header with an extension (crit, b64 or zip)")
	case h.Key != nil || h.KeySetURL != nil || h.ChainURL != nil || h.Chain != nil:
		return p.fail("header", "no jwk, jku, x5u and x5c", "one of them", "leave it out: the key is found by kid in the key set that is trusted",
			"has a header that brings a key (jwk, jku, x5u or x5c)")
	}
	return nil
}

// plainJWT accepts the generic type only: every other one is of another kind.
func plainJWT(typ string) bool {
	return strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, MediaJWT)
}

// verify wants a signature by one of the keys.
func (p *part) verify(ctx context.Context, s *signed, find FindKeys, whose string) error {
	found, err := find(ctx, s.header.KeyID, s.header.Algorithm)
	if err != nil {
		refusal := p.fail("key", "a key of "+whose, "kid "+quote(s.header.KeyID), err.Error(),
			"names no key of %s", whose).Because("key: %w", err)
		if _, down := errors.AsType[*jwk.FetchError](err); down {
			refusal.Description = oauth.Printable("the " + p.name + " cannot be verified: the keys of " + whose + " cannot be fetched")
		}
		return refusal
	}
	for i := range found {
		if oauth.VerifySignature(s.header.Algorithm, found[i].Key, s.Signed, s.Signature) {
			p.event.Pass(p.name+" signature", "by "+whose, s.header.Algorithm)
			return nil
		}
	}
	return p.fail("signature", "by "+whose, "one that does not verify", oauth.SigningAdvice("the private key whose public half "+whose+" publishes", s.header.Algorithm),
		"is not signed by %s", whose)
}

// dates are iat, exp and nbf; NaN is one that is not there.
type dates struct{ issued, expires, notBefore float64 }

// dateRule is what is demanded of them.
type dateRule struct {
	issued, expires     bool // must be there
	maxAge, maxLifetime time.Duration
}

// clockSkew is how far clocks may differ: iat and nbf may lie that far ahead.
const clockSkew = 60 * time.Second

// readDates takes the dates from the claims. RFC 7519 section 2: a NumericDate may
// have a fraction.
func (p *part) readDates(claims map[string]stdjson.RawMessage) (d dates, err error) {
	for _, claim := range []struct {
		name string
		into *float64
	}{{"iat", &d.issued}, {"exp", &d.expires}, {"nbf", &d.notBefore}} {
		*claim.into = math.NaN()
		raw, given := claims[claim.name]
		if !given {
			continue
		}
		value, malformed := strconv.ParseFloat(string(raw), 64)
		if malformed != nil || oauth.JSONKind(raw) != "a number" || value < 0 || value > 1e15 {
			return d, p.fail(claim.name, "seconds since 1970, as a number", oauth.Shown(string(raw)), "set "+claim.name+" to a NumericDate (RFC 7519 section 2)",
				"has %s %s, expected seconds since 1970", claim.name, oauth.Shown(string(raw)))
		}
		*claim.into = value
	}
	return d, nil
}

// checkDates judges the dates by the realm's clock.
func (p *part) checkDates(d dates, rule dateRule, clock time.Time) error {
	now := float64(clock.UnixMilli()) / 1000
	for _, date := range []struct {
		name  string
		value float64
	}{{"iat", d.issued}, {"exp", d.expires}, {"nbf", d.notBefore}} {
		if date.value > 1e11 {
			return p.fail(date.name, "seconds since 1970", strconv.FormatFloat(date.value, 'f', -1, 64), "divide it by 1000",
				"has %s that looks like milliseconds, expected seconds", date.name)
		}
	}
	switch {
	case math.IsNaN(d.issued) && rule.issued:
		return p.fail("iat", "an iat", "none", "say when it was issued", "has no iat")
	case d.issued > now+clockSkew.Seconds():
		return p.fail("iat", fmt.Sprintf("at most %.0f s ahead", clockSkew.Seconds()), ago(d.issued-now), "set the clock of whoever issued it",
			"has iat in the future, %s", ago(d.issued-now))
	case rule.maxAge > 0 && now-d.issued > rule.maxAge.Seconds():
		return p.fail("iat", "at most "+rule.maxAge.String()+" old", ago(d.issued-now), "fetch a new one just before it is sent",
			"was issued %s; at most %s is accepted", ago(d.issued-now), rule.maxAge)
	case math.IsNaN(d.expires) && rule.expires:
		return p.fail("exp", "an exp", "none", "let it expire", "has no exp")
	case d.expires <= now:
		return p.fail("exp", "in the future", ago(d.expires-now), "make or fetch a new one; check the clock",
			"has expired, %s", ago(d.expires-now))
	case rule.maxLifetime > 0 && d.expires > now+rule.maxLifetime.Seconds()+clockSkew.Seconds():
		return p.fail("exp", "at most "+rule.maxLifetime.String()+" ahead", ago(d.expires-now), "let it expire sooner",
			"expires too late, %s; at most %s is accepted", ago(d.expires-now), rule.maxLifetime)
	case d.notBefore > now+clockSkew.Seconds():
		return p.fail("nbf", fmt.Sprintf("at most %.0f s ahead", clockSkew.Seconds()), ago(d.notBefore-now), "wait, or set the clock of whoever issued it",
			"is not valid yet: nbf lies %s", ago(d.notBefore-now))
	}
	p.event.Pass(p.name+" dates", "", "")
	return nil
}

// end is when the dates let nobody use what they are of any more, if the rule has
// it end: with exp, or with its age.
func (d dates) end(rule dateRule) time.Time {
	end := d.expires
	if aged := d.issued + rule.maxAge.Seconds(); rule.maxAge > 0 && (math.IsNaN(end) || aged < end) {
		end = aged
	}
	return time.Unix(int64(math.Ceil(end))+1, 0)
}

// ago says for people how far ahead or behind a time is.
func ago(seconds float64) string {
	if seconds < 0 {
		return time.Duration(-seconds*float64(time.Second)).Round(time.Second).String() + " ago"
	}
	return time.Duration(seconds*float64(time.Second)).Round(time.Second).String() + " ahead"
}

// readText takes a claim that is a string; a claim that is not there is empty.
func (s *signed) readText(claim string) (text string, err error) {
	if raw, given := s.claims[claim]; given {
		err = oauth.DecodeString(raw, &text)
	}
	return text, err
}

// maxJTI bounds a jti in bytes.
const maxJTI = 256

// id is the jti, which may be wanted.
func (p *part) id(s *signed, wanted bool) (string, error) {
	jti, err := s.readText("jti")
	switch {
	case err != nil:
		return "", p.fail("jti", "a string", err.Error(), "give each its own random jti", "has a jti that %s", err)
	case jti == "" && wanted:
		return "", p.fail("jti", "a jti", "none", "give each its own random jti", "has no jti")
	case len(jti) > maxJTI:
		return "", p.fail("jti", fmt.Sprintf("at most %d bytes", maxJTI), fmt.Sprintf("%d bytes", len(jti)), "a UUID is enough", "has a jti longer than %d bytes", maxJTI)
	}
	return jti, nil
}
