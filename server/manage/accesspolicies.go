package manage

import (
	"context"
	"net/http"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
)

// accessPolicies let clients use the management API though their tokens do not
// have its scopes.
var accessPolicies = resource{"access-policies", []route{
	{method: http.MethodGet, path: "/access-policies", label: "access_policies", scope: readScope("access-policies"), serve: policies.list},
	{method: http.MethodPost, path: "/access-policies", label: "access_policies", scope: writeScope("access-policies"), serve: policies.create},
	{method: http.MethodGet, path: "/access-policies" + itemPath, label: "access_policy", scope: readScope("access-policies"), serve: policies.show},
	{method: http.MethodPut, path: "/access-policies" + itemPath, label: "access_policy", scope: writeScope("access-policies"), serve: policies.put},
	{method: http.MethodDelete, path: "/access-policies" + itemPath, label: "access_policy", scope: writeScope("access-policies"), serve: policies.remove},
}}

var policies = &collection[registration.AccessPolicy]{"access-policies", policyKind, form[registration.AccessPolicy]{
	read:  registration.ParseAccessPolicy,
	show:  func(policy *registration.AccessPolicy, _ string) any { return policy },
	page:  func(_ *call, shown []any, next string) any { return plainPage("access_policies", shown, next) },
	pages: plainPaging,
}}

var policyKind = kind[registration.AccessPolicy]{
	name: "access policy",
	id:   func(policy *registration.AccessPolicy) *string { return &policy.ID },
	find: func(realm *Realm, id string) (*registration.AccessPolicy, string, error) {
		policy, ok := realm.AccessPolicies.Get(id)
		if !ok {
			return nil, "", oauth.NotFound("no access policy %s in realm %s", oauth.Clip(id), realm.Name)
		}
		return policy, policy.Version(), nil
	},
	list: func(realm *Realm, after string, limit int) []*registration.AccessPolicy {
		return realm.AccessPolicies.List(after, limit)
	},
	put: func(ctx context.Context, realm *Realm, policy registration.AccessPolicy, judge judge[registration.AccessPolicy]) (*registration.AccessPolicy, string, bool, error) {
		if unknown, yes := scopes.Missing(policy.Scope); yes {
			return nil, "", false, oauth.InvalidRequest("scope %s is not one of the management API, which has %s", oauth.Clip(unknown), strings.Join(scopes, ", "))
		}
		kept, created, err := realm.AccessPolicies.PutIf(ctx, policy, func(before string) error { return judge(before, &policy) })
		if err != nil {
			return nil, "", false, err
		}
		return kept, kept.Version(), created, nil
	},
	remove: func(ctx context.Context, realm *Realm, id string, judge registration.Judge) error {
		return realm.AccessPolicies.DeleteIf(ctx, id, judge)
	},
	gives: func(_ *Realm, policy *registration.AccessPolicy) given { return given{scope: policy.Gives(scopes)} },
}
