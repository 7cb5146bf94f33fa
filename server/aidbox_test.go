package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/manage"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// box is a realm with Aidbox's paths, as the sandbox has it, with its administrator.
type box struct {
	*servertest.Server
	t       testing.TB
	visitor *http.Client
}

func newBox(t testing.TB) *box {
	t.Helper()
	realm := &server.Realm{
		Layout: "aidbox", Policy: "oauth2", Scopes: []string{"openid", "accounts"}, JSONRequests: true, EitherSecret: true, RefreshWithoutSecret: true,
		Trust: server.Trust{SandboxCA: true}, Management: &server.Management{UnboundTokens: true, Basic: true},
	}
	s := servertest.Start(t, func(config *server.Config) {
		realm.Audience = "https://" + config.Listeners.Standard.Address + "/aidbox/manage"
		config.Realms["aidbox"] = realm
	})
	if _, err := s.APIs("aidbox").Put(t.Context(), registration.API{ID: "http://resource.server.com", Clients: map[string]registration.Access{registration.AnyClient: {}}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Refuses("aidbox", registration.Metadata{
		ClientID: "root", ClientSecret: "secret", TokenEndpointAuthMethod: oauth.AuthSecretBasic,
		GrantTypes: []string{"client_credentials", "basic"}, Scope: manage.Scopes().String(),
	}); got != "" {
		t.Fatal(got)
	}
	return &box{s, t, s.TPPIn("strict", "visitor").HTTP}
}

// send sends a request without a client certificate; header are name, value pairs.
func (b *box) send(method, path, body string, header ...string) servertest.Answer {
	b.t.Helper()
	sent := http.Header{}
	for i := 0; i < len(header); i += 2 {
		sent.Set(header[i], header[i+1])
	}
	return exchange(b.t, b.Server, b.visitor, method, b.Issuer+path, sent, body)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// admin sends a request in YAML as the administrator, as the documentation does.
func (b *box) admin(method, path, body string) servertest.Answer {
	b.t.Helper()
	return b.send(method, path, body, "Authorization", basic("root", "secret"), "Content-Type", "text/yaml", "Accept", "text/yaml")
}

// put puts a resource as the administrator.
func (b *box) put(path, body string) {
	b.t.Helper()
	if answer := b.admin("PUT", path, body); answer.Status >= 300 {
		b.t.Fatal(answer)
	}
}

const documentedClient = `secret: verysecret
grant_types:
  - client_credentials
auth:
  client_credentials:
    access_token_expiration: 600 # 10 minutes
    token_format: jwt
    refresh_token: true
    refresh_token_expiration: 86400 # 1 day
`

const documentedPolicy = `engine: allow
link:
  - id: api-client
    resourceType: Client
`

// TestAidboxDocumented walks through the documentation: client, policy, tokens in
// both forms, refresh, audience, sessions and their end.
func TestAidboxDocumented(t *testing.T) {
	b := newBox(t)
	made := b.admin("PUT", "/Client/api-client", documentedClient)
	if made.Status != http.StatusCreated || made.Header.Get("Content-Type") != "text/yaml" || !strings.Contains(made.Body, "resourceType: Client\nid: api-client\n") || strings.Contains(made.Body, "verysecret") {
		t.Fatalf("PUT: %v %s", made.Header, made)
	}
	if again := b.admin("PUT", "/Client/api-client", documentedClient); again.Status != http.StatusOK || again.Body != made.Body {
		t.Errorf("PUT again: %s", again)
	}
	first := b.send("POST", "/auth/token", "grant_type=client_credentials", "Authorization", "Basic YXBpLWNsaWVudDp2ZXJ5c2VjcmV0", "Content-Type", "application/x-www-form-urlencoded")
	byJSON := pairOf(t, b.send("POST", "/auth/token", `{"grant_type": "client_credentials", "client_id": "api-client", "client_secret": "verysecret"}`, "Content-Type", "application/json"))
	if got := pairOf(t, first); first.JSON["expires_in"] != 600.0 || first.JSON["token_type"] != "Bearer" || claims(t, got.access)["sub"] != "api-client" {
		t.Errorf("by Basic: %s", first)
	}
	b.Clock.Move(time.Millisecond) // sessions of one millisecond are in any order
	forAPI := b.send("POST", "/auth/token", `{"grant_type":"client_credentials","client_id":"api-client","client_secret":"verysecret","audience":"http://resource.server.com"}`, "Content-Type", "application/json")
	if got := claims(t, pairOf(t, forAPI).access)["aud"]; got != "http://resource.server.com" {
		t.Errorf("aud %v", got)
	}
	refreshed := pairOf(t, b.send("POST", "/auth/token", `{"grant_type":"refresh_token","client_id":"api-client","client_secret":"verysecret","refresh_token":"`+byJSON.refresh+`"}`, "Content-Type", "application/json"))
	wantAnswer(t, b.send("GET", "/Session", "", "Authorization", "Bearer "+byJSON.access), http.StatusForbidden, "insufficient_scope")
	if answer := b.admin("PUT", "/AccessPolicy/api-client", documentedPolicy); answer.Status != http.StatusCreated {
		t.Fatal(answer)
	}
	bundle := b.send("GET", "/Session", "", "Authorization", "Bearer "+byJSON.access)
	if bundle.JSON["resourceType"] != "Bundle" || bundle.JSON["type"] != "searchset" || bundle.JSON["total"] != 3.0 {
		t.Fatalf("sessions: %s", bundle)
	}
	newest := bundle.JSON["entry"].([]any)[0].(map[string]any)["resource"].(map[string]any)
	if newest["resourceType"] != "Session" || newest["active"] != true || newest["client"].(map[string]any)["id"] != "api-client" || newest["audience"] != "http://resource.server.com" {
		t.Errorf("a session: %v", newest)
	}
	if shown := b.send("GET", "/Session/"+newest["id"].(string), "", "Authorization", "Bearer "+byJSON.access); shown.JSON["id"] != newest["id"] {
		t.Errorf("one session: %s", shown)
	}
	for _, path := range []string{"/Session", "/fhir/Session"} {
		token := byJSON.access
		if path == "/Session" {
			token = pairOf(t, forAPI).access
		}
		if answer := b.send("DELETE", path, "", "Authorization", "Bearer "+token); answer.Status != http.StatusNoContent {
			t.Errorf("DELETE %s: %s", path, answer)
		}
		wantAnswer(t, b.send("DELETE", path, "", "Authorization", "Bearer "+token), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, b.send("GET", "/Session", "", "Authorization", "Bearer "+token), http.StatusUnauthorized, "invalid_token")
		if answer := b.send("POST", "/auth/introspect", "token="+token, "Authorization", basic("api-client", "verysecret"), "Content-Type", "application/x-www-form-urlencoded"); answer.Body != `{"active":false}` {
			t.Errorf("introspection: %s", answer)
		}
	}
	// The refreshed token is of the session that was ended.
	wantAnswer(t, b.send("GET", "/aidbox/bank/accounts", "", "Authorization", "Bearer "+refreshed.access), http.StatusUnauthorized, "invalid_token")
	if answer := b.admin("DELETE", "/Client/api-client", ""); answer.Status != http.StatusNoContent {
		t.Error(answer)
	}
	wantAnswer(t, b.admin("GET", "/Client/api-client", ""), http.StatusNotFound, "not_found")
}

// TestAidboxClientIsAnyOther: what is put in one form is there in the other.
func TestAidboxClientIsAnyOther(t *testing.T) {
	b := newBox(t)
	b.put("/Client/api-client", documentedClient)
	client, ok := b.Clients("aidbox").Get("api-client")
	if !ok || client.TokenFormat != oauth.FormatJWT || client.TokenLifetime != 10*time.Minute || !client.RefreshTokens ||
		client.RefreshLifetime != 24*time.Hour || !client.RefreshFromLastUse || !client.RecordTokens || !client.CheckSecret("verysecret") {
		t.Fatalf("%+v", client)
	}
	b.put("/Client/plain", "secret: x\ngrant_types: [client_credentials]\nname: Plain\nscope: [openid, accounts]\nauth: {client_credentials: {audience: [\"http://resource.server.com\"]}}\n")
	plain, ok := b.Clients("aidbox").Get("plain")
	if !ok || plain.TokenFormat != oauth.FormatOpaque || plain.RefreshTokens || plain.Scope.String() != "openid accounts" || plain.Metadata.DefaultAudience[0] != "http://resource.server.com" {
		t.Fatalf("%+v", plain)
	}
	answer := b.send("POST", "/auth/token", "grant_type=client_credentials", "Authorization", basic("plain", "x"), "Content-Type", "application/x-www-form-urlencoded")
	token, _ := answer.JSON["access_token"].(string)
	if !strings.HasPrefix(token, "fapid_at.") {
		t.Errorf("without token_format: %s", answer)
	}
	said := b.send("POST", "/auth/introspect", url.Values{"token": {token}}.Encode(), "Authorization", basic("plain", "x"), "Content-Type", "application/x-www-form-urlencoded")
	if said.JSON["aud"] != "http://resource.server.com" {
		t.Errorf("introspection: %s", said)
	}
	for _, id := range []string{"api-client", "plain", "root"} {
		before, _ := b.Clients("aidbox").Get(id)
		for _, media := range []string{"text/yaml", "application/json"} {
			read := b.send("GET", "/fhir/Client/"+id, "", "Authorization", basic("root", "secret"), "Accept", media)
			back := b.send("PUT", "/Client/"+id, read.Body, "Authorization", basic("root", "secret"), "Content-Type", media, "If-Match", read.Header.Get("ETag"))
			after, _ := b.Clients("aidbox").Get(id)
			if back.Status != http.StatusOK || id != "root" && after.Version() != before.Version() {
				t.Errorf("%s as %s is put back: %s", id, media, back)
			}
		}
	}
	list := b.send("GET", "/Client?_count=2", "", "Authorization", basic("root", "secret"))
	next := list.JSON["link"].([]any)[1].(map[string]any)
	if list.JSON["total"] != nil || next["relation"] != "next" {
		t.Fatalf("a page: %s", list)
	}
	last := b.send("GET", next["url"].(string), "", "Authorization", basic("root", "secret"))
	if entries := last.JSON["entry"].([]any); len(entries) != 1 || len(last.JSON["link"].([]any)) != 1 {
		t.Errorf("the last page: %s", last)
	}
	wantAnswer(t, b.send("GET", next["url"].(string)+"x", "", "Authorization", basic("root", "secret")), http.StatusBadRequest, "invalid_request")
	if made := b.admin("POST", "/Client", "id: basic\nsecret: secret\ngrant_types: [basic]\n"); made.Status != http.StatusCreated || made.Header.Get("Location") != "/Client/basic" {
		t.Errorf("POST: %v %s", made.Header, made)
	}
}

// TestAidboxClientIsStrict: what is not known is refused by its name.
func TestAidboxClientIsStrict(t *testing.T) {
	b := newBox(t)
	for body, want := range map[string]string{
		"secret: x\ngrant_types: [client_credentials]\ntype: smart-app\n":                                    "line 3, column 1: 'type' is not a Client member",
		"secret: x\ngrant_types: [client_credentials]\nauth:\n  client_credentials:\n    tokn_format: jwt\n": "line 5, column 5: 'auth.client_credentials.tokn_format' is not a Client member fapid knows; did you mean 'token_format'?",
		"secret: x\ngrant_types: [client_credentials]\nauth: {authorization_code: {}}\n":                     "'auth.authorization_code' is not",
		"secret: x\ngrant_types: [client_credentials]\nauth: {client_credentials: {token_format: paseto}}\n": "token_format is paseto, expected jwt",
		"secret: x\ngrant_types: client_credentials\n":                                                       "grant_types must be an array",
		"secret: 1\ngrant_types: [client_credentials]\n":                                                     "line 1, column 1: secret must be a string, not a number",
		"secret: x\n":                                      "grant_types is missing",
		"secret: x\ngrant_types: [password]\n":             "'password' is not offered",
		"grant_types: [client_credentials]\n":              "secret is missing",
		"secret: x\ngrant_types: [basic]\nscope: [a b]\n":  "a b is not a scope",
		"secret: x\ngrant_types: [basic]\nscope: [nope]\n": "'nope' is not offered",
		"id: y\nsecret: x\ngrant_types: [basic]\n":         "the body is of client y and the path of x",
		"resourceType: User\ngrant_types: [basic]\n":       "resourceType is User, expected Client",
		"secret: x\ngrant_types: [client_credentials]\nauth: {client_credentials: {access_token_expiration: 86401}}\n": "access_token_expiration is 86401",
		"secret: x\ngrant_types: [client_credentials]\nauth: {client_credentials: {refresh_token_expiration: 60}}\n":   "refresh_token_expiration goes with refresh_token",
	} {
		answer := b.admin("PUT", "/Client/x", body)
		if answer.Status != http.StatusBadRequest || !strings.Contains(answer.Body, want) {
			t.Errorf("%s: %s, want %s", body, answer, want)
		}
	}
	wantAnswer(t, b.admin("GET", "/Client/x", ""), http.StatusNotFound, "not_found")
	wantAnswer(t, b.admin("PUT", "/AccessPolicy/x", "engine: matcho\nlink: [{resourceType: Client, id: a}]\n"), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, b.send("PUT", "/Client/x", "{}", "Authorization", basic("root", "secret"), "Content-Type", "application/xml"), http.StatusUnsupportedMediaType, "unsupported_media_type")
}

// TestHTTPBasic: where the realm takes it, of clients that are registered for it,
// with what they may do; and nowhere else.
func TestHTTPBasic(t *testing.T) {
	b := newBox(t)
	b.put("/Client/api-client", documentedClient)
	b.put("/Client/reader", "secret: s\ngrant_types: [basic]\nscope: [\"fapid:keys.read\"]\n")
	b.put("/Client/linked", "secret: s\ngrant_types: [basic]\n")
	b.put("/AccessPolicy/linked", "engine: allow\nlink: [{resourceType: Client, id: linked}]\nscope: [\"fapid:clients.read\"]\n")
	for _, test := range []struct {
		authorization, path string
		status              int
		code                string
	}{
		{basic("reader", "s"), "/aidbox/manage/keys", 200, ""},
		{basic("reader", "s"), "/Client", 403, "insufficient_scope"},
		{basic("linked", "s"), "/Client", 200, ""},
		{basic("linked", "s"), "/Session", 403, "insufficient_scope"},
		{basic("reader", "t"), "/aidbox/manage/keys", 401, "invalid_client"},
		{basic("nobody", "s"), "/aidbox/manage/keys", 401, "invalid_client"},
		{basic("api-client", "verysecret"), "/aidbox/manage/keys", 401, "invalid_client"},
		{"Basic !", "/aidbox/manage/keys", 401, "invalid_client"},
		{"Basic ", "/aidbox/manage/keys", 401, "invalid_client"},
		{basic("", ""), "/aidbox/manage/keys", 401, "invalid_client"},
		{basic("root", "secret"), "/aidbox/bank/accounts", 401, "invalid_token"},
		{basic("root", "secret"), "/aidbox/scim/v2/Users", 200, ""},
		{basic("reader", "s"), "/aidbox/scim/v2/Users", 403, ""},
	} {
		answer := b.send("GET", test.path, "", "Authorization", test.authorization)
		wantAnswer(t, answer, test.status, test.code)
		if offered := strings.Contains(strings.Join(answer.Header["Www-Authenticate"], "\n"), "Basic realm"); test.status == 401 && offered != !strings.Contains(test.path, "bank") {
			t.Errorf("%s: the challenge is %q", test.path, answer.Header["Www-Authenticate"])
		}
	}
	wantAnswer(t, b.send("DELETE", "/Session", "", "Authorization", basic("root", "secret")), http.StatusUnauthorized, "invalid_token")
	// The grant is no grant of tokens.
	wantAnswer(t, b.send("POST", "/auth/token", "grant_type=basic", "Authorization", basic("reader", "s"), "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest, "unsupported_grant_type")
	wantAnswer(t, b.send("POST", "/auth/token", "grant_type=client_credentials", "Authorization", basic("reader", "s"), "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest, "unauthorized_client")
	// Nobody can be registered for it elsewhere, and a client whose tokens are bound
	// does not go around that.
	if got := b.Refuses("default", registration.Metadata{ClientID: "x", Policy: "oauth2", ClientSecret: "s", TokenEndpointAuthMethod: oauth.AuthSecretBasic, GrantTypes: []string{"basic"}}); got != oauth.CodeInvalidClientMetadata {
		t.Errorf("grant type basic in another realm: %q", got)
	}
	if got := b.Refuses("aidbox", registration.Metadata{
		ClientID: "bound", ClientSecret: "s", TokenEndpointAuthMethod: oauth.AuthSecretBasic, GrantTypes: []string{"basic"},
		Scope: "fapid:keys.read", CertificateBoundTokens: true,
	}); got != "" {
		t.Fatal(got)
	}
	wantAnswer(t, b.send("GET", "/aidbox/manage/keys", "", "Authorization", basic("bound", "s")), http.StatusUnauthorized, "invalid_client")
}

// TestEitherSecretMethod: one client sends its secret in the header or in the body,
// where the realm has it so, and still one of the two.
func TestEitherSecretMethod(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	both := newBox(t)
	both.put("/Client/api-client", documentedClient)
	body := "grant_type=client_credentials&client_id=api-client&client_secret="
	if answer := both.send("POST", "/auth/token", body+"verysecret", "Content-Type", form); answer.Status != http.StatusOK {
		t.Errorf("in the body: %s", answer)
	}
	wantAnswer(t, both.send("POST", "/auth/token", body+"wrong", "Content-Type", form), http.StatusUnauthorized, "invalid_client")
	wantAnswer(t, both.send("POST", "/auth/token", body+"verysecret", "Content-Type", form, "Authorization", basic("api-client", "verysecret")), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, both.send("POST", "/auth/token", "grant_type=client_credentials&client_id=api-client", "Content-Type", form), http.StatusUnauthorized, "invalid_client")
	one := servertest.Start(t)
	tpp := one.TPP("tpp", servertest.Under("oauth2"), func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.ClientSecret, m.CertificateBoundTokens = oauth.AuthSecretBasic, "a-secret-of-some-length", false
	})
	wantAnswer(t, exchange(t, one, tpp.HTTP, http.MethodPost, one.Issuer+"/token", servertest.Form, "grant_type=client_credentials&client_id=tpp&client_secret=a-secret-of-some-length"), http.StatusUnauthorized, "invalid_client")
}

// TestRefreshWithoutSecret: where the realm has it so, a client with a secret refreshes
// by its client_id and the refresh token, as Aidbox's documentation does, and does
// nothing else that way: no other grant, no other endpoint, no wrong secret, no bound
// tokens, no token of another client. Elsewhere it does not refresh so, either.
func TestRefreshWithoutSecret(t *testing.T) {
	b := newBox(t)
	b.put("/Client/api-client", documentedClient)
	b.put("/Client/other", documentedClient)
	post := func(path string, form ...string) servertest.Answer {
		t.Helper()
		return b.send("POST", path, door{}.form(form...).Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	fetch := func(header ...string) pair {
		t.Helper()
		return pairOf(t, b.send("POST", "/auth/token", "grant_type=client_credentials&client_id=api-client&client_secret=verysecret", append(header, "Content-Type", "application/x-www-form-urlencoded")...))
	}
	first := fetch()
	for name, refused := range map[string]struct {
		answer servertest.Answer
		status int
		code   string
	}{
		"another client's":     {post("/auth/token", "grant_type", "refresh_token", "client_id", "other", "refresh_token", first.refresh), 400, "invalid_grant"},
		"no such token":        {post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", first.refresh+"x"), 400, "invalid_grant"},
		"no token":             {post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client"), 400, "invalid_request"},
		"no client":            {post("/auth/token", "grant_type", "refresh_token", "refresh_token", first.refresh), 401, "invalid_client"},
		"a wrong secret":       {post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client", "client_secret", "wrong", "refresh_token", first.refresh), 401, "invalid_client"},
		"another grant":        {post("/auth/token", "grant_type", "client_credentials", "client_id", "api-client", "refresh_token", first.refresh), 401, "invalid_client"},
		"at introspection":     {post("/auth/introspect", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", first.refresh, "token", first.access), 401, "invalid_client"},
		"at revocation":        {post("/auth/revoke", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", first.refresh, "token", first.access), 401, "invalid_client"},
		"the administrator's?": {post("/auth/token", "grant_type", "refresh_token", "client_id", "root", "refresh_token", first.refresh), 400, "unauthorized_client"},
	} {
		if refused.answer.Status != refused.status || refused.answer.Error() != refused.code {
			t.Errorf("%s: %s", name, refused.answer)
		}
	}
	answer := b.send("POST", "/fhir/auth/token", `{"grant_type":"refresh_token","client_id":"api-client","refresh_token":"`+first.refresh+`"}`, "Content-Type", "application/json")
	second := pairOf(t, answer)
	if event := b.Explain(answer); event.ClientID != "api-client" || event.AuthMethod != "" {
		t.Errorf("the trace says that %q came by %q", event.ClientID, event.AuthMethod)
	}
	if event := b.Explain(post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", "x")); event.ClientID != "" || event.ClaimedID != "api-client" {
		t.Errorf("the trace believes that it was %q", event.ClientID)
	}

	prove := func(p *participant.Participant) string {
		t.Helper()
		proof, err := p.Proof(http.MethodPost, b.Issuer+"/auth/token", participant.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	owner := &participant.Participant{DPoPKey: newKey(t), Now: b.Clock.Now}
	bound := fetch("DPoP", prove(owner))
	again := door{}.form("grant_type", "refresh_token", "client_id", "api-client", "refresh_token", bound.refresh).Encode()
	for name, p := range map[string]*participant.Participant{"the same key": owner, "another key": {DPoPKey: newKey(t), Now: b.Clock.Now}} {
		answer := b.send("POST", "/auth/token", again, "Content-Type", "application/x-www-form-urlencoded", "DPoP", prove(p))
		if answer.Status != http.StatusUnauthorized || answer.Error() != "invalid_client" {
			t.Errorf("bound tokens, %s: %s", name, answer)
		}
	}

	// A client whose tokens are to be bound by now has to be the client: nobody has looked
	// at the certificate of another.
	if got := b.Refuses("aidbox", registration.Metadata{
		ClientID: "api-client", TokenEndpointAuthMethod: oauth.AuthSecretBasic, GrantTypes: []string{"client_credentials"}, RefreshToken: true, CertificateBoundTokens: true,
	}); got != "" {
		t.Fatal(got)
	}
	key := newKey(t)
	stranger := holder(t, b.Server, key, newPKI(t, "unknown").leaf(t, key, nil)...)
	unbound := door{}.form("grant_type", "refresh_token", "client_id", "api-client", "refresh_token", second.refresh).Encode()
	wantAnswer(t, exchange(t, b.Server, stranger, http.MethodPost, b.MTLS+"/auth/token", servertest.Form, unbound), http.StatusUnauthorized, "invalid_client")

	if got := b.Refuses("aidbox", registration.Metadata{
		ClientID: "api-client", TokenEndpointAuthMethod: oauth.AuthSecretBasic, GrantTypes: []string{"client_credentials"}, RefreshToken: true, Disabled: true,
	}); got != "" {
		t.Fatal(got)
	}
	wantAnswer(t, post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", second.refresh), http.StatusUnauthorized, "invalid_client")
	// Nobody else is told that the client is suspended.
	wantAnswer(t, post("/auth/token", "grant_type", "refresh_token", "client_id", "api-client", "refresh_token", "x"), http.StatusBadRequest, "invalid_grant")

	s := servertest.Start(t)
	tpp := s.TPP("tpp", servertest.Under("oauth2"), refreshing, func(m *registration.Metadata) {
		m.TokenEndpointAuthMethod, m.ClientSecret, m.CertificateBoundTokens = oauth.AuthSecretPost, "a-secret-of-some-length", false
	})
	elsewhere := begin(t, tpp, "client_secret", "a-secret-of-some-length")
	wantAnswer(t, exchange(t, s, tpp.HTTP, http.MethodPost, s.Issuer+"/token", servertest.Form, "grant_type=refresh_token&client_id=tpp&refresh_token="+elsewhere.refresh), http.StatusUnauthorized, "invalid_client")
}

// TestRefreshingWithoutSecretIsUse: a client that registered itself and does nothing but
// refresh without its secret is not deleted for want of use.
func TestRefreshingWithoutSecretIsUse(t *testing.T) {
	s := servertest.Start(t, servertest.Registering("open"), func(config *server.Config) {
		config.Realms["default"].RefreshWithoutSecret = true
		config.Realms["default"].Registration.UnusedClients = server.Duration(time.Hour)
	})
	r := s.Registrant(s.Issuer)
	want(t, r.Register(servertest.WithSecret("grant_types", []string{"client_credentials", "refresh_token"})), 201)
	client, _ := s.Clients("default").Get(r.ClientID)
	metadata := client.Metadata
	metadata.RefreshToken = true // the operator's gift
	if got := s.Refuses("default", metadata); got != "" {
		t.Fatal(got)
	}
	tokens := pairOf(t, r.Fetch())
	for range 3 {
		s.Clock.Move(50 * time.Minute)
		tokens = pairOf(t, exchange(t, s, r.HTTP, http.MethodPost, s.Issuer+"/token", servertest.Form, "grant_type=refresh_token&client_id="+r.ClientID+"&refresh_token="+tokens.refresh))
		server.EveryMinute(s.Server, t.Context())
	}
}

// TestMissingScopeExplained: who may not manage the realm is told what would change that.
func TestMissingScopeExplained(t *testing.T) {
	b := newBox(t)
	b.put("/Client/api-client", documentedClient)
	b.put("/Client/plain", "secret: verysecret\ngrant_types:\n  - basic\n")
	token := b.send("POST", "/auth/token", "grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic("api-client", "verysecret")).JSON["access_token"].(string)
	for authorization, want := range map[string]string{
		"Bearer " + token:            "fetch a token with scope fapid:clients.read, or name the client in an access policy",
		basic("plain", "verysecret"): "register the client for scope fapid:clients.read, or name the client in an access policy",
	} {
		answer := b.send("GET", "/Client", "", "Authorization", authorization)
		wantAnswer(t, answer, http.StatusForbidden, "insufficient_scope")
		event := b.Explain(answer)
		if check, _ := event.Failed(); check.Advice != want {
			t.Errorf("%s: %+v", authorization, check)
		}
	}
}
