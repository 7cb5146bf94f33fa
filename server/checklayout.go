package server

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// layout checks the paths of a layout of one's own.
func (k *check) layout(name string, layout Layout) {
	at := join("layouts", name)
	if _, taken := layouts[name]; taken {
		k.refuse(at, "is the name of a built-in layout; choose another")
	}
	known := endpointNames()
	for _, endpoint := range sortedKeys(layout.Paths) {
		path := join(at+".paths", endpoint)
		if !slices.Contains(known, endpoint) {
			k.refuse(path, "unknown endpoint; %s", suggest(endpoint, known))
			continue
		}
		for one := range strings.FieldsSeq(layout.Paths[endpoint]) {
			if !plainPath(one) {
				k.refuse(path, "%q is not a path: start with /, without query, fragment and empty or dotted segments", one)
			}
		}
	}
}

// plainPath reports whether a path can be matched as it is written.
func plainPath(text string) bool {
	plain := strings.NewReplacer("{realm}", "realm").Replace(text)
	return strings.HasPrefix(plain, "/") && path.Clean(plain) == plain && !strings.ContainsAny(plain, "?#%{}\\;")
}

// paths checks that no two endpoints that are served stand at one path: the later one
// could not be reached, and discovery would say that it can.
func (k *check) paths() {
	type place struct{ realm, endpoint string }
	taken := map[string]place{}
	for _, name := range sortedKeys(k.config.Realms) {
		realm := k.config.Realms[name]
		layout, ok := k.config.layout(realm.Layout)
		if !ok {
			continue
		}
		claim := func(at, endpoint, path string) {
			other, is := taken[path]
			switch {
			case !is:
				taken[path] = place{name, endpoint}
			case other == place{name, endpoint}:
				k.refuse(at, "%q is listed twice", path)
			case other.realm == name:
				k.refuse(at, "%s is the path of %s, too; give one of them another", path, other.endpoint)
			case k.config.Realms[other.realm].Layout == realm.Layout, k.config.Realms[other.realm].Issuer == realm.Issuer:
				// That is refused already.
			default:
				k.refuse(at, "%s is the path of %s of realm %s, too; give one of them another layout", path, other.endpoint, other.realm)
			}
		}
		if issuer, err := url.Parse(realm.Issuer); err == nil && realm.Issuer != "" {
			for _, document := range documents(strings.TrimSuffix(issuer.Path, "/")) {
				claim(join("realms", name)+".issuer", "discovery", document)
			}
		}
		for _, endpoint := range sortedKeys(layout) {
			if !realm.serves(endpoint) {
				continue
			}
			at := join("realms", name) + ".layout"
			if own := k.config.Layouts[realm.Layout]; own.Paths[endpoint] != "" {
				at = join(join("layouts", realm.Layout)+".paths", endpoint)
			}
			for _, path := range layout.Paths(endpoint, name) {
				claim(at, endpoint, path)
			}
		}
	}
}

// documents are where the discovery of an issuer with that path is served.
func documents(path string) []string {
	return []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path}
}

// serves reports whether a realm opens an endpoint that its layout has a path for.
func (r *Realm) serves(endpoint string) bool {
	switch endpoint {
	case "issuer":
		return false
	case "registration_endpoint":
		return r.Registration != nil
	case "scim", "management_endpoint", "aidbox_client", "aidbox_access_policy", "aidbox_session":
		return r.Management != nil
	}
	return true
}
