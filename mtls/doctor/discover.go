package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// document is one well-known document and what it says. Members are decoded
// one by one, so that one odd value does not hide the rest.
type document struct {
	name    string // last part of the well-known suffix
	url     string
	answer  exchange
	members map[string]json.RawMessage // nil if the answer is no JSON object
	problem string                     // why there are no members
}

// fetchDocuments reads both forms of metadata.
func (e *examination) fetchDocuments(ctx context.Context) {
	e.documents = []document{
		{name: "openid-configuration", url: e.target.openIDURL()},
		{name: "oauth-authorization-server", url: e.target.oauthURL()},
	}
	var wait sync.WaitGroup
	for i := range e.documents {
		wait.Go(func() { e.documents[i].fetch(ctx, e.probe, e.target.host) })
	}
	wait.Wait()
	for _, d := range e.documents {
		if d.members != nil {
			e.meta = d
			return
		}
	}
}

func (d *document) fetch(ctx context.Context, p prober, h *host) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		d.problem = err.Error()
		return
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "fapid-doctor")
	r.Header.Set("Connection", "close")
	// Some servers ask every connection for a certificate, even this one.
	o := anything()
	o.present = true
	d.answer = p.do(ctx, h, o, r)
	d.members, d.problem = readMembers(d.answer)
}

// readMembers decodes the answer, or says in one line why it cannot.
func readMembers(x exchange) (map[string]json.RawMessage, string) {
	var members map[string]json.RawMessage
	switch {
	case x.err != nil:
		return nil, x.err.Error()
	case x.status >= 300 && x.status < 400:
		return nil, fmt.Sprintf("HTTP %d, redirects to %s", x.status, x.header.Get("Location"))
	case x.status != http.StatusOK:
		return nil, fmt.Sprintf("HTTP %d", x.status)
	case looksLikeHTML(x.header, x.body):
		return nil, "a web page (HTML), not JSON"
	}
	if err := json.Unmarshal(x.body, &members); err != nil {
		return nil, "not a JSON object: " + err.Error()
	}
	if members == nil {
		return nil, "JSON null, not an object"
	}
	return members, ""
}

func looksLikeHTML(header http.Header, body []byte) bool {
	return mediaType(header) == "text/html" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func mediaType(header http.Header) string {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// text returns a string member, empty if it is absent or something else.
func (d document) text(member string) string { return asText(d.members[member]) }

func asText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func (d document) list(member string) []string {
	var list []string
	if json.Unmarshal(d.members[member], &list) != nil {
		return nil
	}
	return list
}

func (d document) flag(member string) bool {
	var b bool
	return json.Unmarshal(d.members[member], &b) == nil && b
}

// aliases returns mtls_endpoint_aliases (RFC 8705 section 5); present says that
// the member is there at all, whatever it holds.
func (d document) aliases() (aliases map[string]json.RawMessage, present bool) {
	raw, present := d.members["mtls_endpoint_aliases"]
	if !present || json.Unmarshal(raw, &aliases) != nil {
		return nil, present
	}
	return aliases, true
}

// endpoint returns the URL a client with a certificate uses for an endpoint:
// its alias, or the standard one (RFC 8705 section 5).
func (d document) endpoint(member string) string {
	aliases, _ := d.aliases()
	if alias := asText(aliases[member]); alias != "" {
		return alias
	}
	return d.text(member)
}

// announcesMTLS reports whether the server says that it looks at certificates.
func (d document) announcesMTLS() bool {
	if _, present := d.aliases(); present || d.flag("tls_client_certificate_bound_access_tokens") {
		return true
	}
	for _, method := range d.list("token_endpoint_auth_methods_supported") {
		if strings.HasSuffix(method, "tls_client_auth") {
			return true
		}
	}
	return false
}

// httpsURL parses an endpoint; nil if it is not an absolute https URL.
func httpsURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil
	}
	return u
}
