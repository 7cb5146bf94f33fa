package directory

import (
	"slices"
	"strings"

	"github.com/fapid/fapid/registration"
)

// Holder tells whose a client certificate is; the software is empty for one of an
// organisation itself.
func (d *Directory) Holder(thumbprint string) (organisation, software string, known bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	k, known := d.keys.byID[d.byThumbprint[thumbprint]]
	if !known || k.Use != useTLS {
		return "", "", false
	}
	return k.OrganisationID, k.SoftwareID, true
}

// Facts are what the directory says of software now, whatever its status.
func (d *Directory) Facts(software string) (*registration.Statement, bool) {
	s, ok := find(d, &d.software, software)
	if !ok {
		return nil, false
	}
	o, ok := find(d, &d.organisations, s.OrganisationID)
	if !ok {
		return nil, false
	}
	dialect, ok := registration.FindDialect(d.config.Ecosystem)
	if !ok {
		return nil, false
	}
	facts := d.statement(o, s, dialect)
	return &facts, true
}

// inRole reports whether software is now in a role that is wanted: its own, and its
// organisation's. The caller holds the lock.
func (d *Directory) inRole(software *SoftwareStatement, wanted func(role string) bool) bool {
	organisation, ok := d.organisations.byID[software.OrganisationID]
	return ok && slices.ContainsFunc(software.Roles, func(role SoftwareRole) bool {
		return wanted(role.Role) && organisation.roleStatus(role) == statusActive
	})
}

// Ended tells which scopes a client has no more, because the roles that let its
// software have them are not active now. It is nil for a client that has none by a role.
func (d *Directory) Ended(client *registration.Client) func(scope string) bool {
	if client.Metadata.SoftwareStatementIssuer != registration.DirectoryIssuer {
		return nil
	}
	rules, known := registration.FindEcosystem(client.Metadata.Ecosystem)
	if !known || rules.Scope.Roles == nil {
		return nil
	}
	return func(scope string) bool {
		givers := rules.Givers(scope)
		if len(givers) == 0 {
			return false
		}
		d.mu.RLock()
		defer d.mu.RUnlock()
		software, ok := d.software.byID[client.Metadata.SoftwareID]
		return ok && !d.inRole(software, func(role string) bool { return slices.Contains(givers, role) })
	}
}

// StatementKeys find those that sign software statements.
func (d *Directory) StatementKeys() registration.FindKeys {
	return registration.LiveKeys(d.keyring.JWKS, d.config.AllowTestKeys)
}

// Document is a key set that the directory publishes, for readers in this process.
func (d *Directory) Document(uri string) ([]byte, bool) {
	path, ours := strings.CutPrefix(uri, d.config.URL+"/")
	if !ours {
		return nil, false
	}
	owner, set, _ := cutLast(path, "/")
	owner, ended := strings.CutSuffix(owner, inactive)
	transport := "/"+set == transportSet
	if !transport && "/"+set != applicationSet {
		return nil, false
	}
	organisation, software, _ := strings.Cut(owner, "/")
	body, err := d.keySet(organisation, software, transport, ended)
	return body, err == nil
}

// Version is another number when a key set that the directory publishes may be
// another: a record has changed, or a certificate was revoked. The end of a certificate
// does not count. It is 0 for what the directory does not publish.
func (d *Directory) Version(uri string) uint64 {
	if path, ours := strings.CutPrefix(uri, d.config.URL); !ours || !strings.HasPrefix(path, "/") {
		return 0
	}
	return 1 + d.changes.Load() + d.config.CA.Revocations()
}

func cutLast(text, sep string) (before, after string, found bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}
