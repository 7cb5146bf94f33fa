package registration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/oauth/jwk"
)

// TrustedIssuer is somebody whose software statements a realm believes.
type TrustedIssuer struct {
	// Name is what the realm calls it. Clients keep it as SoftwareStatementIssuer.
	Name string
	// Issuer is the iss of its statements, compared as it is written.
	Issuer    string
	Ecosystem *Ecosystem
	// Keys finds those that its statements are signed with.
	Keys FindKeys
	// Algs narrow the ecosystem's; nil leaves them.
	Algs []string
	// MaxAge is how old iat of a statement may be; 0 is the ecosystem's rule.
	MaxAge time.Duration
	// SingleUse takes each statement only once, by its jti.
	SingleUse bool
	// Policy is the security profile of those who register with its statements;
	// empty is the realm's.
	Policy string
	// Directory is asked what holds now, if the issuer is the directory of this
	// process; nil for any other.
	Directory Directory
}

// FindKeys finds the keys that may verify a signature by alg and have the kid, or
// any of them for an empty one; [jwk.Keys.Find] does.
type FindKeys func(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error)

// Directory is a directory of participants in this process: what it says counts at
// once, while a statement says what was when it was issued.
type Directory interface {
	// Holder tells whose a client certificate is, by its x5t#S256. The software is
	// empty for a certificate of the organisation.
	Holder(thumbprint string) (organisation, software string, known bool)
	// Facts are what it says of software now, whatever its status.
	Facts(software string) (*Statement, bool)
}

// DirectoryIssuers are the directory of this process as an issuer by the rules of
// each ecosystem: it writes statements in every dialect. Where the directories of an
// ecosystem have no name of their own, the URL is its iss.
func DirectoryIssuers(url string, keys FindKeys, directory Directory) []*TrustedIssuer {
	issuers := make([]*TrustedIssuer, len(ecosystems))
	for i := range ecosystems {
		issuers[i] = &TrustedIssuer{
			Name: DirectoryIssuer, Issuer: cmp.Or(ecosystems[i].dialect().Issuer, url),
			Ecosystem: &ecosystems[i], Keys: keys, Directory: directory,
		}
	}
	return issuers
}

// LiveKeys finds keys in a JWK Set that this process publishes; it is parsed again
// when it has changed.
func LiveKeys(published func() []byte, allowTestKeys bool) FindKeys {
	type parsed struct {
		document []byte
		keys     *jwk.Keys
	}
	var latest atomic.Pointer[parsed]
	return func(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error) {
		document := published()
		known := latest.Load()
		if known == nil || !bytes.Equal(known.document, document) {
			set, err := jwk.Parse(document, jwk.Registered, refuseKey(allowTestKeys))
			if err != nil {
				return nil, err
			}
			known = &parsed{document, jwk.In(set)}
			latest.Store(known)
		}
		return known.keys.Find(ctx, kid, alg)
	}
}

// InlineKeys are those of a JWK Set, held to the rules for registered ones.
func InlineKeys(jwks []byte, allowTestKeys bool) (*jwk.Keys, error) {
	set, err := jwk.Parse(jwks, jwk.Registered, refuseKey(allowTestKeys))
	if err != nil {
		return nil, err
	}
	if set.Empty() {
		return nil, errors.New("the key set has no keys")
	}
	return jwk.In(set), nil
}

// RemoteKeys are fetched from an https URL when they are needed.
func RemoteKeys(fetcher *Fetcher, uri string, allowTestKeys bool) (*jwk.Keys, error) {
	if err := webURI(uri); err != nil {
		return nil, err
	}
	return fetcher.sets.Keys(uri, allowTestKeys), nil
}

// Check holds the issuer to the rules of its ecosystem. The error is of the member
// that is named as a configuration names it.
func (i *TrustedIssuer) Check() (member string, err error) {
	rule := &i.Ecosystem.Statement
	switch {
	case rule.From == FromCertificate && i.Directory == nil:
		return "ecosystem", fmt.Errorf("%s has no statements to verify: it asks the directory of the certificate, so the directory must be in this process", i.Ecosystem.Name)
	case rule.From == FromCertificate:
		return "", nil
	case i.Issuer == "":
		return "issuer", fmt.Errorf("is missing, and statements of %s have none that is always the same", i.Ecosystem.Name)
	case len(i.Issuer) > maxTextBytes || checkText(i.Issuer) != nil:
		return "issuer", fmt.Errorf("is no iss: one line of at most %d bytes", maxTextBytes)
	case i.Keys == nil:
		return "keys", fmt.Errorf("are missing")
	case i.MaxAge < 0 || rule.LongestAge > 0 && i.MaxAge > rule.LongestAge:
		return "max_age", fmt.Errorf("is %s; %s takes no statement that is older than %s", i.MaxAge, i.Ecosystem.Name, rule.LongestAge)
	}
	for _, alg := range i.Algs {
		if !slices.Contains(rule.Algs, alg) {
			return "algs", fmt.Errorf("%s is not taken by %s, which has %s", alg, i.Ecosystem.Name, list(rule.Algs))
		}
	}
	return "", nil
}

// algs are those of its statements.
func (i *TrustedIssuer) algs() []string {
	if len(i.Algs) > 0 {
		return i.Algs
	}
	return i.Ecosystem.Statement.Algs
}

// dates is what is demanded of the dates of its statements: what ends by its age
// must say its age. One or the other ends every statement.
func (i *TrustedIssuer) dates() dateRule {
	rule := &i.Ecosystem.Statement
	age := rule.MaxAge
	if i.MaxAge > 0 {
		age = i.MaxAge
	}
	return dateRule{issued: age > 0, expires: rule.Expires, maxAge: age}
}
