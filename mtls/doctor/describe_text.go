package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
)

// WriteText prints the description for people.
func (d Description) WriteText(w io.Writer) error {
	t := &table{}
	t.row("subject, RFC 4514", d.Subject.RFC4514)
	t.row("  short names", d.Subject.ShortNames)
	t.row("  OIDs", d.Subject.OIDs)
	t.row("  Brazil", d.Subject.Brazil)
	t.row("  OpenSSL", d.Subject.OpenSSL)
	t.row("  Java", d.Subject.Java)
	t.row("issuer", d.Issuer.RFC4514)
	t.row("serial", d.Serial)
	t.row("valid", fmt.Sprintf("%s to %s, %s", d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339), d.validity))
	t.row("key", d.Key+", signed with "+d.Signature)
	t.row("key usage", orNone(d.KeyUsage))
	t.row("extended key usage", orNone(d.ExtKeyUsage))
	t.row("SAN DNS", d.AltNames.DNS...)
	t.row("SAN URI", d.AltNames.URI...)
	t.row("SAN IP", d.AltNames.IP...)
	t.row("SAN email", d.AltNames.Email...)
	t.row("SAN other", d.AltNames.Other...)
	for _, line := range d.QCStatements.Lines() {
		t.row(line[0], line[1])
	}
	if d.problem != "" {
		t.row("QC statements", d.problem)
	}
	t.row("x5t#S256", d.Thumbprint)
	t.row("further certificates", fmt.Sprintf("%d in this file", d.Further))
	switch {
	case d.SelfSigned:
		t.row("note", "self-signed: register its key with x5c in jwks for self_signed_tls_client_auth")
	case d.CA:
		t.row("note", "this is a CA certificate, not a client's")
	}

	var b strings.Builder
	t.write(&b)
	if len(d.Register) > 0 {
		b.WriteString("\nRegister exactly one (RFC 8705 section 2.1.2):\n")
		for _, r := range d.Register {
			fmt.Fprintf(&b, "  %q: %s\n", r.Member, jsonString(r.Value))
		}
	}
	if d.Match != nil {
		d.Match.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (m Match) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nRegistered: %s\n", plain(m.Registered))
	if m.Problem != "" {
		fmt.Fprintf(b, "  no match: %s\n", plain(m.Problem))
		return
	}
	fmt.Fprintf(b, "  strict:     %s\n  any_order:  %s\n  brazil:     %s\n", verdict(m.Strict), verdict(m.AnyOrder), verdict(m.Brazil))
	if m.BrazilProblem != "" {
		fmt.Fprintf(b, "              %s\n", plain(m.BrazilProblem))
	}
	if !m.Strict {
		fmt.Fprintf(b, "  first difference: RDN %d, registered %q, presented %q\n", m.RDN, m.Expected, m.Presented)
	}
}

func verdict(matches bool) string {
	if matches {
		return "matches"
	}
	return "does not match"
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// jsonString quotes a value for pasting into JSON: <, > and & stay readable,
// and what a terminal would obey is escaped.
func jsonString(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(s) != nil {
		return `""`
	}
	var quoted strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if unicode.IsPrint(r) {
			quoted.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&quoted, "\\u%04x", unit)
		}
	}
	return quoted.String()
}

// table aligns labels and values.
type table struct{ rows [][2]string }

// row adds a label with its values below each other, or nothing.
func (t *table) row(label string, values ...string) {
	for i, value := range values {
		if i > 0 {
			label = ""
		}
		t.rows = append(t.rows, [2]string{label, value})
	}
}

func (t *table) write(b *strings.Builder) {
	width := 0
	for _, r := range t.rows {
		width = max(width, len(r[0]))
	}
	for _, r := range t.rows {
		fmt.Fprintf(b, "%-*s  %s\n", width, r[0], plain(r[1]))
	}
}
