// Package users holds the test users of a realm: who they are, by the SCIM core
// schema (RFC 7643 section 4.1), what they log in with, and their accounts at the
// sandbox's bank. It serves nothing itself.
package users

import (
	"reflect"
	"slices"
	"time"

	"github.com/fapid/fapid/registration"
)

// The schemas a user is described by (RFC 7643 sections 4.1 and 4.3).
const (
	CoreSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	EnterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// User is a person of the sandbox. Its tags are the only place that says which
// attributes there are: [Attributes] reads them, and from it come what is
// accepted, what SCIM shows and what can be searched.
//
// The scim tag has the characteristics that are not the usual ones (RFC 7643
// section 7): required, exact (case), unique, readOnly, writeOnly, always
// (returned), reference, binary; common is an attribute of every resource and of
// no schema, private one that SCIM does not know, lines one whose text may have several. The input tag names
// what is never written, the values tag has what the type of a value usually is.
type User struct {
	ID         string `json:"id,omitempty" scim:"common readOnly always exact unique" doc:"Identifier of the user, given by the server and never used again."`
	ExternalID string `json:"externalId,omitempty" scim:"common exact unique" doc:"Identifier of the user at the client that provisions it; one user of a realm has it."`
	UserName   string `json:"userName" scim:"required unique" doc:"What the user logs in with; one user of a realm has it, in whatever case."`
	Name       Name   `json:"name,omitzero" doc:"The parts of the user's name."`

	DisplayName       string              `json:"displayName,omitempty" doc:"Name to show."`
	NickName          string              `json:"nickName,omitempty" doc:"Casual name."`
	ProfileURL        string              `json:"profileUrl,omitempty" scim:"reference" doc:"Address of a page about the user."`
	Title             string              `json:"title,omitempty" doc:"Title, such as Vice President."`
	UserType          string              `json:"userType,omitempty" doc:"Relation to the organisation, such as Employee."`
	PreferredLanguage string              `json:"preferredLanguage,omitempty" doc:"Languages the user likes, as in Accept-Language."`
	Locale            string              `json:"locale,omitempty" doc:"Locale, such as en-GB."`
	Timezone          string              `json:"timezone,omitempty" doc:"Time zone by its IANA name, such as Europe/Zurich."`
	Active            Flag                `json:"active,omitzero" doc:"Whether the user may log in; true unless it is set."`
	Password          registration.Secret `json:"-" input:"password" scim:"writeOnly exact" doc:"Password; it is kept as a hash and never shown."`

	Emails           []Value   `json:"emails,omitempty" values:"work home other" doc:"Email addresses."`
	PhoneNumbers     []Value   `json:"phoneNumbers,omitempty" values:"work home mobile fax pager other" doc:"Telephone numbers."`
	IMs              []Value   `json:"ims,omitempty" values:"aim gtalk icq xmpp msn skype qq yahoo" doc:"Instant messaging addresses."`
	Photos           []Photo   `json:"photos,omitempty" values:"photo thumbnail" doc:"Addresses of pictures."`
	Addresses        []Address `json:"addresses,omitempty" values:"work home other" doc:"Postal addresses."`
	Entitlements     []Value   `json:"entitlements,omitempty" doc:"Entitlements."`
	Roles            []Value   `json:"roles,omitempty" doc:"Roles."`
	X509Certificates []Binary  `json:"x509Certificates,omitempty" doc:"Certificates, DER in base64."`

	Enterprise Enterprise `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitzero" doc:"What an organisation notes of the user."`

	// Accounts are the user's at the sandbox's bank.
	Accounts []Account `json:"accounts,omitempty" scim:"private" doc:"Accounts at the sandbox's bank."`

	Meta Meta `json:"meta,omitzero" scim:"common readOnly" doc:"What the server notes of the record."`

	number uint64 // in the order of creation
}

// Name is the name attribute.
type Name struct {
	Formatted       string `json:"formatted,omitempty" doc:"The whole name."`
	FamilyName      string `json:"familyName,omitempty" doc:"Family name."`
	GivenName       string `json:"givenName,omitempty" doc:"Given name."`
	MiddleName      string `json:"middleName,omitempty" doc:"Middle name."`
	HonorificPrefix string `json:"honorificPrefix,omitempty" doc:"Title before the name, such as Ms."`
	HonorificSuffix string `json:"honorificSuffix,omitempty" doc:"Title after the name, such as III."`
}

// Value is one value of a multi-valued attribute (RFC 7643 section 2.4).
type Value struct {
	Value   string `json:"value,omitempty" doc:"The value."`
	Display string `json:"display,omitempty" doc:"How to show it."`
	Type    string `json:"type,omitempty" doc:"What it is for."`
	Primary Flag   `json:"primary,omitzero" doc:"Whether it is the preferred one; one value is."`
}

// Photo is a value that is the address of a picture.
type Photo struct {
	Value   string `json:"value,omitempty" scim:"reference exact" doc:"Address of the picture."`
	Display string `json:"display,omitempty" doc:"How to show it."`
	Type    string `json:"type,omitempty" doc:"What it is for."`
	Primary Flag   `json:"primary,omitzero" doc:"Whether it is the preferred one; one value is."`
}

// Binary is a value in base64.
type Binary struct {
	Value   string `json:"value,omitempty" scim:"binary exact" doc:"The bytes in base64."`
	Display string `json:"display,omitempty" doc:"How to show it."`
	Type    string `json:"type,omitempty" doc:"What it is for."`
	Primary Flag   `json:"primary,omitzero" doc:"Whether it is the preferred one; one value is."`
}

// Address is a postal address.
type Address struct {
	Formatted     string `json:"formatted,omitempty" scim:"lines" doc:"The whole address; may have several lines."`
	StreetAddress string `json:"streetAddress,omitempty" scim:"lines" doc:"Street, house, floor; may have several lines."`
	Locality      string `json:"locality,omitempty" doc:"City or town."`
	Region        string `json:"region,omitempty" doc:"State or region."`
	PostalCode    string `json:"postalCode,omitempty" doc:"Postal code."`
	Country       string `json:"country,omitempty" doc:"Country by ISO 3166-1 alpha-2, such as GB."`
	Type          string `json:"type,omitempty" doc:"What it is for."`
	Primary       Flag   `json:"primary,omitzero" doc:"Whether it is the preferred one; one value is."`
}

// Enterprise is the enterprise extension (RFC 7643 section 4.3).
type Enterprise struct {
	EmployeeNumber string  `json:"employeeNumber,omitempty" doc:"Number of the employee."`
	CostCenter     string  `json:"costCenter,omitempty" doc:"Cost centre."`
	Organization   string  `json:"organization,omitempty" doc:"Organisation."`
	Division       string  `json:"division,omitempty" doc:"Division."`
	Department     string  `json:"department,omitempty" doc:"Department."`
	Manager        Manager `json:"manager,omitzero" doc:"The user's manager."`
}

// Manager points to another user.
type Manager struct {
	Value string `json:"value,omitempty" doc:"The id of the manager."`
	Ref   string `json:"$ref,omitempty" scim:"reference exact" doc:"The address of the manager's record."`
}

// Account is an account of a user. Amounts are decimal strings, as in the UK
// Account and Transaction API, whose shapes the bank follows.
type Account struct {
	ID           string        `json:"account_id" scim:"required exact unique" doc:"Identifier of the account; one account of a realm has it."`
	Currency     string        `json:"currency" doc:"Currency by ISO 4217."`
	Kind         string        `json:"kind" doc:"CurrentAccount or Savings."`
	Nickname     string        `json:"nickname" doc:"The user's name for it."`
	IBAN         string        `json:"iban" doc:"International account number."`
	Balance      string        `json:"balance" doc:"A decimal number as a string."`
	Transactions []Transaction `json:"transactions,omitempty" doc:"What was booked."`
}

// Transaction is one booked movement, credit or debit.
type Transaction struct {
	ID     string `json:"transaction_id" scim:"exact" doc:"Identifier of the movement."`
	Date   string `json:"date" doc:"When it was booked, RFC 3339."`
	Amount string `json:"amount" doc:"A decimal number as a string."`
	Credit Flag   `json:"credit,omitzero" doc:"Whether it came in; it went out otherwise."`
	Text   string `json:"text" doc:"What it was for."`
}

// Meta is what the server says of a record (RFC 7643 section 3.1).
type Meta struct {
	ResourceType string    `json:"resourceType" scim:"exact" doc:"User."`
	Created      time.Time `json:"created" doc:"When the user was created."`
	LastModified time.Time `json:"lastModified" doc:"When the user was last changed."`
	// Version is an entity tag, W/"3"; it changes with every change.
	Version string `json:"version" scim:"exact" doc:"Entity tag of the record."`
}

// FullName is what to call the user where one name is wanted.
func (u *User) FullName() string {
	for _, name := range []string{u.DisplayName, u.Name.Formatted} {
		if name != "" {
			return name
		}
	}
	return u.UserName
}

// clone shares no list with the original.
func (u *User) clone() *User {
	c := *u
	value := reflect.ValueOf(&c).Elem()
	for i := range value.NumField() {
		if field := value.Field(i); field.Kind() == reflect.Slice && !field.IsNil() {
			own := reflect.MakeSlice(field.Type(), field.Len(), field.Len())
			reflect.Copy(own, field)
			field.Set(own)
		}
	}
	for i := range c.Accounts {
		c.Accounts[i].Transactions = slices.Clone(c.Accounts[i].Transactions)
	}
	return &c
}
