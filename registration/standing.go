package registration

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// checkCertificate wants a client certificate where the ecosystem does. That it is
// a trusted one is known already.
func (j *judgement) checkCertificate(context.Context) error {
	if !j.rules.Certificate || j.Certificate != nil {
		return nil
	}
	return j.fail("client certificate", "a client certificate of the software", cmp.Or(j.Untrusted, "none"), "register at the mTLS address, with the transport certificate",
		oauth.InvalidClient("a registration by the rules of %s wants a client certificate that is trusted here", j.rules.About))
}

// askDirectory has a directory of this process say what holds now: all of it where
// the ecosystem has no statements, and what has changed since where it has.
func (j *judgement) askDirectory(context.Context) error {
	if j.issuer == nil || j.issuer.Directory == nil {
		return nil
	}
	if j.facts == nil {
		_, software, known := j.issuer.Directory.Holder(j.Certificate.Thumbprint)
		if known && software != "" {
			j.facts, known = j.issuer.Directory.Facts(software)
		}
		if !known || j.facts == nil {
			return j.fail("certificate holder", "a certificate of software in the directory", j.Certificate.SubjectText(), "have the directory issue one for the software, or tell it of this one",
				oauth.InvalidClient("the directory knows no software with this client certificate"))
		}
		j.event.Pass("certificate holder", "software in the directory", j.facts.SoftwareID)
		return nil
	}
	if j.facts.SoftwareID == "" {
		return nil // which is refused next
	}
	current, known := j.issuer.Directory.Facts(j.facts.SoftwareID)
	if !known {
		return j.fail("software standing", "software in the directory", "none of this software_id", "create the software again, and fetch its statement",
			oauth.UnapprovedSoftwareStatement("the directory knows this software no more"))
	}
	if role := j.rules.Statement.Role; role != "" && !active(roleStatus(current, StatementRole{Role: role})) {
		return j.fail("software roles", "an active role "+role, "none", "have the directory admit the organisation to the role and make it active for the software",
			oauth.UnapprovedSoftwareStatement("the software has no active role %s in the directory", role))
	}
	j.facts.OrgStatus, j.facts.Status = either(j.facts.OrgStatus, current.OrgStatus), either(j.facts.Status, current.Status)
	for i, role := range j.facts.Roles {
		j.facts.Roles[i].Status = either(role.Status, roleStatus(current, role))
	}
	return nil
}

// either is the status of what must be active by the statement and by now.
func either(stated, now string) string {
	if active(now) {
		return stated
	}
	return now
}

// roleStatus is that of a role, Inactive if there is none of that name that counts.
func roleStatus(s *Statement, wanted StatementRole) string {
	for _, role := range s.Roles {
		if role.Role == wanted.Role && (wanted.Domain == "" || role.Domain == wanted.Domain) && active(role.Status) {
			return role.Status
		}
	}
	return "Inactive"
}

// checkStanding wants organisation and software to be admitted now, in a role that
// lets the software register.
func (j *judgement) checkStanding(context.Context) error {
	s := j.facts
	if s == nil {
		return nil
	}
	switch {
	case s.SoftwareID == "":
		return j.fail("software_id", "the id of the software", "none", "fetch another statement",
			oauth.InvalidSoftwareStatement("the software statement does not say which software it is of"))
	case s.OrgStatus == "" && j.rules.Statement.OrgStatus:
		return j.fail("organisation status", StatusActive, "none", "fetch another statement",
			oauth.InvalidSoftwareStatement("the software statement does not say the status of the organisation"))
	case s.OrgStatus != "" && !active(s.OrgStatus):
		return j.fail("organisation status", StatusActive, quote(s.OrgStatus), "have the directory make the organisation Active again",
			oauth.UnapprovedSoftwareStatement("the organisation is %s, not Active", quote(s.OrgStatus)))
	case s.Status != "" && !active(s.Status):
		return j.fail("software status", StatusActive, quote(s.Status), "have the directory make the software Active again",
			oauth.UnapprovedSoftwareStatement("the software is %s, not Active", quote(s.Status)))
	}
	j.event.Pass("organisation and software status", StatusActive, strings.Trim(s.OrgStatus+", "+s.Status, ", "))
	return j.checkRoles()
}

func (j *judgement) checkRoles() error {
	if j.rules.Scope.Roles == nil {
		return nil
	}
	var presented []string
	for _, role := range j.facts.Roles {
		if active(role.Status) && j.rules.Scope.Roles[role.Role] != "" {
			j.event.Pass("software roles", "an active role", oauth.Shown(role.Role))
			return nil
		}
		presented = append(presented, quote(role.Role)+" "+quote(role.Status))
	}
	return j.fail("software roles", "an active one of "+list(slices.Sorted(maps.Keys(j.rules.Scope.Roles))), list(presented), "have the directory make a role of the software active; one of the organisation is not enough",
		oauth.UnapprovedSoftwareStatement("the software has no active role in %s", j.rules.About))
}

// checkHolder wants the certificate to be that of the software, or of its
// organisation where certificates name no software: a statement is no secret.
func (j *judgement) checkHolder(context.Context) error {
	if j.facts == nil || j.Certificate == nil || j.statement == nil {
		return nil
	}
	if j.issuer.Directory != nil {
		if organisation, software, known := j.issuer.Directory.Holder(j.Certificate.Thumbprint); known {
			return j.checkRecorded(organisation, software)
		}
	}
	if len(j.rules.Holders) == 0 {
		return nil
	}
	var expected []string
	for _, holder := range j.rules.Holders {
		if holder.is(j.Certificate.Subject().Values, j.facts) {
			j.event.Pass("certificate holder", holder.of(j.facts), j.Certificate.SubjectText())
			return nil
		}
		expected = append(expected, holder.of(j.facts))
	}
	return j.fail("certificate holder", strings.Join(expected, "; or "), j.Certificate.SubjectText(), "register over a connection with the certificate of the software that the statement is of",
		oauth.UnapprovedSoftwareStatement("the client certificate is not one of the software that the statement is of"))
}

// checkRecorded goes by whose the certificate is in the directory.
func (j *judgement) checkRecorded(organisation, software string) error {
	expected, presented := "software "+j.facts.SoftwareID, "software "+software
	same := sameID(software, j.facts.SoftwareID)
	if software == "" {
		expected, presented = "organisation "+j.facts.OrgID, "organisation "+organisation
		same = sameID(organisation, j.facts.OrgID)
	}
	if same {
		j.event.Pass("certificate holder", expected, presented)
		return nil
	}
	return j.fail("certificate holder", expected, presented, "register over a connection with the certificate of the software that the statement is of",
		oauth.UnapprovedSoftwareStatement("the client certificate is not one of the software that the statement is of"))
}

// is reports whether a subject states, line by line, what the statement says.
func (h Holder) is(values func(attribute string) []string, s *Statement) bool {
	for _, line := range h {
		if !line.is(values(line.Attribute), s) {
			return false
		}
	}
	return true
}

func (l *HolderLine) is(values []string, s *Statement) bool {
	same := l.same
	if same == nil {
		same = sameID
	}
	for _, value := range values {
		stated, prefixed := strings.CutPrefix(value, l.Prefix)
		for _, fact := range l.fact(s) {
			if prefixed && same(stated, fact) {
				return true
			}
		}
	}
	return false
}

// of says what a certificate of the software has in its subject.
func (h Holder) of(s *Statement) string {
	lines := make([]string, len(h))
	for i := range h {
		facts := h[i].fact(s)
		for k := range facts {
			facts[k] = h[i].Prefix + oauth.Shown(facts[k])
		}
		lines[i] = h[i].Attribute + "=" + strings.Join(facts, " or ") + " (" + h[i].Claim + ")"
	}
	return strings.Join(lines, " and ")
}

// uuidBytes is how long a UUID is.
const uuidBytes = 36

// sameID compares ids as they are written, but for UUIDs, which are the same in
// either case (RFC 9562 section 4): the ids of UK Open Banking have letters in both.
func sameID(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	return a == b || len(a) == uuidBytes && strings.Count(a, "-") == 4 && strings.EqualFold(a, b)
}

// samePSD2 compares an organizationIdentifier (ETSI TS 119 495 section 5.2.1:
// PSDGB-FCA-123456) with authority, country and number in a statement (FCAGBR,
// 123456).
func samePSD2(identifier, registration string) bool {
	identifier, psd := strings.CutPrefix(identifier, "PSD")
	country, rest, _ := strings.Cut(identifier, "-")
	authority, number, complete := strings.Cut(rest, "-")
	code, registered, _ := strings.Cut(registration, "-")
	return psd && complete && len(country) == 2 && authority != "" && number != "" &&
		number == registered && strings.HasPrefix(code, authority+country)
}

// CheckHolder wants the certificate that somebody manages a registration with to be
// that of its software, as when it was registered. A certificate is verified
// already; registrations without a statement, or by rules that want none, have none
// to compare. Refusals are 401 (RFC 7592 section 2.1).
func (r *Registrar) CheckHolder(client *Client, statement string, proposal Proposal, event *oauth.Event) error {
	rules, known := FindEcosystem(client.Metadata.Ecosystem)
	if !known {
		return nil
	}
	j := &judgement{Registrar: r, Proposal: &proposal, event: event, rules: rules}
	if err := j.checkCertificate(context.Background()); err != nil || statement == "" || proposal.Certificate == nil {
		return err
	}
	at := slices.IndexFunc(r.config.Issuers, func(issuer *TrustedIssuer) bool {
		return issuer.Name == client.Metadata.SoftwareStatementIssuer && issuer.Ecosystem == rules
	})
	if at < 0 {
		return nil // trusted no more: its statements cannot be updated either
	}
	var err error
	j.issuer = r.config.Issuers[at]
	if j.statement, err = readSigned(statement); err == nil {
		j.facts, err = rules.dialect().facts(j.statement.claims)
	}
	if err != nil {
		return fmt.Errorf("stored software statement of %s: %w", client.ID, err)
	}
	if j.checkHolder(context.Background()) != nil { // the event says what was expected
		return oauth.InvalidToken("the client certificate is not one of the software that the registration is of")
	}
	return nil
}
