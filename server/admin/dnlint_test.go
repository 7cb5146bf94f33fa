package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls/doctor"
)

func TestLintDN(t *testing.T) {
	o := newOperated(t)
	issued, err := o.client().Issue(t.Context(), IssueRequest{Subject: "CN=tpp,O=Example,C=GB", Key: certs.P256})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"certificate": {issued.PEM}, "registered": {"C=GB,O=Example,CN=tpp"}}
	w := o.request(t, http.MethodPost, "/dn/lint", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	wantStatus(t, w, http.StatusOK)
	for _, want := range []string{
		"subject, RFC 4514     CN=tpp,O=Example,C=GB\n", "  OpenSSL             C = GB, O = Example, CN = tpp\n", "  Java                CN=tpp, O=Example, C=GB\n",
		"strict:     does not match\n", "any_order:  matches\n", "brazil:     matches\n", `first difference: RDN 1, registered "C=GB", presented "CN=tpp"`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body)
		}
	}

	body, err := json.Marshal(map[string]string{"certificate": issued.Chain})
	if err != nil {
		t.Fatal(err)
	}
	w = o.request(t, http.MethodPost, "/dn/lint", string(body), "Content-Type", "application/json", "Accept", "application/json")
	wantStatus(t, w, http.StatusOK)
	if d := decodeBody[doctor.Description](t, w.Body); d.Thumbprint != issued.Thumbprint || d.Further != 1 || d.Match != nil {
		t.Errorf("%+v", d)
	}

	const formType = "application/x-www-form-urlencoded"
	for _, bad := range []struct {
		media, body string
		status      int
	}{
		{formType, "", http.StatusBadRequest},
		{formType, "certificate=hello", http.StatusBadRequest},
		{formType, "certificate=a&certificate=b", http.StatusBadRequest},
		{formType, url.Values{"certificate": {issued.PEM}, "subject": {"CN=a"}}.Encode(), http.StatusBadRequest},
		{formType, url.Values{"certificate": {issued.PrivateKey}}.Encode(), http.StatusBadRequest},
		{"application/json", `{"certificate":1}`, http.StatusBadRequest},
		{"application/json", `{"Certificate":"x"}`, http.StatusBadRequest},
		{"text/plain", issued.PEM, http.StatusUnsupportedMediaType},
		{"", issued.PEM, http.StatusUnsupportedMediaType},
		{formType, "certificate=" + strings.Repeat("A", 1<<17), http.StatusRequestEntityTooLarge},
	} {
		if w := o.request(t, http.MethodPost, "/dn/lint", bad.body, "Content-Type", bad.media); w.Code != bad.status {
			t.Errorf("%s %.40q: %d, want %d", bad.media, bad.body, w.Code, bad.status)
		}
	}
	// Reading is open in a sandbox only.
	o.Open = false
	o.mount(t)
	if w := o.request(t, http.MethodPost, "/dn/lint", form.Encode(), "Content-Type", formType); w.Code != http.StatusUnauthorized {
		t.Errorf("without the key: %d", w.Code)
	}
}
