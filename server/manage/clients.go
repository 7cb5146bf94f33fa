package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// clients are the registrations of a realm's clients (RFC 7591 metadata and
// fapid's own members). The secret goes in and never comes out again.
var clients = resource{"clients", []route{
	{method: http.MethodGet, path: "/clients", label: "clients", scope: readScope("clients"), serve: registrations.list},
	{method: http.MethodPost, path: "/clients", label: "clients", scope: writeScope("clients"), serve: registrations.create},
	{method: http.MethodGet, path: "/clients" + itemPath, label: "client", scope: readScope("clients"), serve: registrations.show},
	{method: http.MethodPut, path: "/clients" + itemPath, label: "client", scope: writeScope("clients"), serve: registrations.put},
	{method: http.MethodDelete, path: "/clients" + itemPath, label: "client", scope: writeScope("clients"), serve: registrations.remove},
}}

var registrations = &collection[registration.Metadata]{"clients", clientKind, form[registration.Metadata]{
	read: registration.ParseMetadata,
	show: func(m *registration.Metadata, _ string) any { return m },
	page: func(c *call, shown []any, next string) any {
		page := plainPage("clients", shown, next)
		if refused := c.realm.Clients.Refused(); len(refused) > 0 {
			reasons := map[string]string{}
			for id, reason := range refused {
				reasons[id] = explanation(reason)
			}
			page["refused"] = reasons // stored clients that the rules in force do not allow
		}
		warnings := map[string][]string{}
		for _, one := range shown {
			m, _ := one.(*registration.Metadata)
			if client, known := c.realm.Clients.Get(m.ClientID); known {
				if found := c.realm.Clients.Warnings(client); len(found) > 0 {
					warnings[m.ClientID] = found
				}
			}
		}
		if len(warnings) > 0 {
			page["warnings"] = warnings // what could deceive who is asked to trust them
		}
		return page
	},
	pages: plainPaging,
}}

var clientKind = kind[registration.Metadata]{
	name: "client",
	id:   func(m *registration.Metadata) *string { return &m.ClientID },
	find: func(realm *Realm, id string) (*registration.Metadata, string, error) {
		if client, ok := realm.Clients.Get(id); ok {
			return &client.Metadata, client.Version(), nil
		}
		if reason, ok := realm.Clients.Refused()[id]; ok {
			return nil, "", oauth.NotFound("client %s is stored but not served: %s", oauth.Clip(id), explanation(reason))
		}
		return nil, "", oauth.NotFound("no client %s in realm %s", oauth.Clip(id), realm.Name)
	},
	list: func(realm *Realm, after string, limit int) []*registration.Metadata {
		clients := realm.Clients.List(after, limit)
		list := make([]*registration.Metadata, len(clients))
		for i, client := range clients {
			list[i] = &client.Metadata
		}
		return list
	},
	put: func(ctx context.Context, realm *Realm, m registration.Metadata, judge judge[registration.Metadata]) (*registration.Metadata, string, bool, error) {
		client, created, err := realm.Clients.PutIf(ctx, m, func(before string, after *registration.Client) error {
			return judge(before, &after.Metadata)
		})
		if err != nil {
			return nil, "", false, err
		}
		return &client.Metadata, client.Version(), created, nil
	},
	remove: func(ctx context.Context, realm *Realm, id string, judge registration.Judge) error {
		if err := realm.Clients.DeleteIf(ctx, id, judge); err != nil {
			return err
		}
		return realm.Sessions.EndClient(ctx, id)
	},
	// A registration gives its own scope and, to whoever has its credentials, what
	// access policies give the client and what APIs let it exchange.
	gives: func(realm *Realm, m *registration.Metadata) given {
		scope, err := oauth.ParseScope(m.Scope)
		if err != nil {
			scope = scopes // the registry has parsed it; nobody slips through if it had not
		}
		return given{
			scope:  append(scope, realm.AccessPolicies.Scope(m.ClientID, scopes)...),
			policy: m.Policy, exchange: realm.APIs.LetExchange(m.ClientID),
		}
	},
}

// explanation is the public text of a refusal.
func explanation(err error) string {
	if refusal, ok := errors.AsType[oauth.Error](err); ok {
		return refusal.Description
	}
	return err.Error()
}
