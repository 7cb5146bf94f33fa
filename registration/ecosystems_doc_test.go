package registration

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what fapid does into docs/ecosystems.md anew")

const document = "../docs/ecosystems.md"

// topics are what the tables of the document are about, in their order.
var topics = []struct {
	name string
	says func(*Ecosystem) string
}{
	{"statement", saysStatement},
	{"freshness", saysFreshness},
	{"request", saysRequest},
	{"its claims", saysClaims},
	{"client certificate", saysCertificate},
	{"status and roles", saysStanding},
	{"scope", saysScope},
	{"redirect_uris", func(e *Ecosystem) string { return saysMember(e, "redirect_uris") }},
	{"keys", saysKeys},
	{"other members", saysMembers},
	{"required members", saysRequired},
	{"authentication", saysMethods},
	{"registered again", saysDuplicates},
	{"management", saysManagement},
	{"answer", saysAnswer},
}

func saysStatement(e *Ecosystem) string {
	if e.Statement.From == FromCertificate {
		return "none; the directory in this process is asked whose the certificate is"
	}
	text := "required"
	if e.Statement.From == FromRequestOrNone {
		text = "optional"
	}
	text += "; " + strings.Join(e.Statement.Algs, " or ")
	if dialect := e.dialect(); dialect.Issuer != "" {
		text += "; `iss` " + dialect.Issuer + ", unless configured"
	}
	return text
}

func saysFreshness(e *Ecosystem) string {
	if e.Statement.From == FromCertificate {
		return "what the directory says now"
	}
	var says []string
	if e.Statement.MaxAge > 0 {
		says = append(says, "`iat` at most "+minutes(e.Statement.MaxAge)+" old ("+map[bool]string{true: "no longer one can be configured", false: "up to " + minutes(e.Statement.LongestAge) + " by configuration"}[e.Statement.LongestAge == e.Statement.MaxAge]+")")
	}
	says = append(says, map[bool]string{true: "`exp` required", false: "`exp` honoured"}[e.Statement.Expires])
	if e.Statement.ID {
		says = append(says, map[bool]string{true: "`jti` required, each once", false: "`jti` required"}[e.Statement.SingleUse])
	}
	return strings.Join(says, "; ")
}

func minutes(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

func saysRequest(e *Ecosystem) string {
	text := "`" + strings.Join(e.Request.MediaTypes, "` or `") + "`"
	if e.Signs() {
		text += ", signed by a key in the statement's key set, " + strings.Join(e.Request.Algs, " or ")
	}
	return text
}

func saysClaims(e *Ecosystem) string {
	if !e.Signs() {
		return "none"
	}
	exp := "`exp` required"
	if e.Request.MaxLifetime > 0 {
		exp += ", at most " + minutes(e.Request.MaxLifetime) + " ahead"
	}
	return "`iss` is the software_id; `aud` is the " + string(e.Request.Audience) + "; `iat` and " + exp + "; `jti` required, each once"
}

func saysCertificate(e *Ecosystem) string {
	if !e.Certificate {
		return "not required, and not compared"
	}
	if len(e.Holders) == 0 {
		return "required; the directory says whose it is"
	}
	var holders []string
	for _, holder := range e.Holders {
		var lines []string
		for _, line := range holder {
			lines = append(lines, line.Attribute+" = "+strings.TrimPrefix(line.Prefix+" + "+line.Claim, " + "))
		}
		holders = append(holders, strings.Join(lines, " and "))
	}
	return "required; " + strings.Join(holders, ", or ")
}

func saysStanding(e *Ecosystem) string {
	text := "a status that is stated must be Active, in any case"
	if e.Statement.OrgStatus {
		text = "the organisation's status required; it and the software's must be Active, in any case"
	}
	if e.Scope.Roles != nil {
		text += "; at least one active role of " + strings.Join(slices.Sorted(maps.Keys(e.Scope.Roles)), ", ")
	}
	if e.Statement.Role != "" {
		text += "; where the directory is in this process, an active role " + e.Statement.Role + " there"
	}
	return text
}

func saysScope(e *Ecosystem) string {
	beyond := map[bool]string{true: "what lies beyond is left out", false: "what lies beyond is refused"}[e.Scope.Drop]
	switch {
	case e.Scope.Stated:
		return "within the statement's scope; all of it when none is asked for; " + beyond
	case e.Scope.Roles == nil && e.AllStated:
		return "the statement's, if it has one, within the realm's; none when none is asked for; " + beyond
	case e.Scope.Roles == nil:
		return "within the realm's; none when none is asked for; " + beyond
	}
	var roles []string
	for _, role := range slices.Sorted(maps.Keys(e.Scope.Roles)) {
		roles = append(roles, role+": "+e.Scope.Roles[role])
	}
	return strings.Join(roles, "; ") + ". All of it that the realm has when none is asked for; " + beyond
}

func saysMember(e *Ecosystem, member string) string {
	for _, rule := range e.Members {
		if rule.Member != member {
			continue
		}
		text := string(rule.Precedence)
		switch rule.Precedence {
		case StatementWins:
			text = "the statement's, whatever is asked for"
		case MustAgree:
			text = "equal to the statement's, or left out"
		case MustAgreeOrOff:
			text = "equal to the statement's; off when left out"
		case PartOf:
			text = "some of the statement's; all when left out"
		}
		if slices.Contains(e.Required, member) {
			text = "required; some of the statement's"
		}
		if member == "redirect_uris" && e.PublicRedirects {
			text += "; https, not localhost"
		}
		if rule.Error != "" {
			text += "; else `" + rule.Error + "`"
		}
		return text
	}
	return "the software's own choice"
}

func saysKeys(e *Ecosystem) string {
	text := "`jwks_uri` " + saysMember(e, "jwks_uri")
	if e.InlineKeys {
		return text + "; `jwks` the statement's, or where it names neither the software's"
	}
	return text + "; `jwks` refused"
}

func saysMembers(e *Ecosystem) string {
	by := map[string][]string{}
	for _, rule := range e.Members {
		if rule.Member != "redirect_uris" && rule.Member != "jwks_uri" {
			says := saysMember(e, rule.Member)
			by[says] = append(by[says], rule.Member)
		}
	}
	var says []string
	for _, text := range slices.Sorted(maps.Keys(by)) {
		says = append(says, strings.Join(by[text], ", ")+": "+text)
	}
	if e.AllStated {
		says = append(says, "So is every other member that the statement names, but for what the operator decides")
	}
	return strings.Join(says, ". ")
}

func saysRequired(e *Ecosystem) string {
	all := slices.Clone(e.Required)
	if e.AssertionAlg {
		all = append(all, "token_endpoint_auth_signing_alg with private_key_jwt")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func saysMethods(e *Ecosystem) string {
	if len(e.AuthMethods) == 0 {
		return "as the policy has it"
	}
	text := strings.Join(e.AuthMethods, " or ")
	if len(e.CertificateNames) > 0 {
		text += "; the certificate by " + strings.Join(e.CertificateNames, " or ") + " alone"
	}
	if e.DNMatching != "" {
		text += "; `dn_matching` " + string(e.DNMatching) + ", whatever the policy has"
	}
	for _, older := range slices.Sorted(maps.Keys(e.Aliases)) {
		text += "; " + older + " is taken for " + e.Aliases[older]
	}
	return text
}

func saysDuplicates(e *Ecosystem) string {
	text := string(e.Duplicates.Do)
	if e.Duplicates.Error != "" {
		text += ", `" + e.Duplicates.Error + "`"
	}
	return text
}

func saysManagement(e *Ecosystem) string {
	text := string(e.Management.With)
	if e.Management.Scope != "" {
		text += " with scope `" + e.Management.Scope + "`"
	}
	if e.Management.With == RegistrationToken {
		text += map[bool]string{true: ", another after each update", false: ", always the same"}[e.Management.Rotated]
	}
	return text
}

func saysAnswer(e *Ecosystem) string {
	if e.Answer.Empty {
		return "nothing (204)"
	}
	text := "the metadata, and the statement as it came"
	if e.Answer.Flat {
		text += ", with its claims as members"
	}
	return text
}

var documentRow = regexp.MustCompile(`^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$`)

// The tables of docs/ecosystems.md say of fapid what its table of ecosystems says:
// each ecosystem has its section, each topic its line, and each demand a source.
func TestEcosystemsDocument(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	var e *Ecosystem
	seen := map[string][]string{}
	for i, line := range lines {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			e, _ = FindEcosystem(strings.Trim(title[strings.LastIndexByte(title, ' ')+1:], "`()"))
		}
		row := documentRow.FindStringSubmatch(line)
		if e == nil || row == nil || row[1] == "topic" {
			continue
		}
		seen[e.Name] = append(seen[e.Name], row[1])
		for _, topic := range topics {
			if topic.name != row[1] {
				continue
			}
			if want := topic.says(e); row[4] != want && !*update {
				t.Errorf("%s, line %d, %s: the document says\n%s\nand the table of ecosystems\n%s", document, i+1, topic.name, row[4], want)
			} else if *update {
				lines[i] = fmt.Sprintf("| %s | %s | %s | %s |", row[1], row[2], row[3], want)
			}
		}
	}
	var order []string
	for _, topic := range topics {
		order = append(order, topic.name)
	}
	for _, name := range Ecosystems() {
		if !slices.Equal(seen[name], order) {
			t.Errorf("%s: %s has lines for %q, want %q", document, name, seen[name], order)
		}
	}
	if *update {
		if err := os.WriteFile(document, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
