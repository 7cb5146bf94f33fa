package registration

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// checkReplaced holds an update against the client that it is of: the statement is
// about the same software, from the same issuer, by the same rules.
func (j *judgement) checkReplaced(context.Context) error {
	if j.Replaces == nil {
		return nil
	}
	before := &j.Replaces.Metadata
	if before.SoftwareStatementIssuer != "" && (before.SoftwareStatementIssuer != j.issuer.Name ||
		before.Ecosystem != j.rules.Name || !sameID(before.SoftwareID, j.facts.SoftwareID)) {
		return j.fail("software", before.SoftwareID+" by "+before.SoftwareStatementIssuer+" in "+before.Ecosystem,
			j.facts.SoftwareID+" by "+j.issuer.Name+" in "+j.rules.Name, "send a statement of the software that the client is registered for",
			oauth.UnapprovedSoftwareStatement("the software statement is of other software than the registration"))
	}
	raw, named := j.members["client_id"]
	if !named {
		return nil
	}
	var id string
	if err := oauth.DecodeString(raw, &id); err != nil || id != j.Replaces.ID {
		return j.fail("client_id", j.Replaces.ID, oauth.Shown(string(raw)), "send the client_id of the registration, or none (RFC 7592 section 2.2)",
			oauth.InvalidClientMetadata("client_id is not that of the registration"))
	}
	return nil
}

// takeMembers reads what the software wants to be registered with. What is not
// known is passed over (RFC 7591 section 2), unless it is a known member in
// another case, which somebody could take for that one.
func (j *judgement) takeMembers(context.Context) error {
	if err := j.renameMembers(); err != nil {
		return err
	}
	if err := j.overrule(); err != nil {
		return err
	}
	for _, name := range j.rules.Required {
		if _, present := j.members[name]; !present {
			return j.refuseMember(name, "a "+name, "none", "send it; "+j.rules.About+" requires it", "is missing")
		}
	}
	target := reflect.ValueOf(&j.metadata).Elem()
	var ignored []string
	for _, name := range slices.Sorted(maps.Keys(j.members)) {
		field, known := memberFields[name]
		switch {
		case passedOver(name):
		case isLocalized(name):
			if err := j.takeLocalized(name); err != nil {
				return err
			}
		case !known && otherCase(name) != "":
			near := otherCase(name)
			return j.refuseMember(near, near, quote(name), "write it as "+near, "is sent as %s", quote(name))
		case !known || name == memberLocalized || decides(name) == EcosystemDecides && !j.rules.settable(name):
			ignored = append(ignored, oauth.Shown(name))
		case name == "jwks" && !j.rules.InlineKeys:
			return j.refuseMember(name, "no keys by value", "jwks", "publish the keys in the directory", "is not accepted; the keys are where the software statement says")
		case !j.rules.settable(name):
			if err := j.checkOperators(name, j.members[name]); err != nil {
				return err
			}
		default:
			if err := decodeValue(j.members[name], target.Field(field).Addr().Interface()); err != nil {
				return j.refuseMember(name, "as RFC 7591 section 2 has it", err.Error(), "correct its type", "%s", err)
			}
		}
	}
	if len(ignored) > 0 {
		j.event.Pass("members passed over", "", list(ignored))
	}
	return nil
}

// overrule puts what the statement says in the place of what the request says, where
// the statement decides about every member that it names. What the operator decides no
// statement does.
func (j *judgement) overrule() error {
	if j.statement == nil || !j.rules.AllStated {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(j.statement.claims)) {
		if !j.stated(name) {
			continue
		}
		value := j.statement.claims[name]
		into := any(new(string)) // of a translation
		if field, known := memberFields[name]; known {
			into = reflect.New(reflect.TypeFor[Metadata]().Field(field).Type).Interface()
		}
		if err := decodeValue(value, into); err != nil {
			return j.fail("software statement "+oauth.Shown(name), "as RFC 7591 section 2 has it", err.Error(), "fetch another statement",
				oauth.InvalidSoftwareStatement("%s in the software statement %s", oauth.Shown(name), err))
		}
		maps.DeleteFunc(j.members, func(member string, sent stdjson.RawMessage) bool {
			overruled := member == name || sameTranslation(member, name)
			if overruled && !bytes.Equal(sent, value) {
				j.event.Pass(name, "the statement's: "+oauth.Shown(string(value)), oauth.Shown(string(sent)))
			}
			return overruled
		})
		j.members[name] = value
	}
	return nil
}

// stated reports whether the statement decides about a member because it names it. The
// rest of what it says is read as [Dialect] has it.
func (j *judgement) stated(name string) bool {
	if j.statement == nil || !j.rules.AllStated || name == memberLocalized {
		return false
	}
	_, said := j.statement.claims[name]
	ruled := slices.ContainsFunc(j.rules.Members, func(rule MemberRule) bool { return rule.Member == name })
	return said && !ruled && (isLocalized(name) || decides(name) == ClientDecides && memberRows[name] != nil)
}

// settable reports whether the software decides about a known member.
func (e *Ecosystem) settable(name string) bool {
	return decides(name) == ClientDecides ||
		slices.ContainsFunc(e.Members, func(rule MemberRule) bool { return rule.Member == name })
}

// refuseMember refuses the registration for one of its members.
func (j *judgement) refuseMember(member, expected, presented, advice, format string, args ...any) error {
	refusal := invalid(oauth.Shown(member), format, args...)
	for _, rule := range j.rules.Members {
		if rule.Member == member && rule.Error != "" {
			refusal = oauth.BadRegistration(rule.Error, "%s", oauth.AsError(refusal).Description)
		}
	}
	return j.fail(oauth.Shown(member), expected, presented, advice, oauth.AsError(refusal))
}

// renameMembers gives older names their new ones, and a scope as a list its form.
func (j *judgement) renameMembers() error {
	for older, name := range j.rules.Aliases {
		raw, present := j.members[older]
		if !present {
			continue
		}
		if _, both := j.members[name]; both {
			return j.refuseMember(older, name+" alone", "both", "send "+name, "is the older name of %s; send one of them", name)
		}
		delete(j.members, older)
		j.members[name] = raw
		j.event.Pass(older, name, "the older name")
	}
	raw := j.members["scope"]
	if oauth.JSONKind(raw) != "an array" {
		return nil
	}
	var scopes []string
	if err := oauth.DecodeStrings(raw, &scopes, maxListLength); err != nil {
		return j.refuseMember("scope", "a string", err.Error(), "send the scopes in one string, with spaces between", "%s", err)
	}
	text, err := stdjson.Marshal(strings.Join(scopes, " "))
	j.members["scope"] = text
	return err
}

// otherCase is the member that differs from name in case alone.
func otherCase(name string) string {
	for _, known := range memberNames {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// checkOperators lets a member that is the operator's come back as it was
// answered, and refuses it otherwise.
func (j *judgement) checkOperators(name string, raw stdjson.RawMessage) error {
	if j.Replaces != nil && name == "client_secret" {
		var secret string
		if oauth.DecodeString(raw, &secret) == nil && j.Replaces.CheckSecret(secret) {
			return nil // RFC 7592 section 2.2: the current one may be sent, no other
		}
		return j.refuseMember(name, "the client's own, or none", "another", "leave it out", "is not the one that was issued (RFC 7592 section 2.2)")
	}
	if j.Replaces != nil {
		var sent Metadata
		field := memberFields[name]
		into := reflect.ValueOf(&sent).Elem().Field(field)
		current := reflect.ValueOf(&j.Replaces.Metadata).Elem().Field(field)
		if decodeValue(raw, into.Addr().Interface()) == nil && reflect.DeepEqual(into.Interface(), current.Interface()) {
			return nil
		}
	}
	return j.refuseMember(name, "none", "one", "leave it out: the operator sets it", "cannot be set by registering")
}

// keepOperators carries over what the operator, or the registry, has set for the
// client.
func (e *Ecosystem) keepOperators(before, after *Metadata) {
	from, to := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for name, field := range memberFields {
		if !e.settable(name) {
			to.Field(field).Set(from.Field(field))
		}
	}
}
