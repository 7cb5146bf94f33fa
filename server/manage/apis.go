package manage

import (
	"context"
	"net/http"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/endpoint"
)

// plainPaging are the parameters of pages in fapid's own form.
var plainPaging = endpoint.PlainPaging

// apis are the protected APIs that tokens of the realm can be meant for.
var apis = resource{"apis", []route{
	{method: http.MethodGet, path: "/apis", label: "apis", scope: readScope("apis"), serve: protectedAPIs.list},
	{method: http.MethodGet, path: "/apis" + itemPath, label: "api", scope: readScope("apis"), serve: protectedAPIs.show},
	{method: http.MethodPut, path: "/apis" + itemPath, label: "api", scope: writeScope("apis"), serve: protectedAPIs.put},
	{method: http.MethodDelete, path: "/apis" + itemPath, label: "api", scope: writeScope("apis"), serve: protectedAPIs.remove},
}}

var protectedAPIs = &collection[registration.API]{"apis", apiKind, form[registration.API]{
	read:  registration.ParseAPI,
	show:  func(api *registration.API, _ string) any { return api },
	page:  func(_ *call, shown []any, next string) any { return plainPage("apis", shown, next) },
	pages: plainPaging,
}}

var apiKind = kind[registration.API]{
	name: "API",
	id:   func(api *registration.API) *string { return &api.ID },
	find: func(realm *Realm, id string) (*registration.API, string, error) {
		api, ok := realm.APIs.Get(id)
		if !ok {
			return nil, "", oauth.NotFound("no API %s in realm %s", oauth.Clip(id), realm.Name)
		}
		return api, api.Version(), nil
	},
	list: func(realm *Realm, after string, limit int) []*registration.API { return realm.APIs.List(after, limit) },
	put: func(ctx context.Context, realm *Realm, api registration.API, judge judge[registration.API]) (*registration.API, string, bool, error) {
		if realm.Audience != "" && api.ID == realm.Audience {
			return nil, "", false, oauth.InvalidRequest("identifier %s is that of the management API, which no record replaces", api.ID)
		}
		kept, created, err := realm.APIs.PutIf(ctx, api, func(before string) error { return judge(before, &api) })
		if err != nil {
			return nil, "", false, err
		}
		return kept, kept.Version(), created, nil
	},
	remove: func(ctx context.Context, realm *Realm, id string, judge registration.Judge) error {
		return realm.APIs.DeleteIf(ctx, id, judge)
	},
	gives: func(_ *Realm, api *registration.API) given {
		return given{scope: api.Scopes, exchange: api.LetsExchange()}
	},
}
