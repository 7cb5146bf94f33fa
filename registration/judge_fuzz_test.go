package registration_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/testkeys"
)

// elliptic are keys that sign fast.
var elliptic = map[faults.Signer]faults.Key{
	faults.Issuer:   {Kid: "issuer-1", Private: testkeys.P256(1)},
	faults.Software: {Kid: "software-1", Private: testkeys.P256(2)},
	faults.Stranger: {Kid: "issuer-1", Private: testkeys.P256(3)},
}

// compactES256 signs whatever the bytes are.
func compactES256(t testing.TB, by faults.Signer, header, payload []byte) string {
	t.Helper()
	key, ok := elliptic[by].Private.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal(by)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// parts are header and payload of a JWT in an attempt.
func parts(t testing.TB, jwt *faults.JWT) (header, payload []byte) {
	t.Helper()
	header, err := json.Marshal(jwt.Header)
	if err != nil {
		t.Fatal(err)
	}
	if payload, err = json.Marshal(jwt.Claims); err != nil {
		t.Fatal(err)
	}
	return header, payload
}

// refusals are the errors that a registration may be refused with.
var refusals = []string{
	oauth.CodeInvalidStatement, oauth.CodeUnapprovedStatement, oauth.CodeInvalidClientMetadata, oauth.CodeInvalidRedirectURI,
	oauth.CodeInvalidWebhookURIs, oauth.CodeInvalidClient, oauth.CodeUnsupportedMediaType,
}

// judged wants a registration to be refused with reason, or to be within what the
// statement and the roles allow.
func judged(t *testing.T, s *stage, mediaType, body string) {
	t.Helper()
	event := &oauth.Event{}
	admission, err := s.registrar.Judge(t.Context(), registration.Proposal{MediaType: mediaType, Body: []byte(body), Certificate: s.certificate(t, faults.Own)}, event)
	failed, yes := event.Failed()
	if err != nil {
		refusal := oauth.AsError(err)
		if !slices.Contains(refusals, refusal.Code) || refusal.Status/100 != 4 || refusal.Description == "" || !yes || failed.Advice == "" {
			t.Errorf("%+v\n%+v", refusal, event.Checks)
		}
		return
	}
	m := admission.Metadata
	if yes || m.SoftwareStatementIssuer != "trusted" || m.SoftwareID != softwareID || m.Policy != "" || m.ClientSecret != "" ||
		m.TokenEndpointAuthMethod != oauth.AuthPrivateKeyJWT && m.TokenEndpointAuthMethod != oauth.AuthTLS || m.JWKS != nil {
		t.Errorf("%+v\n%+v", m, event.Checks)
	}
	for scope := range strings.FieldsSeq(m.Scope) {
		if !slices.Contains([]string{"openid", "accounts", "payments"}, scope) {
			t.Errorf("scope %q", m.Scope)
		}
	}
	for _, uri := range m.RedirectURIs {
		if !slices.Contains(admission.Statement.RedirectURIs, uri) {
			t.Errorf("redirect URI %q", uri)
		}
	}
	// What is admitted can be stored, or is refused by the rules of every client.
	if _, err := s.registry.Admit(t.Context(), admission, event); err != nil && oauth.AsError(err).Status/100 != 4 {
		t.Errorf("%v", err)
	}
}

func FuzzSoftwareStatement(f *testing.F) {
	s := newStageOn(f, ecosystem(f, "uk"), false, elliptic)
	for _, c := range faults.Cases(s.scene.Ecosystem) {
		if _, bad := s.scene.Try(c); bad.Statement != nil {
			header, payload := parts(f, bad.Statement)
			f.Add(header, payload)
		}
	}
	f.Add([]byte(nil), []byte("a.b.c"))
	f.Add([]byte(`{"alg":"ES256"}`), []byte(`{"iss":"OpenBanking Ltd","iat":1e400,"exp":-1,"jti":null,"software_roles":[null]}`))
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		statement := string(payload)
		if header != nil {
			statement = compactES256(t, faults.Issuer, header, payload)
		}
		request := s.scene.Good()
		request.Statement = nil
		request.Request.Claims["software_statement"] = statement
		built, err := s.scene.Build(request)
		if err != nil {
			t.Skip() // a text that is no JSON string
		}
		judged(t, s, built.MediaType, string(built.Body))
	})
}

func FuzzRegistrationRequest(f *testing.F) {
	s := newStageOn(f, ecosystem(f, "uk"), false, elliptic)
	const place = "STATEMENT"
	for _, c := range faults.Cases(s.scene.Ecosystem) {
		if _, bad := s.scene.Try(c); bad.Request.Header != nil {
			bad.Request.Claims["software_statement"] = place
			header, payload := parts(f, &bad.Request)
			f.Add("application/jwt", header, payload)
			f.Add("application/json", []byte(nil), payload)
		}
	}
	f.Add("", []byte(nil), []byte(`{}`))
	f.Add("application/jose; charset=\"", []byte(`[]`), []byte(`{"software_statement":1}`))
	f.Fuzz(func(t *testing.T, mediaType string, header, payload []byte) {
		good := s.scene.Good()
		statement := compactES256(t, faults.Issuer, must(t, good.Statement.Header), must(t, good.Statement.Claims))
		body := strings.ReplaceAll(string(payload), place, statement)
		if header != nil {
			body = compactES256(t, faults.Software, header, []byte(body))
		}
		judged(t, s, mediaType, body)
	})
}

func must(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sector is a document that has the redirect URI of the seeds at every address.
type sector struct{}

func (sector) Document(string) ([]byte, bool) { return []byte(`["https://tpp.example/cb"]`), true }
func (sector) Version(string) uint64          { return 0 }

// FuzzRegisteredMetadata: what software says of itself is refused with reason, or
// registered; and what is answered then can be sent back and changes nothing.
func FuzzRegisteredMetadata(f *testing.F) {
	s := newStageOn(f, ecosystem(f, "rfc7591"), false, elliptic)
	s.fetch = registration.NewFetcher(registration.FetchConfig{Own: sector{}})
	s.open(f, false)
	keys := string(jwks(f, elliptic[faults.Software]))
	for _, seed := range []string{
		`{}`, `{"scope":["openid","accounts"],"grant_types":["client_credentials"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=a,C=GB"}`,
		`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + keys + `,"redirect_uris":["https://tpp.example/cb"],"contacts":["a@tpp.example"]}`,
		`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://tpp.example/jwks","subject_type":"public","sector_identifier_uri":"https://tpp.example/sector","redirect_uris":["https://tpp.example/cb"]}`,
		`{"application_type":"native","redirect_uris":["com.example.app:/cb","http://127.0.0.1/cb"],"client_name#ja":"\u65e5\u672c","tls_client_auth_san_ip":"::1","token_endpoint_auth_method":"tls_client_auth"}`,
		`{"default_max_age":0,"require_auth_time":true,"backchannel_token_delivery_mode":"ping","backchannel_client_notification_endpoint":"https://tpp.example/c","tls_client_auth_san_email":"a@b","token_endpoint_auth_method":"tls_client_auth"}`,
		`{"client_id":"x","policy":"narrow","registered_by":"me","disabled":false,"client_secret":"s","id_token_signed_response_alg":"none","tls_client_auth_san_uri":"urn:a","token_endpoint_auth_method":"tls_client_auth"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client, err := s.registers(t, body, nil)
		if err != nil {
			if refusal := oauth.AsError(err); !slices.Contains(refusals, refusal.Code) || refusal.Status/100 != 4 || refusal.Description == "" {
				t.Errorf("%+v", refusal)
			}
			return
		}
		defer func() { _ = s.registry.Delete(t.Context(), client.ID) }()
		m := client.Metadata
		if m.Policy != "fapi" || m.ClientSecret != "" || m.SoftwareStatementIssuer != "" || m.RegisteredBy != registration.ByAnybody || m.Disabled || !client.BoundTokens {
			t.Errorf("%+v", m)
		}
		for scope := range strings.FieldsSeq(m.Scope) {
			if scope == "directory:software" {
				t.Errorf("scope %q", m.Scope)
			}
		}
		answered, err := s.scene.Ecosystem.Answered(&m, "")
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.registers(t, must(t, answered), client)
		if err != nil {
			t.Fatalf("%s is refused as an update: %v", must(t, answered), oauth.AsError(err))
		}
		if before, after := must(t, m), must(t, again.Metadata); string(before) != string(after) {
			t.Errorf("%s\nbecame %s", before, after)
		}
	})
}

// registers judges and admits what anybody sends, or the client that it replaces.
func (s *stage) registers(t *testing.T, body []byte, replaces *registration.Client) (*registration.Client, error) {
	event := &oauth.Event{}
	proposal := registration.Proposal{MediaType: registration.MediaJSON, Body: body, By: registration.ByAnybody, Replaces: replaces}
	admission, err := s.registrar.Judge(t.Context(), proposal, event)
	if failed, yes := event.Failed(); (err != nil) != yes || yes && failed.Advice == "" {
		t.Errorf("%v, and the event says %+v", err, event.Checks)
	}
	if err != nil {
		return nil, err
	}
	admitted, err := s.registry.Admit(t.Context(), admission, event)
	if err != nil {
		return nil, err
	}
	return admitted.Client, nil
}
