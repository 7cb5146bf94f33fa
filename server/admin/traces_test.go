package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
)

const thumbprint = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"

// refused is a request whose certificate has another name than registered.
func refused() *oauth.Event {
	event := &oauth.Event{
		ID: "0011223344556677", Time: time.Now(), Duration: 1834 * time.Microsecond, Realm: "default", Listener: "mtls",
		Endpoint: "token_endpoint", Method: "POST", Path: "/token", Remote: "127.0.0.1:40312",
		TLS: "TLS 1.3, TLS_AES_128_GCM_SHA256", ClaimedID: "tpp-tls", AuthMethod: "tls_client_auth", Certificate: thumbprint,
		Status: 401, Error: "invalid_client", Description: "the client certificate is not this client's", Reason: "the subject differs",
	}
	event.Pass("client", "tpp-tls", "tpp-tls")
	event.Pass("certificate chain", "a chain to a trusted CA", "CN=web.tpp.example,OU=Transport,O=Example,C=GB < CN=Test Issuing CA")
	event.Fail("tls_client_auth_subject_dn", "CN=web.tpp.example,OU=Transport,O=Exemple,C=GB", "cn=web.tpp.example,OU=Transport,O=Example,C=GB",
		"register the presented name")
	return event
}

func TestTraceForms(t *testing.T) {
	o := newOperated(t)
	o.Traces.Keep(refused())
	const path = "/traces/0011223344556677"
	for accept, media := range map[string]string{
		"":                 "text/plain; charset=utf-8",
		"*/*":              "text/plain; charset=utf-8",
		"application/json": "application/json",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8",
		"text/html;q=0.5, application/json":                               "application/json",
	} {
		w := o.request(t, http.MethodGet, path, "", "Accept", accept)
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get("Content-Type"); got != media {
			t.Errorf("Accept %q: %s", accept, got)
		}
		for _, part := range []string{"tls_client_auth_subject_dn", "register the presented name", thumbprint, "O=Exemple"} {
			if !strings.Contains(w.Body.String(), part) {
				t.Errorf("Accept %q lacks %s: %s", accept, part, w.Body)
			}
		}
	}
	whole := decodeBody[trace](t, o.request(t, http.MethodGet, path+"?format=json", "").Body)
	difference := whole.Checks[2].Difference
	if difference == nil || difference.Position != 3 || difference.Expected != "O=Exemple" || difference.Presented != "O=Example" {
		t.Errorf("%+v", difference)
	}
	page := o.request(t, http.MethodGet, path+"?format=html", "").Body.String()
	for _, part := range []string{
		"OU=Transport,<mark>O=Exemple</mark>,C=GB", "OU=Transport,<mark>O=Example</mark>,C=GB",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s: %s", part, page)
		}
	}
	wantStatus(t, o.request(t, http.MethodGet, path+"?format=xml", ""), http.StatusBadRequest)
	for _, accept := range []string{"text/html", "application/json", "*/*"} {
		wantStatus(t, o.request(t, http.MethodGet, "/traces/ffffffffffffffff", "", "Accept", accept), http.StatusNotFound)
	}
}

func TestTraceFilters(t *testing.T) {
	o := newOperated(t)
	for i := range 4 {
		event := refused()
		event.ID, event.Time = fmt.Sprint(i), time.Now().Add(time.Duration(i)*time.Second)
		if i == 1 {
			event.Status, event.Error, event.ClientID = 200, "", "other"
		}
		if i == 2 {
			event.Realm, event.Endpoint = "second", "revocation_endpoint"
		}
		o.Traces.Keep(event)
	}
	for query, want := range map[string]string{
		"":                             "3210",
		"failures=true":                "320",
		"failures=on":                  "320",
		"realm=second":                 "2",
		"client=other":                 "1",
		"client=tpp-tls":               "3210",
		"endpoint=token_endpoint":      "310",
		"error=invalid_client&limit=1": "3",
		"realm=none":                   "",
	} {
		w := o.request(t, http.MethodGet, "/traces?format=json&"+query, "")
		got := ""
		for _, found := range decodeBody[struct{ Traces []trace }](t, w.Body).Traces {
			got += found.ID
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, bad := range []string{"failures=maybe", "filter=x", "realm=a&realm=b", "limit=-1"} {
		wantStatus(t, o.request(t, http.MethodGet, "/traces?"+bad, ""), http.StatusBadRequest)
	}
}

// payloads try to become markup in every context a page has.
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
	`</style><script>alert(1)</script>`, `{{.}}`, `<!--`, `]]>`, `</title><svg onload=alert(1)>`, "`${alert(1)}`",
	`data:text/html,<script>alert(1)</script>`, "\x00<b>", `&lt;script&gt;`, "\u2028</td><script>", `<base href=//evil>`,
	"\u202egnp.exe", "\x1b[2J\x1b]0;owned\x07", "a\r\nSet-Cookie: x=y", "\xff\xfe", "\u200b\u00ad\ufeff", "\u009b31m", "\U000e0041",
}

// M2: every field that a stranger can fill stays text.
func TestPagesEscape(t *testing.T) {
	o := newOperated(t)
	for i, payload := range payloads {
		event := refused()
		event.ID = fmt.Sprintf("%016d", i)
		for _, field := range []*string{
			&event.Realm, &event.Endpoint, &event.Method, &event.Path, &event.Remote, &event.TLS, &event.ClaimedID,
			&event.AuthMethod, &event.GrantType, &event.Certificate, &event.Error, &event.Description, &event.Reason,
		} {
			*field = payload
		}
		event.Fail(payload, payload+"x", payload+"y", payload)
		event.Pass(payload, payload, payload)
		o.Traces.Keep(event)
		authenticated := *event
		authenticated.ID, authenticated.ClientID = fmt.Sprintf("a%015d", i), payload
		o.Traces.Keep(&authenticated)
		for _, path := range []string{"/traces/" + event.ID, "/traces/" + authenticated.ID, "/traces?limit=2", "/"} {
			w := o.request(t, http.MethodGet, path, "", "Accept", "text/html")
			wantStatus(t, w, http.StatusOK)
			checkPage(t, path+" with "+payload, w.Body.String())
			text := o.request(t, http.MethodGet, path, "").Body.String()
			checkVisible(t, path+" as text", text)
			checkVisible(t, path+" as JSON", o.request(t, http.MethodGet, path, "", "Accept", "application/json").Body.String())
		}
	}
}

// checkPage wants no element or attribute that a template does not write.
func checkPage(t *testing.T, name, page string) {
	t.Helper()
	checkVisible(t, name, page)
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type == html.CommentNode {
			t.Errorf("%s: a comment %q", name, node.Data)
		}
		if node.Type != html.ElementNode {
			continue
		}
		switch node.Data {
		case "script", "img", "svg", "iframe", "base", "style", "object", "b":
			t.Errorf("%s: element %s", name, node.Data)
		}
		for _, attribute := range node.Attr {
			if strings.HasPrefix(attribute.Key, "on") || attribute.Key == "style" {
				t.Errorf("%s: attribute %s", name, attribute.Key)
			}
			if attribute.Key == "href" && !strings.HasPrefix(attribute.Val, "/") && !strings.HasPrefix(attribute.Val, "https://as.example") {
				t.Errorf("%s: a link to %s", name, attribute.Val)
			}
		}
	}
}

// checkVisible wants nothing that hides or steers.
func checkVisible(t *testing.T, name, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (oauth.Hidden(r) || r == unicode.ReplacementChar) {
			t.Errorf("%s: %U in %q", name, r, text)
			return
		}
	}
}

func TestPageHeaders(t *testing.T) {
	o := newOperated(t)
	o.Traces.Keep(refused())
	for _, path := range []string{"/", "/traces", "/traces/0011223344556677", "/traces/none", "/realms", "/metrics", "/style.css"} {
		header := o.request(t, http.MethodGet, path, "", "Accept", "text/html").Header()
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "script") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if header.Get("X-Frame-Options") != "DENY" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestFirstDifference(t *testing.T) {
	for _, row := range []struct {
		expected, presented string
		position            int
		left, right         string
	}{
		{"CN=a,O=b", "CN=a,O=c", 2, "O=b", "O=c"},
		{"CN=A, O=b ,C=GB", "cn=a,O=b,C=FR", 3, "C=GB", "C=FR"},
		{`CN=a\,b,O=c`, `CN=a\,b,O=d`, 2, "O=c", "O=d"},
		{`CN="a,b",O=c`, `CN=a\,b,O=d`, 2, "O=c", "O=d"},
		{"CN=a", "CN=a,O=b", 2, "", "O=b"},
		{"CN=a,O=b", "CN=a", 2, "O=b", ""},
		{"https://as.example", "https://as.example/", 19, "", "/"},
		{"the string https://as.example", "https://as.example/", 19, "", "/"},
		{"the certificate with x5t#S256 " + thumbprint, "x5t#S256 " + thumbprint[:42] + "3", 43, "2", "3"},
		{"tpp-tls", "tpp-tIs", 6, "l", "I"},
		{"аpp", "app", 0, "", ""},
		{"appа", "appa", 4, "а", "a"},
		{"a registered client", "tpp", 0, "", ""},
		{"a client certificate", "none", 0, "", ""},
		{"PS256 or ES256", "RS256", 0, "", ""},
		{"", "x", 0, "", ""},
		{"same", "same", 0, "", ""},
	} {
		d := FirstDifference(oauth.Check{Expected: row.expected, Presented: row.presented})
		if d == nil {
			d = &Difference{}
		}
		if d.Position != row.position || d.Expected != row.left || d.Presented != row.right {
			t.Errorf("%q and %q: %+v", row.expected, row.presented, d)
		}
		if d.Position > 0 && row.expected[d.expected.from:d.expected.to] == row.presented[d.presented.from:d.presented.to] {
			t.Errorf("%q and %q: the same is marked, %+v", row.expected, row.presented, d)
		}
	}
	if d := FirstDifference(oauth.Check{OK: true, Expected: "a1", Presented: "a2"}); d != nil {
		t.Errorf("a passed check differs: %v", d)
	}
	d := FirstDifference(oauth.Check{Expected: "appа", Presented: "appa"})
	if text := d.String(); text != `character 4: expected "а" (U+430), presented "a"` {
		t.Error(text)
	}
}

func FuzzFirstDifference(f *testing.F) {
	f.Add("CN=a,O=b", "CN=a,O=c")
	f.Add("x5t#S256 "+thumbprint, "\xff\xfe\u202e")
	f.Add(`CN="a,b`, `CN=a\`)
	f.Fuzz(func(t *testing.T, expected, presented string) {
		c := explained(oauth.Check{Expected: expected, Presented: presented})
		for _, side := range []string{"expected", "presented"} {
			split(c, side)
		}
		if c.Difference != nil {
			_ = c.Difference.String()
		}
	})
}

func TestHandshakeEvent(t *testing.T) {
	o := newOperated(t)
	issued, err := o.client().Issue(t.Context(), IssueRequest{Subject: "CN=tpp,O=Example,C=GB", Key: "P-256"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := issued.Files("x", "x")
	if err != nil {
		t.Fatal(err)
	}
	failure := mtls.HandshakeFailure{
		Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, Time: time.Now(), ServerName: "localhost",
		Versions: []string{"TLS 1.1"}, Suites: []string{"TLS_RSA_WITH_AES_128_CBC_SHA"},
		Err: errors.New("tls: client offered only unsupported versions"), Cause: mtls.CauseVersion, Advice: "Use TLS 1.2 or 1.3.",
	}
	failure.Certificates = append(failure.Certificates, parseLeaf(t, files[0].Content))
	event := HandshakeEvent(failure, "mtls")
	if event.Status != 0 || event.Error != mtls.CauseVersion || event.Certificate != issued.Thumbprint || event.ID == "" {
		t.Fatalf("%+v", event)
	}
	if failed, _ := event.Failed(); failed.Name != "TLS versions offered" || failed.Presented != "TLS 1.1" {
		t.Errorf("the first failed check is %+v", failed)
	}
	text := textOf(explain(*event))
	for _, part := range []string{"CN=tpp,O=Example,C=GB", "TLS 1.1", "Use TLS 1.2 or 1.3.", issued.Thumbprint, "127.0.0.1:4711"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is missing: %s", part, text)
		}
	}
	o.Traces.Keep(event)
	w := o.request(t, http.MethodGet, "/traces?failures=on", "", "Accept", "text/html")
	if !strings.Contains(w.Body.String(), "no_shared_version") {
		t.Error(w.Body)
	}
}
