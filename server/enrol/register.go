package enrol

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/admin"
)

// requestLife is how long a signed registration request is good for.
const requestLife = 5 * time.Minute

// register has the participant register itself, by its own certificate and with what
// the directory says of it: whoever could not do that by themselves cannot be made.
func (e *enrolment) register(ctx context.Context) error {
	if e.rules.Statement.From != registration.FromCertificate {
		statement, err := e.Directory.Assertion(ctx, e.record.SoftwareID, e.rules.Dialect)
		if err != nil {
			return err
		}
		e.place.Statement, e.place.Dialect = statement, e.rules.Dialect
	}
	media, body, err := e.request()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(mtls.Presenting(ctx, e.presented), http.MethodPost, e.registrationEndpoint(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", media)
	answer, err := admin.InProcess(e.Door).RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return e.refused(answer, content)
	}
	if len(content) > 0 {
		var laidOut bytes.Buffer
		if err := json.Indent(&laidOut, content, "", "  "); err != nil {
			return oauth.ServerError().Because("the answer to the registration: %w", err)
		}
		laidOut.WriteByte('\n')
		e.place.Answer = laidOut.Bytes()
	}
	return nil
}

func (e *enrolment) registrationEndpoint() string {
	return e.realm.Site.MTLSURL + e.realm.Site.Path("registration_endpoint")
}

// refused tells why the participant could not register itself.
func (e *enrolment) refused(answer *http.Response, content []byte) error {
	var refusal struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	trace := answer.Header.Get("X-Fapid-Trace")
	if err := json.Unmarshal(content, &refusal); err != nil || answer.StatusCode >= http.StatusInternalServerError {
		return oauth.ServerError().Because("the registration was answered with %d %s; trace %s", answer.StatusCode, refusal.Code, trace)
	}
	return oauth.BadRegistration(refusal.Code, "realm %s does not register the participant: %s (trace %s)", e.realm.Name, refusal.Description, trace)
}

// request is the registration request, signed where the ecosystem's are.
func (e *enrolment) request() (media string, body []byte, err error) {
	members := e.metadata()
	if e.place.Statement != "" {
		members["software_statement"] = e.place.Statement
	}
	if !e.rules.Signs() {
		body, err = json.Marshal(members)
		return registration.MediaJSON, body, err
	}
	now := e.realm.Now()
	members["iss"], members["aud"], members["jti"] = e.record.SoftwareID, e.realm.Site.Issuer, rand.Text()
	members["iat"], members["exp"] = now.Unix(), now.Add(requestLife).Unix()
	text, err := e.participant.Sign(members)
	if err != nil {
		return "", nil, fmt.Errorf("registration request: %w", err)
	}
	return e.rules.Request.MediaTypes[0], []byte(text), nil
}

// metadata is what the participant asks to be registered with.
func (e *enrolment) metadata() map[string]any {
	members := map[string]any{
		"token_endpoint_auth_method": e.Auth,
		"grant_types":                []string{"client_credentials"}, "response_types": []string{},
		"tls_client_certificate_bound_access_tokens": true,
	}
	if e.Auth == oauth.AuthPrivateKeyJWT {
		members["token_endpoint_auth_signing_alg"] = e.Alg
	} else {
		members["tls_client_auth_subject_dn"] = e.presented.SubjectText()
	}
	if e.Scope != "" {
		members["scope"] = e.Scope
	}
	usual := map[string]any{
		"redirect_uris": []string{"https://" + e.Name + ".example.com/callback"}, "application_type": "web",
		"id_token_signed_response_alg": e.Alg, "request_object_signing_alg": e.Alg,
	}
	for _, member := range e.rules.Required {
		if value, known := usual[member]; known {
			members[member] = value
		}
	}
	return members
}
