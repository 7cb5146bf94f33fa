package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/participant"
)

// Recipe is a command line to paste.
type Recipe struct {
	Title, Command string
}

// Recipes are the curl lines `fapid dev` prints. fapid is how this program is
// called; every line stands by itself.
func (s *Server) Recipes(fapid string) []Recipe {
	standard, mutual := s.config.Listeners.Standard.URL, s.config.Listeners.MTLS.URL
	ca := "--cacert " + s.show("ca.pem")
	tls := ca + " " + s.pair("tpp-tls")
	other := ca + " " + s.pair("tpp-san")
	verb := func(verb, client string) string {
		return fmt.Sprintf("$(%s %s %s%s)", fapid, verb, client, s.dirFlag())
	}
	bearer := `-H "Authorization: Bearer ` + verb("token", "tpp-tls") + `"`
	return []Recipe{
		{"a token by tls_client_auth, bound to the certificate",
			"curl " + tls + " " + mutual + "/token -d grant_type=client_credentials -d client_id=tpp-tls -d scope=accounts"},
		{"a token by private_key_jwt, at the standard host",
			"curl " + ca + " " + standard + "/token -d grant_type=client_credentials -d client_id=tpp-jwt -d scope=accounts -d client_assertion_type=" + participant.AssertionType + ` -d client_assertion="` + verb("assertion", "tpp-jwt") + `"`},
		{"the sandbox bank, with the bound token and its certificate",
			"curl " + tls + " " + bearer + " " + mutual + "/bank/accounts"},
		{"the same token with another certificate: refused, and error_uri says why",
			"curl " + other + " " + bearer + " " + mutual + "/bank/accounts"},
		{"introspection",
			"curl " + tls + " " + mutual + `/token/introspection -d client_id=tpp-tls -d token="` + verb("token", "tpp-tls") + `"`},
		{"revocation: an empty answer, and the token is dead",
			"curl -i " + tls + " " + mutual + `/token/revocation -d client_id=tpp-tls -d token="` + verb("token", "tpp-tls") + `"`},
	}
}

// Layouts are the URL layouts that the sandbox has a realm of.
func (s *Server) Layouts() []string {
	var names []string
	for _, layout := range sortedKeys(layoutRecipes) {
		if _, ok := s.realms[layoutRecipes[layout].realm]; ok {
			names = append(names, layout)
		}
	}
	return names
}

// LayoutRecipes are the curl lines for a realm with the paths of another server:
// host and port are all that a client of that server has to change. fapid is how
// this program is called.
func (s *Server) LayoutRecipes(layout, fapid string) []Recipe {
	of, ok := layoutRecipes[layout]
	if !ok || s.realms[of.realm] == nil {
		return nil
	}
	values := strings.NewReplacer("CURL", "curl --cacert "+s.show("ca.pem"), "HOST", s.config.Listeners.Standard.URL, "MUTUAL", s.config.Listeners.MTLS.URL,
		"PAIR", s.pair("tpp-tls"), "FAPID", fapid, "DIR", s.dirFlag())
	recipes := make([]Recipe, len(of.recipes))
	for i, recipe := range of.recipes {
		recipes[i] = Recipe{recipe.Title, values.Replace(recipe.Command)}
	}
	return recipes
}

// layoutRecipes are the lines of other servers' documentation. CURL, HOST, MUTUAL (the mTLS
// host), PAIR (a certificate and its key), FAPID and DIR are filled in.
var layoutRecipes = map[string]struct {
	realm   string
	recipes []Recipe
}{
	"default": {"default", []Recipe{
		{"Raidiam Connect: a token for the directory, by certificate at the alias", "CURL PAIR --request POST MUTUAL/token --header 'Content-Type: application/x-www-form-urlencoded' --data 'client_id=tpp-tls&grant_type=client_credentials&scope=directory:software'"},
		{"Raidiam Connect: the same by private_key_jwt, at the standard host", `CURL --request POST HOST/token --header 'Content-Type: application/x-www-form-urlencoded' --data 'grant_type=client_credentials&scope=directory:software&client_assertion_type=` + participant.AssertionType + `' --data-urlencode client_assertion="$(FAPID assertion tpp-jwtDIR)"`},
	}},
	"keycloak": {"myrealm", []Recipe{
		{"Keycloak: a token, the secret in the body", "CURL -X POST HOST/realms/myrealm/protocol/openid-connect/token -d grant_type=client_credentials -d client_id=myclient -d client_secret=myclientsecret"},
	}},
	"cern": {"cern", []Recipe{
		{"CERN API Access: a token for another application's API, with the roles it gave", "CURL --location --request POST HOST/auth/realms/cern/api-access/token --header 'Content-Type: application/x-www-form-urlencoded' --data-urlencode grant_type=client_credentials --data-urlencode client_id=my-client-id --data-urlencode client_secret=my-client-secret --data-urlencode audience=target-client-id"},
	}},
	"asgardeo": {"myorg", []Recipe{
		{"Asgardeo: a token, Basic authentication, a scope", "CURL -X POST HOST/t/myorg/oauth2/token -u my-app:my-app-secret -d grant_type=client_credentials -d scope=internal_user_mgt_list"},
		{"Asgardeo: the users of the organization, by SCIM 2.0", `CURL -X GET HOST/t/myorg/scim2/Users -H "accept: application/scim+json" -H "Authorization: Bearer $(FAPID token my-app --scope internal_user_mgt_listDIR)"`},
	}},
	"aidbox": {"aidbox", []Recipe{
		{"Aidbox: a token, Basic authentication", "CURL -X POST HOST/auth/token -u aidbox-client:verysecret -d grant_type=client_credentials"},
	}},
}

// pair are curl's flags for a client's certificate.
func (s *Server) pair(client string) string {
	dir := filepath.Join("clients", client)
	return "--cert " + s.show(filepath.Join(dir, participant.FileTransport)) + " --key " + s.show(filepath.Join(dir, participant.FileTransportKey))
}

// show gives a path of the directory as one would type it here.
func (s *Server) show(name string) string { return Shell(shorten(s.path(name))) }

// dirFlag is needed by the verbs when the directory is not the default one.
func (s *Server) dirFlag() string {
	if dir := shorten(s.config.Dir); dir != DefaultDir {
		return " --dir " + Shell(dir)
	}
	return ""
}

// DefaultDir is where `fapid dev` keeps everything.
const DefaultDir = ".fapid"

// shorten makes a path relative to the working directory where it lies below it.
func shorten(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(here, absolute); err == nil && !strings.HasPrefix(relative, "..") {
		return relative
	}
	return absolute
}

// Shell quotes a word for a shell where it needs quoting.
func Shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:=", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// curlScript is a client's curl.sh: token, bank or, for a client that manages the
// realm, the management API, introspection, revocation.
// fapid is a command that works in any folder.
func (s *Server) curlScript(sample sample, fapid string) string {
	realm := s.realms[sample.realm]
	base := realm.site.StandardURL
	curl := "curl --silent --show-error --cacert " + Shell(s.absolute("ca.pem"))
	if sample.transport != "" {
		base = realm.site.MTLSURL
		dir := s.absolute(filepath.Join("clients", sample.id))
		curl += " --cert " + Shell(filepath.Join(dir, participant.FileTransport)) + " --key " + Shell(filepath.Join(dir, participant.FileTransportKey))
	}
	verb := func(verb string) string {
		return fapid + " " + verb + " " + sample.id + " --dir " + Shell(s.absolute(""))
	}
	tokens, what, scope := base+realm.site.Path("token_endpoint"), "the bank", " -d scope=accounts"
	called := realm.site.MTLSURL + realm.site.Path("bank") + "/accounts"
	if sample.manages {
		what, scope, called = "the management API", "", base+realm.site.Path("management_endpoint")+"/clients"
	}
	proof, credentials := "", `-H "Authorization: Bearer $TOKEN"`
	var script strings.Builder
	fmt.Fprintf(&script, "#!/bin/sh\n# %s (%s): a token, %s, introspection, revocation.\n# Needs curl and a running `fapid dev`. Run it line by line or as a whole.\nset -eu\n\n", sample.id, sample.name, what)
	fmt.Fprintf(&script, "api() { %s \"$@\"; }\n", curl)
	fmt.Fprintf(&script, "who() { %s; }\n", authentication(sample, verb("assertion")))
	if sample.dpop {
		fmt.Fprintf(&script, "proof() { %s \"$@\"; }\n", verb("dpop"))
		proof = `-H "DPoP: $(proof POST ` + tokens + `)" `
		credentials = `-H "Authorization: DPoP $TOKEN" -H "DPoP: $(proof GET ` + called + ` --ath "$TOKEN")"`
	}
	fmt.Fprintf(&script, "\necho '# a token'\nTOKEN=$(api %s %s-d grant_type=client_credentials%s $(who) | tee /dev/stderr | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')\n", tokens, proof, scope)
	fmt.Fprintf(&script, "\necho '\n# %s'\napi %s %s\n", what, credentials, called)
	fmt.Fprintf(&script, "\necho '\n# introspection'\napi %s -d token=\"$TOKEN\" $(who)\n", base+realm.site.Path("introspection_endpoint"))
	fmt.Fprintf(&script, "\necho '\n# revocation'\napi %s -d token=\"$TOKEN\" $(who)\n", base+realm.site.Path("revocation_endpoint"))
	fmt.Fprintf(&script, "\necho '\n# the token is dead'\napi %s -d token=\"$TOKEN\" $(who)\necho\n", base+realm.site.Path("introspection_endpoint"))
	return script.String()
}

// writeCurl writes a client's curl.sh where it is not what it should be.
func (s *Server) writeCurl(sample sample, fapid string) error {
	if _, ok := s.realms[sample.realm]; !ok {
		return nil
	}
	path := filepath.Join(s.clientDir(sample.id), participant.FileCurl)
	script := s.curlScript(sample, fapid)
	if there, err := os.ReadFile(path); err == nil && string(there) == script {
		return nil
	}
	return os.WriteFile(path, []byte(script), 0o700) //nolint:gosec // a script is for running, by its owner only
}

// authentication prints the curl flags by which a client says who it is.
func authentication(sample sample, assertion string) string {
	switch sample.method {
	case oauth.AuthPrivateKeyJWT:
		return "echo -d client_id=" + sample.id + " -d client_assertion_type=" + participant.AssertionType + ` -d client_assertion="$(` + assertion + `)"`
	case oauth.AuthSecretBasic:
		return "echo -u " + sample.id + ":" + sample.secret
	}
	if sample.method == oauth.AuthSecretPost {
		return "echo -d client_id=" + sample.id + " -d client_secret=" + sample.secret
	}
	return "echo -d client_id=" + sample.id
}

func (s *Server) absolute(name string) string {
	absolute, err := filepath.Abs(s.path(name))
	if err != nil {
		return s.path(name)
	}
	return absolute
}
