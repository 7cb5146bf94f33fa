package mtls

import (
	"encoding/asn1"
	"strings"
)

// attributeType is one row of the attribute types known by name.
type attributeType struct {
	oid        string
	descriptor string // RFC 4514 section 3 name; empty outside the nine
	short      string // what OpenSSL prints
	aliases    string // other spellings seen in registrations, space-separated
	tag        int    // string type of a value given as text
}

// attributeTypes: the nine descriptors of RFC 4514 section 3, then the types
// found in open-banking subjects under the names that OpenSSL, Java and
// Microsoft tools print. The string type is the one X.520 and PKCS #9 name;
// DirectoryStrings are UTF8String as RFC 5280 section 4.1.2.4 asks.
var attributeTypes = []attributeType{
	{"2.5.4.3", "CN", "CN", "commonName", asn1.TagUTF8String},
	{"2.5.4.7", "L", "L", "localityName", asn1.TagUTF8String},
	{"2.5.4.8", "ST", "ST", "stateOrProvinceName S", asn1.TagUTF8String},
	{"2.5.4.10", "O", "O", "organizationName", asn1.TagUTF8String},
	{"2.5.4.11", "OU", "OU", "organizationalUnitName", asn1.TagUTF8String},
	{"2.5.4.6", "C", "C", "countryName", asn1.TagPrintableString},
	{"2.5.4.9", "STREET", "street", "streetAddress", asn1.TagUTF8String},
	{"0.9.2342.19200300.100.1.25", "DC", "DC", "domainComponent", asn1.TagIA5String},
	{"0.9.2342.19200300.100.1.1", "UID", "UID", "userId", asn1.TagUTF8String},

	{"2.5.4.4", "", "SN", "surname", asn1.TagUTF8String},
	{"2.5.4.5", "", "serialNumber", "", asn1.TagPrintableString},
	{"2.5.4.12", "", "title", "T", asn1.TagUTF8String},
	{"2.5.4.13", "", "description", "", asn1.TagUTF8String},
	{"2.5.4.15", "", "businessCategory", "", asn1.TagUTF8String},
	{"2.5.4.16", "", "postalAddress", "", asn1.TagUTF8String},
	{"2.5.4.17", "", "postalCode", "", asn1.TagUTF8String},
	{"2.5.4.18", "", "postOfficeBox", "", asn1.TagUTF8String},
	{"2.5.4.20", "", "telephoneNumber", "", asn1.TagPrintableString},
	{"2.5.4.41", "", "name", "", asn1.TagUTF8String},
	{"2.5.4.42", "", "GN", "givenName G", asn1.TagUTF8String},
	{"2.5.4.43", "", "initials", "", asn1.TagUTF8String},
	{"2.5.4.44", "", "generationQualifier", "GENERATION", asn1.TagUTF8String},
	{"2.5.4.46", "", "dnQualifier", "DNQ", asn1.TagPrintableString},
	{"2.5.4.65", "", "pseudonym", "", asn1.TagUTF8String},
	{"2.5.4.97", "", "organizationIdentifier", "orgId", asn1.TagUTF8String},
	{"1.2.840.113549.1.9.1", "", "emailAddress", "E email", asn1.TagIA5String},
	{"1.2.840.113549.1.9.2", "", "unstructuredName", "", asn1.TagUTF8String},
	{"1.3.6.1.4.1.311.60.2.1.1", "", "jurisdictionL", "jurisdictionLocalityName jurisdictionOfIncorporationLocalityName", asn1.TagUTF8String},
	{"1.3.6.1.4.1.311.60.2.1.2", "", "jurisdictionST", "jurisdictionStateOrProvinceName jurisdictionOfIncorporationStateOrProvinceName", asn1.TagUTF8String},
	{"1.3.6.1.4.1.311.60.2.1.3", "", "jurisdictionC", "jurisdictionCountryName jurisdictionOfIncorporationCountryName", asn1.TagPrintableString},
}

// Both indexes point into attributeTypes and never change.
var (
	typesByOID  = make(map[string]*attributeType)
	typesByName = make(map[string]*attributeType) // lower case
)

func init() {
	for i := range attributeTypes {
		t := &attributeTypes[i]
		typesByOID[t.oid] = t
		for _, name := range append(strings.Fields(t.aliases), t.short) {
			typesByName[strings.ToLower(name)] = t
		}
	}
}
