package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// aliasable are the endpoints at which a client authenticates or presents a
// bound token, so that each wants an alias (RFC 8705 section 5).
var aliasable = []struct{ member, short string }{
	{"token_endpoint", "token"},
	{"revocation_endpoint", "revocation"},
	{"introspection_endpoint", "introspection"},
	{"device_authorization_endpoint", "device authorization"},
	{"registration_endpoint", "registration"},
	{"userinfo_endpoint", "userinfo"},
	{"pushed_authorization_request_endpoint", "PAR"},
	{"backchannel_authentication_endpoint", "backchannel authentication"},
}

func (e *examination) judgeDocuments() []Finding {
	if e.documents == nil {
		return []Finding{{Name: "metadata", On: OnDiscovery, Status: Skip, Found: "the issuer's host did not answer"}}
	}
	f := Finding{
		Name: "metadata", On: OnDiscovery, Status: OK, blocking: true,
		Expected: "JSON at " + e.target.openIDURL() + " or " + e.target.oauthURL(),
	}
	var found []string
	for _, d := range e.documents {
		text := d.name + ": "
		if d.members != nil {
			text += fmt.Sprintf("%d members", len(d.members))
		} else {
			text += d.problem
		}
		found = append(found, text)
	}
	f.Found = strings.Join(found, "; ")
	alert := alertText(e.documents[0].answer.err)
	switch {
	case e.meta.members == nil && alert != "":
		f.Status, f.Fix = Fail, alertFix(alert)
		if e.probe.present == nil {
			f.Fix = "The issuer's host wants a certificate in TLS: give yours with --cert and --key. " +
				"Metadata should be readable without one."
		}
	case e.meta.members == nil:
		f.Status = Fail
		f.Fix = "Give the issuer's URL: no authorization server metadata is served there (OpenID Connect Discovery section 4, RFC 8414 section 3)."
	case e.meta.text("token_endpoint") == "":
		f.Status = Fail
		f.Fix = "Add token_endpoint to the metadata; without it this is no authorization server a client can use."
	default:
		e.judgeDocumentForm(&f)
	}
	return []Finding{f}
}

// judgeDocumentForm looks at what strict clients trip over: they refuse another
// content type, and read whichever document they know.
func (e *examination) judgeDocumentForm(f *Finding) {
	if media := mediaType(e.meta.answer.header); media != "application/json" {
		f.Status = Fail
		f.Found += fmt.Sprintf("; Content-Type %q", media)
		f.Fix = "Serve the metadata as application/json; client libraries refuse anything else."
		return
	}
	a, b := e.documents[0], e.documents[1]
	if a.members == nil || b.members == nil {
		return
	}
	for _, member := range append([]string{"issuer", "jwks_uri"}, aliasMembers()...) {
		if a.text(member) != b.text(member) || a.endpoint(member) != b.endpoint(member) {
			f.Status = Warn
			f.Found += "; they differ in " + member
			f.Fix = "Make both metadata documents say the same; clients read one or the other."
			return
		}
	}
}

func aliasMembers() []string {
	var members []string
	for _, endpoint := range aliasable {
		members = append(members, endpoint.member)
	}
	return members
}

// judgeIssuer: the issuer must be identical to the URL the metadata was found
// under (RFC 8414 section 3.3, OpenID Connect Discovery section 4.3).
func (e *examination) judgeIssuer() []Finding {
	f := Finding{
		Name: "issuer", On: OnDiscovery, Status: OK, Found: e.meta.text("issuer"),
		Expected: e.target.issuer, blocking: true,
	}
	switch {
	case e.meta.members == nil:
		return []Finding{{Name: "issuer", On: OnDiscovery, Status: Skip, Found: "no metadata"}}
	case f.Found == "":
		f.Status, f.Found = Fail, "no issuer"
		f.Fix = "Add issuer to the metadata."
	case f.Found == e.target.issuer:
	case strings.TrimRight(f.Found, "/") == e.target.issuer:
		f.Status, f.blocking = Warn, false
		f.Fix = fmt.Sprintf("Configure clients with %s, slash included; they compare the string exactly.", f.Found)
	default:
		f.Status = Fail
		f.Fix = fmt.Sprintf("Make the server's issuer %s, or use %s; clients stop when the two differ.",
			e.target.issuer, f.Found)
	}
	return []Finding{f}
}

func (e *examination) judgeAliases() []Finding {
	if e.meta.members == nil {
		return []Finding{{Name: "mTLS aliases", On: OnDiscovery, Status: Skip, Found: "no metadata"}}
	}
	return []Finding{e.judgeAliasPresence(), e.judgeAliasRules()}
}

// judgeAliasPresence says which endpoints have an alias and where. One that has
// none is used at its standard URL, with or without a certificate.
func (e *examination) judgeAliasPresence() Finding {
	f := Finding{
		Name: "mTLS aliases", On: OnDiscovery, Status: OK,
		Expected: "mtls_endpoint_aliases for every endpoint a client authenticates at or presents a bound token to (RFC 8705 section 5)",
	}
	aliases, _ := e.meta.aliases()
	byHost := make(map[string][]string)
	var order, missing []string
	for _, endpoint := range aliasable {
		alias := httpsURL(asText(aliases[endpoint.member]))
		switch {
		case alias != nil:
			addr := hostOf(alias).addr
			if byHost[addr] == nil {
				order = append(order, addr)
			}
			byHost[addr] = append(byHost[addr], endpoint.short)
		case e.meta.text(endpoint.member) != "":
			missing = append(missing, endpoint.short)
		}
	}
	var found []string
	for _, addr := range order {
		found = append(found, addr+": "+strings.Join(byHost[addr], ", "))
	}
	switch {
	case len(found) == 0 && !e.meta.announcesMTLS():
		f.Status, f.Found = Skip, "none, and no mTLS announced"
		return f
	case len(found) == 0:
		found = append(found, "none")
		f.Status = Warn
		f.Fix = "Add mtls_endpoint_aliases to the metadata."
	case len(missing) > 0:
		found = append(found, "without alias: "+strings.Join(missing, ", "))
	}
	f.Found = strings.Join(found, "; ")
	if len(missing) > 0 {
		f.Status = Warn
		f.Fix = fmt.Sprintf("Add %s to mtls_endpoint_aliases; until then clients send their certificate to the standard URL.",
			joinAnd(missing))
	}
	return f
}

// judgeAliasRules: the OpenID conformance suite refuses an alias that is no
// endpoint, one for the authorization endpoint, and one without its original.
func (e *examination) judgeAliasRules() Finding {
	f := Finding{
		Name: "mTLS alias rules", On: OnDiscovery, Status: OK, Found: "all well-formed",
		Expected: "https URLs under names ending in _endpoint that the metadata has too, not authorization_endpoint",
	}
	aliases, present := e.meta.aliases()
	switch {
	case !present:
		f.Status, f.Found = Skip, "no mtls_endpoint_aliases"
		return f
	case aliases == nil:
		f.Status, f.Found = Fail, "mtls_endpoint_aliases is not a JSON object"
		f.Fix = "Make mtls_endpoint_aliases an object of endpoint URLs (RFC 8705 section 5)."
		return f
	}
	var wrong []string
	for member, raw := range aliases {
		switch {
		case !strings.HasSuffix(member, "_endpoint"):
			wrong = append(wrong, member+" is no endpoint")
		case member == "authorization_endpoint":
			wrong = append(wrong, member+" is for browsers")
		case httpsURL(asText(raw)) == nil:
			wrong = append(wrong, member+" is not an https URL")
		case e.meta.members[member] == nil:
			wrong = append(wrong, member+" is not in the metadata itself")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		f.Status, f.Found = Fail, strings.Join(wrong, "; ")
		f.Fix = "Correct mtls_endpoint_aliases: " + f.Found + "."
	}
	return f
}
