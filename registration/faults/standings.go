package faults

import (
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// directory changes what the directory says now.
func directory(change func(*registration.Statement)) func(*Attempt) {
	return func(a *Attempt) { a.Directory = change }
}

// present makes an attempt with a certificate.
func present(c Certificate) func(*Attempt) {
	return func(a *Attempt) { a.Certificate = c }
}

// rolesIn are the ecosystems whose roles are in the claim.
func rolesIn(claim string) func(*registration.Ecosystem) bool {
	return func(e *registration.Ecosystem) bool {
		return stated(e) && e.Scope.Roles != nil && (e.Dialect == "uk") == (claim == "software_roles")
	}
}

// standings are statements of participants who are not admitted now.
var standings = []row{
	{where(func(e *registration.Ecosystem) bool { return e.Statement.OrgStatus }), Case{
		"organisation-revoked", "an organisation that is Revoked", unapproved, "organisation status", "OBIE Directory, org_status; Open Finance Brasil DCR 1.0 section 8.1",
		say("org_status", "Revoked"),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.OrgStatus }), Case{
		"organisation-withdrawn", "an organisation that is Withdrawn", unapproved, "organisation status", "OBIE Directory, org_status; Open Finance Brasil DCR 1.0 section 8.1",
		say("org_status", "Withdrawn"),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Statement.OrgStatus }), Case{
		"organisation-without-status", "no status of the organisation", invalid, "organisation status", "",
		say("org_status", nil),
	}},
	{named("brazil", "raidiam"), Case{
		"software-suspended", "software that is Suspended", unapproved, "software status", "",
		say("software_status", "Suspended"),
	}},
	{stated, Case{
		"software-without-id", "no software_id", invalid, "software_id", "",
		say("software_id", nil),
	}},
	{rolesIn("software_statement_roles"), Case{
		"role-inactive", "the only role is Inactive", unapproved, "software roles", brazil72,
		say("software_statement_roles", []registration.StatementRole{{Role: "DADOS", Domain: "Open Finance Brasil", Status: "Inactive"}}),
	}},
	{rolesIn("software_roles"), Case{
		"role-unknown", "no role that lets ask for anything", unapproved, "software roles", "OBIE DCR 3.3, data mapping: scope",
		say("software_roles", []string{"ASPSP"}),
	}},
	{stated, Case{
		"software-suspended-since", "the directory has suspended the software since", unapproved, "software status", "CDR Register, participant statuses",
		directory(func(s *registration.Statement) { s.Status = "Suspended" }),
	}},
	{stated, Case{
		"organisation-withdrawn-since", "the directory has withdrawn the organisation since", unapproved, "organisation status", "CDR Register, participant statuses",
		directory(func(s *registration.Statement) { s.OrgStatus = "Withdrawn" }),
	}},
	{func(e *registration.Ecosystem) bool {
		return stated(e) && (e.Scope.Roles != nil || e.Statement.Role != "")
	}, Case{
		"role-withdrawn-since", "the directory has made every role inactive since", unapproved, "software roles", brazil72,
		directory(func(s *registration.Statement) { s.Roles = nil }),
	}},
	{stated, Case{
		"software-gone", "the directory has the software no more", unapproved, "software standing", "CDR Register, participant statuses",
		directory(func(s *registration.Statement) { s.SoftwareID = "" }),
	}},
}

// certificates are statements over the connection of somebody else.
var certificates = []row{
	{where(func(e *registration.Ecosystem) bool { return e.Certificate }), Case{
		"certificate-missing", "no client certificate", oauth.CodeInvalidClient, "client certificate", brazil71 + " (1); OBIE DCR 3.3, Authentication",
		present(NoCertificate),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Certificate }), Case{
		"certificate-of-other-software", "the certificate of other software of the organisation", unapproved, "certificate holder", brazil71 + " (13)",
		present(OtherSoftware),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Certificate }), Case{
		"certificate-of-other-organisation", "the certificate of another organisation", unapproved, "certificate holder", brazil71 + " (14)",
		present(OtherOrganisation),
	}},
	{where(func(e *registration.Ecosystem) bool { return e.Certificate }), Case{
		"statement-of-other-software", "the statement of other software", unapproved, "certificate holder", brazil71 + " (13)",
		ofOther,
	}},
}

// ofEcosystems are those of an ecosystem without statements: all it has to judge by
// is the certificate, and the directory.
var ofEcosystems = []row{
	{named("uae"), Case{
		"certificate-missing", "no client certificate", oauth.CodeInvalidClient, "client certificate", "Al Tareq, TPP registration",
		present(NoCertificate),
	}},
	{named("uae"), Case{
		"certificate-of-nobody", "a certificate that is of no software in the directory", oauth.CodeInvalidClient, "certificate holder", "Al Tareq, TPP registration",
		present(OtherOrganisation),
	}},
	{named("uae"), Case{
		"organisation-withdrawn", "an organisation that is Withdrawn", unapproved, "organisation status", "Al Tareq, TPP registration",
		directory(func(s *registration.Statement) { s.OrgStatus = "Withdrawn" }),
	}},
	{named("uae"), Case{
		"software-suspended", "software that is Suspended", unapproved, "software status", "Al Tareq, TPP registration",
		directory(func(s *registration.Statement) { s.Status = "Suspended" }),
	}},
	{named("uae"), Case{
		"role-missing", "software without an active role", unapproved, "software roles", "Al Tareq, TPP registration: roles",
		directory(func(s *registration.Statement) { s.Roles = nil }),
	}},
	{named("uae"), Case{
		"body-array", "an array instead of an empty object", metadata, "registration request", "",
		func(a *Attempt) { a.Body = []byte("[]") },
	}},
	{named("uae"), Case{
		"policy", "chooses its own security profile", metadata, "policy", "",
		func(a *Attempt) { a.Body = []byte(`{"policy":"unrestricted"}`) },
	}},
	{named("uae"), Case{
		"method-with-certificate", "tls_client_auth", metadata, "token_endpoint_auth_method", "Al Tareq, discovery",
		func(a *Attempt) { a.Body = []byte(`{"token_endpoint_auth_method":"tls_client_auth"}`) },
	}},
}
