package registration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// read takes the body apart: a JSON object, or claims that the software signed.
func (j *judgement) read(context.Context) (err error) {
	if len(j.Body) > maxDocument {
		return j.fail("registration request", fmt.Sprintf("at most %d bytes", maxDocument), fmt.Sprintf("%d bytes", len(j.Body)), "send less",
			oauth.InvalidClientMetadata("the registration is longer than %d bytes", maxDocument))
	}
	body := bytes.TrimRight(j.Body, "\r\n")
	switch media := j.media(); {
	case media == MediaJWT || media == MediaJOSE:
		if j.request, err = readSigned(string(body)); err != nil {
			return j.fail("registration request", "a compact JWS", err.Error(), "sign the metadata and the software_statement as a JWT",
				oauth.InvalidClientMetadata("the registration request is malformed: %s", err))
		}
		j.members = j.request.claims
	case media == MediaJSON && len(body) > 0:
		if j.members, err = readClaims(body); err != nil {
			return j.fail("registration request", "a JSON object with each member once", err.Error(), "send one JSON object (RFC 7591 section 3.1)",
				oauth.InvalidClientMetadata("the registration request is malformed: %s", err))
		}
	case media != MediaJSON && media != "" || len(body) > 0:
		return j.fail("registration request Content-Type", strings.Join([]string{MediaJSON, MediaJWT, MediaJOSE}, ", "), quote(j.MediaType), "say what the body is",
			oauth.UnsupportedMediaType("Content-Type must be %s, or %s or %s for a signed request", MediaJSON, MediaJWT, MediaJOSE))
	}
	return nil
}

// media is the media type without parameters, which change nothing here; empty
// for one that is none.
func (j *judgement) media() string {
	media, _, err := mime.ParseMediaType(j.MediaType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return j.MediaType
	}
	return media
}

// readStatement takes the software statement apart.
func (j *judgement) readStatement(context.Context) (err error) {
	raw, given := j.members["software_statement"]
	if !given {
		return nil
	}
	if err = oauth.DecodeString(raw, &j.text); err == nil {
		j.statement, err = readSigned(j.text)
	}
	if err != nil {
		return j.fail("software statement", "a compact JWS", err.Error(), "send the statement as the directory gives it, and all of it",
			oauth.InvalidSoftwareStatement("the software statement is malformed: %s", err))
	}
	return nil
}

// chooseRules finds whose rules hold: those of whoever issued the statement, by its
// iss, and those of the realm for a request without one.
func (j *judgement) chooseRules(context.Context) error {
	j.rules = j.config.Ecosystem
	if j.members == nil && j.asked == nil {
		return j.fail("registration request", "a JSON object with each member once", "nothing", "send one JSON object (RFC 7591 section 3.1)",
			oauth.InvalidClientMetadata("the registration request is empty"))
	}
	if j.statement == nil {
		j.issuer = j.asked
		vouched := j.Replaces != nil && j.Replaces.Metadata.SoftwareStatementIssuer != ""
		if j.rules.Statement.From == FromRequest || vouched && j.asked == nil {
			return j.fail("software statement", "a software_statement", "none", "fetch one from the directory and send it along",
				oauth.InvalidSoftwareStatement("software_statement is missing"))
		}
		if j.Unvouched != nil && j.asked == nil && j.Replaces == nil {
			return j.Unvouched()
		}
		return j.checkMedia()
	}
	iss, err := j.statement.readText("iss")
	if err == nil && iss == "" {
		err = errors.New("is missing, and every statement has one (RFC 7591 section 2.3)")
	}
	if err != nil {
		return j.fail("software statement iss", "a string", err.Error(), "fetch a statement of a trusted directory",
			oauth.InvalidSoftwareStatement("iss of the software statement %s", err))
	}
	issuer, trusted := j.issuers[iss]
	if !trusted {
		return j.fail("software statement iss", "a trusted issuer: "+list(j.trusted()), quote(iss), "use a statement of one of these, or have this one trusted under registration.issuers",
			oauth.UnapprovedSoftwareStatement("statements of issuer %s are not accepted here", quote(iss)))
	}
	j.event.Pass("software statement iss", issuer.Name, iss)
	j.issuer, j.rules = issuer, issuer.Ecosystem
	return j.checkMedia()
}

// trusted lists whose statements are taken.
func (r *Registrar) trusted() []string {
	names := make([]string, 0, len(r.issuers))
	for iss := range r.issuers {
		names = append(names, quote(iss))
	}
	slices.Sort(names)
	return names
}

// checkMedia holds the form of the request against the ecosystem.
func (j *judgement) checkMedia() error {
	media, wanted := j.media(), j.rules.Request.MediaTypes
	if j.members == nil || slices.Contains(wanted, media) {
		return nil
	}
	advice := "send the metadata as a JSON object"
	if j.rules.Signs() {
		advice = "sign the metadata and the software_statement as a JWT with a key of the software"
	}
	return j.fail("registration request Content-Type", strings.Join(wanted, " or "), quote(j.MediaType), advice,
		oauth.InvalidClientMetadata("a registration by the rules of %s is sent as %s", j.rules.About, strings.Join(wanted, " or ")))
}

// verifyStatement believes the statement, or does not.
func (j *judgement) verifyStatement(ctx context.Context) (err error) {
	if j.statement == nil {
		return nil
	}
	p := &part{name: "software statement", refuse: oauth.InvalidSoftwareStatement, event: j.event}
	if err := p.checkHeader(&j.statement.header, j.issuer.algs()); err != nil {
		return err
	}
	if err := p.verify(ctx, j.statement, j.issuer.Keys, "its issuer"); err != nil {
		return err
	}
	if j.facts, err = j.rules.dialect().facts(j.statement.claims); err != nil {
		return p.fail("claims", "as "+j.rules.About+" has them", err.Error(), "fetch another statement, or have its issuer trusted by another ecosystem's rules",
			"is not one of %s: %s", j.rules.About, err)
	}
	dates, err := p.readDates(j.statement.claims)
	if err != nil {
		return err
	}
	rule := j.issuer.dates()
	if err := p.checkDates(dates, rule, j.now); err != nil {
		return err
	}
	single := j.issuer.SingleUse || j.rules.Statement.SingleUse
	id, err := p.id(j.statement, single || j.rules.Statement.ID)
	if err == nil && single {
		j.spend("software-statement-jti", p, dates.end(rule), j.issuer.Name, id)
	}
	return err
}

// verifyRequest believes that the software made the request: it is signed with a
// key that the statement leads to, for us, now, and once.
func (j *judgement) verifyRequest(ctx context.Context) error {
	if j.request == nil {
		return nil
	}
	p := &part{name: "registration request", refuse: oauth.InvalidClientMetadata, event: j.event}
	if err := p.checkHeader(&j.request.header, j.rules.Request.Algs); err != nil {
		return err
	}
	if j.facts.JWKSURI == "" {
		return j.fail("software statement keys", "where the software publishes its keys", "nothing", "publish them in the directory",
			oauth.InvalidSoftwareStatement("the software statement does not say where the software publishes its keys"))
	}
	keys := j.config.Fetch.sets.Keys(j.facts.JWKSURI, j.config.AllowTestKeys)
	if err := p.verify(ctx, j.request, keys.Find, "the software"); err != nil {
		return err
	}
	if err := j.checkAddressed(p); err != nil {
		return err
	}
	dates, err := p.readDates(j.request.claims)
	if err != nil {
		return err
	}
	rule := dateRule{issued: true, expires: true, maxLifetime: j.rules.Request.MaxLifetime}
	if err := p.checkDates(dates, rule, j.now); err != nil {
		return err
	}
	id, err := p.id(j.request, true)
	if err == nil {
		j.spend("registration-request-jti", p, dates.end(rule), j.issuer.Name, j.facts.SoftwareID, id)
	}
	return err
}

// checkAddressed wants the request from the software and for this realm.
func (j *judgement) checkAddressed(p *part) error {
	iss, err := j.request.readText("iss")
	if err != nil || iss != j.facts.SoftwareID {
		return p.fail("iss", "software_id: "+j.facts.SoftwareID, quote(iss), "set iss to the software_id of the statement",
			"must have the software_id of the statement as iss")
	}
	var aud oauth.Audience
	if raw, given := j.request.claims["aud"]; given {
		if err := aud.UnmarshalJSON(raw); err != nil {
			aud = nil // as if it were not there
		}
	}
	names := []string{j.config.Issuer}
	if j.rules.Request.Audience == ToAnyName {
		names = append(names, j.config.Addresses...)
		if j.config.DirectoryID != "" {
			names = append(names, j.config.DirectoryID)
		}
	}
	for _, name := range aud {
		if slices.Contains(names, name) {
			p.event.Pass(p.name+" aud", name, name)
			return nil
		}
	}
	return p.fail("aud", strings.Join(names, ", "), list(aud), "set aud to the issuer, exactly as discovery spells it",
		"is not for this server: aud must be %s", j.config.Issuer)
}
