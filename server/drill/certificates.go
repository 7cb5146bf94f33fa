package drill

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/fapid/fapid/mtls"
)

// row is one certificate of the drill: what is wrong with it, which check of a server
// refuses it, and how it is made.
type row struct {
	name, about string
	// refused is the check that refuses it; empty where it is accepted.
	refused string
	// ordered: the subject is refused only where the order of its RDNs counts.
	ordered bool
	make    func(*maker) (made, error)
}

// The name a client is registered by is one of five, and only that is looked at.
const (
	bySubject = "the registered subject"
	bySAN     = "the registered alternative name"
)

// certificates is the drill. Each row has one thing wrong with it; all else is what
// the participant's own certificate says, so that nothing else can be the reason.
var certificates = []row{
	{"good", "the participant's certificate, issued anew", "", false, (*maker).good},

	{"expired", "has ended", mtls.CheckValidity, false, (*maker).expired},
	{"not-yet-valid", "begins tomorrow", mtls.CheckValidity, false, with(func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(24 * time.Hour) })},

	{"eku-server", "extended key usage serverAuth alone: a server's certificate", mtls.CheckUsage, false, with(usage(x509.ExtKeyUsageServerAuth))},
	{"eku-code-signing", "extended key usage codeSigning alone", mtls.CheckUsage, false, with(usage(x509.ExtKeyUsageCodeSigning))},
	{"eku-none", "no extended key usage, which leaves the purpose open (RFC 5280 section 4.2.1.12)", "", false, with(usage())},
	{"ku-agreement", "key usage keyAgreement alone: the key may not sign, as TLS does with it", mtls.CheckUsage, false, with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })},
	{"ca-as-leaf", "a CA certificate (CA:TRUE) in the place of a client's", mtls.CheckUsage, false, with(func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	})},

	{"revoked", "revoked, as CRL and OCSP say", mtls.CheckRevocation, false, (*maker).revoked},

	{"other-ca", "from another CA of the same name, with the same subject", mtls.CheckChain, false, (*maker).otherCA},
	{"self-signed", "signed with its own key", mtls.CheckChain, false, (*maker).selfSigned},
	{"broken-signature", "one bit of the CA's signature is another", mtls.CheckChain, false, (*maker).brokenSignature},
	{"leaf-alone", "sent without the issuing CA, which the server knows", "", false, (*maker).leafAlone},
	{"missing-intermediate", "from an intermediate of the trusted root that the server does not know, sent without it", mtls.CheckChain, false, (*maker).missingIntermediate},
	{"intermediate-sent", "the same, sent with its intermediate", "", false, (*maker).intermediateSent},
	{"path-too-long", "below a CA that the issuing CA may not have below it (pathlen 0)", mtls.CheckChain, false, (*maker).pathTooLong},
	{"leaf-as-ca", "issued by a client's certificate, which is no CA", mtls.CheckChain, false, (*maker).leafAsCA},
	{"name-constraints", "from a CA that may not issue for its DNS name", mtls.CheckChain, false, (*maker).nameConstraints},
	{"critical-extension", "has a critical extension that nobody knows", mtls.CheckChain, false, (*maker).criticalExtension},

	{"rsa-1024", "RSA key of 1024 bits", mtls.CheckKey, false, (*maker).weakKey},
	{"sha-1", "signed by the CA with SHA-1", mtls.CheckKey, false, (*maker).sha1},

	{"dn-other", "another common name", bySubject, false, named(otherValue)},
	{"dn-reordered", "the same RDNs, the other way round", bySubject, true, named(reordered)},
	{"dn-multi-valued", "the last two RDNs joined to one with two attributes", bySubject, false, named(joined)},
	{"dn-shorter", "the first RDN left out", bySubject, false, named(shorter)},
	{"dn-unknown-attribute", "an attribute more, whose type only its OID names", bySubject, false, named(unknownAttribute)},
	{"dn-organization-identifier", "an organizationIdentifier more, which is written 2.5.4.97=#hex", bySubject, false, named(organizationIdentifier)},
	{"dn-homograph", "one letter from another alphabet that looks the same", bySubject, false, named(homograph)},
	{"dn-nul", "a NUL and more behind the name", bySubject, false, named(nul)},
	{"dn-string-types", "PrintableString, BMPString and TeletexString for UTF8String: the same name by RFC 4517", "", false, named(stringTypes)},
	{"dn-case-and-spaces", "other case, further spaces: the same name by RFC 4517", "", false, named(caseAndSpaces)},

	{"san-only", "the common name as alternative name, and another one in the subject", bySubject, false, (*maker).sanOnly},
	{"san-none", "no alternative name", bySAN, false, with(func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs = nil, nil, nil, nil })},
	{"san-other", "other alternative names", bySAN, false, with(func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs = []string{"other.example"}, nil, nil, nil
	})},
	{"san-wildcard", "a wildcard that covers the alternative name", bySAN, false, (*maker).wildcard},
}

// with makes a leaf that differs in its template.
func with(change func(*x509.Certificate)) func(*maker) (made, error) {
	return func(m *maker) (made, error) { return m.leaf(change) }
}

// named makes a leaf with a subject that differs.
func named(change func(mtls.Name) (mtls.Name, error)) func(*maker) (made, error) {
	return func(m *maker) (made, error) {
		subject, err := m.subject(change)
		if err != nil {
			return made{}, err
		}
		return m.leaf(func(c *x509.Certificate) { c.RawSubject = subject })
	}
}

func usage(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func otherValue(name mtls.Name) (mtls.Name, error) {
	return replaceLast(name, func(value string) string { return "other-" + value })
}

func reordered(name mtls.Name) (mtls.Name, error) {
	if len(name) < 2 {
		return nil, skip("its subject has one RDN, which has no order")
	}
	turned := slices.Clone(name)
	slices.Reverse(turned)
	return turned, nil
}

func joined(name mtls.Name) (mtls.Name, error) {
	last := len(name) - 1
	if last < 1 {
		return nil, skip("its subject has one RDN, and there is none to join with it")
	}
	return append(slices.Clone(name[:last-1]), slices.Concat(name[last-1], name[last])), nil
}

func shorter(name mtls.Name) (mtls.Name, error) {
	if len(name) < 2 {
		return nil, skip("its subject has one RDN, and without it none")
	}
	return name[1:], nil
}

func unknownAttribute(name mtls.Name) (mtls.Name, error) {
	return appendRDN(name, "1.3.6.1.4.1.99999.1=unknown")
}

func organizationIdentifier(name mtls.Name) (mtls.Name, error) {
	return appendRDN(name, "organizationIdentifier=PSDGB-FCA-999999")
}

// homograph takes a letter of the Cyrillic alphabet.
func homograph(name mtls.Name) (mtls.Name, error) {
	alike := strings.NewReplacer("a", "\u0430", "c", "\u0441", "e", "\u0435", "o", "\u043e", "p", "\u0440", "x", "\u0445", "s", "\u0455")
	changed := false
	twin, err := replaceLast(name, func(value string) string {
		other := alike.Replace(value)
		changed = other != value
		return other
	})
	if err == nil && !changed {
		return nil, skip("its common name has no letter with a twin in another alphabet")
	}
	return twin, err
}

func nul(name mtls.Name) (mtls.Name, error) {
	return replaceLast(name, func(value string) string { return value + "\x00.example" })
}

// caseAndSpaces changes what caseIgnoreMatch does not look at (RFC 4517 section
// 4.2.11).
func caseAndSpaces(name mtls.Name) (mtls.Name, error) {
	return eachText(name, func(value string) string {
		turned := strings.ToUpper(value)
		if turned == value {
			turned = strings.ToLower(value)
		}
		return " " + strings.ReplaceAll(turned, " ", "   ") + " "
	})
}
