package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// QCStatements are the statements of a qualified certificate (RFC 3739 section
// 3.2.6, ETSI EN 319 412-5): what it is good for in law, and which payment services
// its holder may provide.
type QCStatements struct {
	// Compliance claims that the certificate is qualified (QcCompliance).
	Compliance bool `json:"qc_compliance"`
	// Types say what for: QcWeb, QcSeal or QcSign, or the OID of another type.
	Types []string `json:"qc_types,omitempty"`
	PSD2  *PSD2    `json:"psd2,omitempty"`
	// Others are the OIDs of further statements, which are not read.
	Others []string `json:"others,omitempty"`
}

// The types of EN 319 412-5 section 4.2.3.
const (
	QcSign = "esign"
	QcSeal = "eseal"
	QcWeb  = "web"
)

// PSD2 is the statement of ETSI TS 119 495 section 5.1 on a payment service
// provider.
type PSD2 struct {
	// Roles are PSP_AS, PSP_PI, PSP_AI and PSP_IC, or the OIDs of others.
	Roles   []string `json:"roles"`
	NCAName string   `json:"nca_name"` // of the competent authority, "Financial Conduct Authority"
	NCAID   string   `json:"nca_id"`   // country and authority, "GB-FCA"
}

// PSD2Role is a role by its name and by its alias.
type PSD2Role struct {
	Name, Alias string
	oid         string
}

// PSD2Roles are the roles of TS 119 495 section 5.1, with the names that
// interfaces for payment initiation and account information know them by.
var PSD2Roles = []PSD2Role{
	{"PSP_AS", "ASPSP", "0.4.0.19495.1.1"},
	{"PSP_PI", "PISP", "0.4.0.19495.1.2"},
	{"PSP_AI", "AISP", "0.4.0.19495.1.3"},
	{"PSP_IC", "CBPII", "0.4.0.19495.1.4"},
}

var qcTypes = []struct{ name, oid string }{
	{QcSign, "0.4.0.1862.1.6.1"}, {QcSeal, "0.4.0.1862.1.6.2"}, {QcWeb, "0.4.0.1862.1.6.3"},
}

// OIDQCStatements is the extension of the statements.
var OIDQCStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}

const (
	oidQcCompliance = "0.4.0.1862.1.1"
	oidQcType       = "0.4.0.1862.1.6"
	oidQcPSD2       = "0.4.0.19495.2"
)

// maxStatements bounds each list of the extension.
const maxStatements = 32

// ParseQCStatements reads the statements of a certificate; nil if it has none.
func ParseQCStatements(c *x509.Certificate) (*QCStatements, error) {
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(OIDQCStatements) {
			continue
		}
		q := &QCStatements{}
		if err := q.parse(extension.Value); err != nil {
			return nil, fmt.Errorf("QC statements: %w", err)
		}
		return q, nil
	}
	return nil, nil
}

func (q *QCStatements) parse(der cryptobyte.String) error {
	var list cryptobyte.String
	if !der.ReadASN1(&list, cryptobyteasn1.SEQUENCE) || !der.Empty() {
		return errors.New("not one sequence")
	}
	for count := 0; !list.Empty(); count++ {
		var statement cryptobyte.String
		var oid asn1.ObjectIdentifier
		if count == maxStatements || !list.ReadASN1(&statement, cryptobyteasn1.SEQUENCE) || !statement.ReadASN1ObjectIdentifier(&oid) {
			return errors.New("malformed statement")
		}
		var err error
		switch oid.String() {
		case oidQcCompliance:
			q.Compliance = true
		case oidQcType:
			q.Types, err = readTypes(statement)
		case oidQcPSD2:
			q.PSD2, err = readPSD2(statement)
		default:
			q.Others = append(q.Others, oid.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readTypes(s cryptobyte.String) (types []string, err error) {
	var list cryptobyte.String
	if !s.ReadASN1(&list, cryptobyteasn1.SEQUENCE) {
		return nil, errors.New("malformed QcType")
	}
	for !list.Empty() {
		var oid asn1.ObjectIdentifier
		if len(types) == maxStatements || !list.ReadASN1ObjectIdentifier(&oid) {
			return nil, errors.New("malformed QcType")
		}
		name := oid.String()
		for _, t := range qcTypes {
			if t.oid == name {
				name = t.name
				break
			}
		}
		types = append(types, name)
	}
	return types, nil
}

func readPSD2(s cryptobyte.String) (*PSD2, error) {
	bad := errors.New("malformed PSD2 statement")
	var body, roles, name, id cryptobyte.String
	if !s.ReadASN1(&body, cryptobyteasn1.SEQUENCE) || !body.ReadASN1(&roles, cryptobyteasn1.SEQUENCE) ||
		!body.ReadASN1(&name, cryptobyteasn1.UTF8String) || !body.ReadASN1(&id, cryptobyteasn1.UTF8String) {
		return nil, bad
	}
	p := &PSD2{NCAName: string(name), NCAID: string(id)}
	for !roles.Empty() {
		var role cryptobyte.String
		var oid asn1.ObjectIdentifier
		if len(p.Roles) == maxStatements || !roles.ReadASN1(&role, cryptobyteasn1.SEQUENCE) || !role.ReadASN1ObjectIdentifier(&oid) {
			return nil, bad
		}
		p.Roles = append(p.Roles, roleOf(oid.String()))
	}
	return p, nil
}

// roleOf names a role by its OID, which counts; the name beside it is for people.
func roleOf(oid string) string {
	for _, role := range PSD2Roles {
		if role.oid == oid {
			return role.Name
		}
	}
	return oid
}

// DER encodes the value of the extension. Types and roles must be those named
// here.
func (q *QCStatements) DER() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if q.Compliance {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oidQcCompliance) })
		}
		if len(q.Types) > 0 {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addOID(b, oidQcType)
				b.AddASN1(cryptobyteasn1.SEQUENCE, q.addTypes)
			})
		}
		if q.PSD2 != nil {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addOID(b, oidQcPSD2)
				b.AddASN1(cryptobyteasn1.SEQUENCE, q.PSD2.add)
			})
		}
	})
	return b.Bytes()
}

func (q *QCStatements) addTypes(b *cryptobyte.Builder) {
	for _, name := range q.Types {
		i := slices.IndexFunc(qcTypes, func(t struct{ name, oid string }) bool { return t.name == name })
		if i < 0 {
			b.SetError(fmt.Errorf("no QcType %q", name))
			return
		}
		addOID(b, qcTypes[i].oid)
	}
}

func (p *PSD2) add(b *cryptobyte.Builder) {
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range p.Roles {
			known := false
			for _, role := range PSD2Roles {
				if known = role.Name == name; known {
					b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addOID(b, role.oid)
						addUTF8(b, role.Name)
					})
					break
				}
			}
			if !known {
				b.SetError(fmt.Errorf("no PSD2 role %q", name))
			}
		}
	})
	addUTF8(b, p.NCAName)
	addUTF8(b, p.NCAID)
}

func addOID(b *cryptobyte.Builder, dotted string) {
	oid, err := ParseOID(dotted)
	if err != nil {
		b.SetError(err)
		return
	}
	b.AddASN1ObjectIdentifier(oid)
}

func addUTF8(b *cryptobyte.Builder, text string) {
	b.AddASN1(cryptobyteasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

// Lines prints the statements for people, as labels and values; nothing of nil.
func (q *QCStatements) Lines() [][2]string {
	if q == nil {
		return nil
	}
	var lines [][2]string
	types := strings.Join(q.Types, ", ")
	if q.Compliance {
		types = strings.TrimPrefix(types+", QcCompliance", ", ")
	}
	if types != "" {
		lines = append(lines, [2]string{"QC statements", types})
	}
	if q.PSD2 != nil {
		lines = append(lines, [2]string{"PSD2 roles", strings.Join(q.PSD2.Roles, ", ")}, [2]string{"PSD2 authority", q.PSD2.NCAName + " (" + q.PSD2.NCAID + ")"})
	}
	if len(q.Others) > 0 {
		lines = append(lines, [2]string{"QC others", strings.Join(q.Others, ", ")})
	}
	return lines
}
