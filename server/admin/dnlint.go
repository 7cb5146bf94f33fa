package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/fapid/fapid/mtls/doctor"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/server/endpoint"
)

// lintDN describes a certificate as registrations need it and says whether a
// registered subject is its subject, in each of the ways a policy may compare
// them. It is `fapid dn`, for those who have curl.
func (o *Operator) lintDN(_ context.Context, r *endpoint.Request) (*endpoint.Answer, error) {
	form, err := lintForm(r)
	if err != nil {
		return nil, err
	}
	chain, err := doctor.ParseCertificates([]byte(form.Get("certificate")))
	if err != nil {
		return nil, oauth.InvalidRequest("certificate holds nothing that can be read as a certificate; give the PEM text of one").Because("%w", err)
	}
	description, err := doctor.Describe(chain, o.Now())
	if err != nil {
		return nil, oauth.InvalidRequest("the names of the certificate cannot be read").Because("%w", err)
	}
	if form.Has("registered") {
		match := doctor.CompareSubject(form.Get("registered"), chain[0])
		description.Match = &match
	}
	if chosen, err := format(r); err != nil || chosen == formatJSON {
		if err != nil {
			return nil, err
		}
		return endpoint.JSONDocument(http.StatusOK, description)
	}
	var text strings.Builder
	if err := description.WriteText(&text); err != nil {
		return nil, err
	}
	return textAnswer(http.StatusOK, text.String()), nil
}

// lintForm reads certificate, PEM, and registered, from a form or a JSON object:
// of the two, curl makes the one and programs the other.
func lintForm(r *endpoint.Request) (oauth.Form, error) {
	parse := oauth.ParseForm
	switch r.ContentType() {
	case "application/x-www-form-urlencoded":
	case "application/json":
		parse = oauth.ParseJSONForm
	default:
		return nil, oauth.UnsupportedMediaType("Content-Type must be application/json or application/x-www-form-urlencoded")
	}
	body, err := r.ReadBody()
	if err != nil {
		return nil, err
	}
	form, err := parse(body)
	if err != nil {
		return nil, err
	}
	for _, parameter := range form {
		if parameter.Name != "certificate" && parameter.Name != "registered" {
			return nil, oauth.InvalidRequest("unknown parameter %s; there are certificate and registered", oauth.Clip(parameter.Name))
		}
	}
	if !form.Has("certificate") {
		return nil, oauth.InvalidRequest("certificate is missing: the PEM text of one")
	}
	return form, nil
}
