package registration

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/fapid/fapid/oauth"
)

// Dialect is how an ecosystem writes software statements: the names and shapes of
// their claims. One table serves those who issue them and those who verify them.
type Dialect struct {
	Name  string
	About string
	// Issuer is the iss that the ecosystem's directory has; empty is the
	// directory's URL.
	Issuer string
	// Algs are the JWS algorithms the ecosystem takes; the first is the usual one.
	Algs []string
	// Lifetime is how far exp lies after iat; 0 leaves exp out.
	Lifetime time.Duration
	// Unique statements have a jti.
	Unique bool
	// Scope is what the ecosystem's statements let software ask for; empty where
	// its roles say that.
	Scope string

	claims []claim
}

// claim is a row of a dialect: what a claim is called and which fact it holds.
type claim struct {
	name string
	fact fact
}

// fact is something a statement says, in the shape that a claim has it.
type fact interface {
	// write gives the claim's value; nil leaves the claim out.
	write(*Statement) any
	// read takes the fact from a claim's value.
	read(*Statement, stdjson.RawMessage) error
}

// Dialects lists the names of the ecosystems, the default first.
func Dialects() []string {
	names := make([]string, len(dialects))
	for i := range dialects {
		names[i] = dialects[i].Name
	}
	return names
}

// FindDialect returns a dialect by name.
func FindDialect(name string) (*Dialect, bool) {
	i := slices.IndexFunc(dialects, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return nil, false
	}
	return &dialects[i], true
}

// Claims are the claims of a statement in the dialect.
func (d *Dialect) Claims(s *Statement) map[string]any {
	all := make(map[string]any, len(d.claims)+len(envelope))
	for _, rows := range [][]claim{envelope, d.claims} {
		for _, row := range rows {
			if value := row.fact.write(s); value != nil {
				all[row.name] = value
			}
		}
	}
	return all
}

// Read takes the facts from the claims of a statement, whose signature is the
// caller's business. Claims the dialect does not know are passed over; a known one
// of another shape is an error that names it, and so is a claim that is there twice.
func (d *Dialect) Read(payload []byte) (*Statement, error) {
	all, err := readClaims(payload)
	if err != nil {
		return nil, err
	}
	return d.facts(all)
}

// readClaims takes the claims of a JWT apart.
func readClaims(payload []byte) (all map[string]stdjson.RawMessage, err error) {
	if !utf8.Valid(payload) {
		return nil, fmt.Errorf("the claims are not valid UTF-8")
	}
	switch err := json.Unmarshal(payload, &all); {
	case err != nil:
		return nil, fmt.Errorf("not a JSON object with each member once: %s", oauth.JSONText(err))
	case all == nil:
		return nil, errors.New("not a JSON object, but null")
	}
	return all, nil
}

// facts is Read for claims that have been taken apart.
func (d *Dialect) facts(all map[string]stdjson.RawMessage) (*Statement, error) {
	s := &Statement{}
	for _, rows := range [][]claim{envelope, d.claims} {
		for _, row := range rows {
			value, given := all[row.name]
			if !given {
				continue
			}
			if err := row.fact.read(s, value); err != nil {
				return nil, fmt.Errorf("%s %w", row.name, err)
			}
		}
	}
	return s, nil
}

// text is a fact that is one string. Versions come as numbers, too.
type text func(*Statement) *string

func (t text) write(s *Statement) any {
	if value := *t(s); value != "" {
		return value
	}
	return nil
}

func (t text) read(s *Statement, raw stdjson.RawMessage) error {
	if oauth.JSONKind(raw) == "a number" {
		*t(s) = string(raw)
		return nil
	}
	return oauth.DecodeString(raw, t(s))
}

// texts is a fact that is a list of strings.
type texts func(*Statement) *[]string

func (t texts) write(s *Statement) any {
	if values := *t(s); len(values) > 0 {
		return values
	}
	return nil
}

func (t texts) read(s *Statement, raw stdjson.RawMessage) error {
	return oauth.DecodeStrings(raw, t(s), maxListLength)
}

// seconds is a time, in seconds since 1970; zero is left out.
type seconds func(*Statement) *int64

func (t seconds) write(s *Statement) any {
	if value := *t(s); value != 0 {
		return value
	}
	return nil
}

func (t seconds) read(s *Statement, raw stdjson.RawMessage) error { return decodeSeconds(raw, t(s)) }

// older is a fact under the name that it had before: read where the new one is not
// there, never written.
type older struct{ text }

func (older) write(*Statement) any { return nil }

func (o older) read(s *Statement, raw stdjson.RawMessage) error {
	if *o.text(s) != "" {
		return nil
	}
	return o.text.read(s, raw)
}

// repeated is a fact that another claim says, too: written, but read there.
type repeated struct{ text }

func (repeated) read(*Statement, stdjson.RawMessage) error { return nil }

// fixed is what every statement of an ecosystem says; it tells a reader nothing.
type fixed struct{ value any }

func (f fixed) write(*Statement) any                        { return f.value }
func (fixed) read(_ *Statement, _ stdjson.RawMessage) error { return nil }

// roleNames are the roles the software may act in now, by name.
type roleNames struct{}

func (roleNames) write(s *Statement) any {
	names := []string{}
	for _, role := range s.Roles {
		if role.Status == StatusActive && !slices.Contains(names, role.Role) {
			names = append(names, role.Role)
		}
	}
	return names
}

// read leaves alone what the claim with all there is about roles has said.
func (roleNames) read(s *Statement, raw stdjson.RawMessage) error {
	var names []string
	if err := oauth.DecodeStrings(raw, &names, maxListLength); err != nil || s.Roles != nil {
		return err
	}
	for _, name := range names {
		s.Roles = append(s.Roles, StatementRole{Role: name, Status: StatusActive})
	}
	return nil
}

// roleList are all roles of the software, with domain and status.
type roleList struct{}

func (roleList) write(s *Statement) any { return notNil(s.Roles) }

func (roleList) read(s *Statement, raw stdjson.RawMessage) error { return decodeList(raw, &s.Roles) }

// authorityList has an object for each role that an authority admitted the
// organisation to.
type authorityList struct{}

func (authorityList) write(s *Statement) any {
	list := notNil(slices.Clone(s.Authorities))
	for i := range list {
		list[i].Authorisations = notNil(list[i].Authorisations)
	}
	return list
}

func (authorityList) read(s *Statement, raw stdjson.RawMessage) error {
	return decodeList(raw, &s.Authorities)
}

// authorityObject has the one authority of the organisation, and the roles by
// country: the shape of the UK.
type authorityObject struct{}

type (
	soleAuthority struct {
		AuthorityID    string             `json:"authority_id"`
		RegistrationID string             `json:"registration_id"`
		Status         string             `json:"status"`
		Authorisations []rolesInOneMember `json:"authorisations"`
	}
	rolesInOneMember struct {
		MemberState string   `json:"member_state"`
		Roles       []string `json:"roles"`
	}
)

func (authorityObject) write(s *Statement) any {
	if len(s.Authorities) == 0 {
		return nil
	}
	first := s.Authorities[0]
	sole := soleAuthority{AuthorityID: first.AuthorityCode, RegistrationID: first.RegistrationID, Status: first.Status}
	for _, admitted := range s.Authorities {
		if admitted.AuthorityCode != first.AuthorityCode || admitted.Status != StatusActive {
			continue
		}
		if len(admitted.Authorisations) == 0 && admitted.Country != "" {
			sole.add(admitted.Country, admitted.Role) // at home
		}
		for _, country := range admitted.Authorisations {
			if country.Status == StatusActive {
				sole.add(country.MemberState, admitted.Role)
			}
		}
	}
	sole.Authorisations = notNil(sole.Authorisations)
	return sole
}

func (a *soleAuthority) add(country, role string) {
	for i := range a.Authorisations {
		if a.Authorisations[i].MemberState == country {
			a.Authorisations[i].Roles = append(a.Authorisations[i].Roles, role)
			return
		}
	}
	a.Authorisations = append(a.Authorisations, rolesInOneMember{country, []string{role}})
}

func (authorityObject) read(s *Statement, raw stdjson.RawMessage) error {
	if kind := oauth.JSONKind(raw); kind != "an object" {
		return fmt.Errorf("must be an object, not %s", kind)
	}
	var sole soleAuthority
	if err := json.Unmarshal(raw, &sole); err != nil {
		return fmt.Errorf("is not as it should be: %s", oauth.JSONText(err))
	}
	before := len(s.Authorities)
	for _, country := range sole.Authorisations {
		for _, role := range country.Roles {
			s.admit(&sole, country.MemberState, role)
		}
	}
	if len(s.Authorities) == before { // admitted to no role, and known by its number still
		s.Authorities = append(s.Authorities, StatementAuthority{AuthorityCode: sole.AuthorityID, RegistrationID: sole.RegistrationID, Status: sole.Status})
	}
	return nil
}

// admit notes that an authority admitted the organisation to a role in a country.
func (s *Statement) admit(by *soleAuthority, country, role string) {
	in := StatementAuthorisation{MemberState: country, Status: by.Status}
	for i := range s.Authorities {
		if s.Authorities[i].Role == role {
			s.Authorities[i].Authorisations = append(s.Authorities[i].Authorisations, in)
			return
		}
	}
	s.Authorities = append(s.Authorities, StatementAuthority{
		AuthorityCode: by.AuthorityID, RegistrationID: by.RegistrationID, Status: by.Status,
		Role: role, Authorisations: []StatementAuthorisation{in},
	})
}

func decodeList[T any](raw stdjson.RawMessage, into *[]T) error {
	if kind := oauth.JSONKind(raw); kind != "an array" {
		return fmt.Errorf("must be an array of objects, not %s", kind)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("is not as it should be: %s", oauth.JSONText(err))
	}
	if len(*into) > maxListLength {
		return fmt.Errorf("has %d entries, more than %d", len(*into), maxListLength)
	}
	return nil
}

// notNil makes an empty list of none, which JSON would write as null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
