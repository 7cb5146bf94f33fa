package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
)

// Client calls the operator's API. The verbs of the command line work through
// it, whether a server runs or they carry one in their own process.
type Client struct {
	Base string // "http://localhost:9000"
	Key  string // the operator key; empty can only read
	// Transport is nil for the network, or [InProcess].
	Transport http.RoundTripper
}

// APIError is a refusal by the operator's API.
type APIError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Error is what the server said, for people.
func (e *APIError) Error() string {
	if e.Description != "" {
		return Visible(e.Description)
	}
	return fmt.Sprintf("the server answered %d %s", e.Status, Visible(e.Code))
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// call sends a request and returns the body of its answer.
func (c *Client) call(ctx context.Context, method, path, accept, media string, body []byte) ([]byte, int, error) {
	header := http.Header{"Accept": {accept}}
	if media != "" {
		header.Set("Content-Type", media)
	}
	content, status, _, err := c.send(ctx, method, path, header, body)
	return content, status, err
}

// send sends a request and returns the body, status and header of its answer.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte) ([]byte, int, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, nil, err
	}
	r.Header = header
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := (&http.Client{Transport: c.Transport, CheckRedirect: noRedirect}).Do(r)
	if err != nil {
		return nil, 0, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode >= 300 {
		refusal := &APIError{Status: answer.StatusCode}
		_ = json.Unmarshal(content, refusal) // an answer that is not ours says its status
		return nil, 0, nil, refusal
	}
	return content, answer.StatusCode, answer.Header, nil
}

// noRedirect keeps the operator key on the address it is for.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// get reads a JSON document.
func (c *Client) get(ctx context.Context, path string, into any) error {
	content, _, err := c.call(ctx, http.MethodGet, path, "application/json", "", nil)
	if err != nil {
		return err
	}
	return decodeAnswer(content, into)
}

// post sends a JSON document and reads one.
func (c *Client) post(ctx context.Context, path string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	content, _, err := c.call(ctx, http.MethodPost, path, "application/json", "application/json", body)
	if err != nil {
		return err
	}
	return decodeAnswer(content, into)
}

func decodeAnswer(content []byte, into any) error {
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	return nil
}

// realmPath begins the path of a realm; an empty name is the default realm.
func (c *Client) realmPath(ctx context.Context, realm string) (string, error) {
	if realm == "" {
		var answer struct {
			Realms []realmView `json:"realms"`
		}
		if err := c.get(ctx, "/realms", &answer); err != nil {
			return "", err
		}
		if len(answer.Realms) == 0 {
			return "", errors.New("the server has no realm")
		}
		realm = answer.Realms[0].Name
	}
	return "/realms/" + url.PathEscape(realm), nil
}

// Clients lists all clients of a realm.
func (c *Client) Clients(ctx context.Context, realm string) (*ClientPage, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	all := &ClientPage{Clients: []registration.Metadata{}}
	for after := ""; ; {
		var page ClientPage
		if err := c.get(ctx, base+"/clients?limit=1000&after="+url.QueryEscape(after), &page); err != nil {
			return nil, err
		}
		all.Clients = append(all.Clients, page.Clients...)
		all.Refused = page.Refused
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// Client reads the registration of one client, as JSON.
func (c *Client) Client(ctx context.Context, realm, id string) ([]byte, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	content, _, err := c.call(ctx, http.MethodGet, base+"/clients/"+url.PathEscape(id), "application/json", "", nil)
	return content, err
}

// PutClient registers a client or replaces its registration, written in JSON or
// YAML. An empty id is taken from the registration. It returns the registration
// in force, as JSON, and whether the client is new.
func (c *Client) PutClient(ctx context.Context, realm, id string, text []byte) ([]byte, bool, error) {
	media, parse := "application/yaml", registration.ParseMetadataYAML
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		media, parse = "application/json", registration.ParseMetadata
	}
	if id == "" {
		metadata, err := parse(text)
		if err != nil {
			return nil, false, errors.New(explanation(err))
		}
		if id = metadata.ClientID; id == "" {
			return nil, false, errors.New("the registration has no client_id and none was given")
		}
	}
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, false, err
	}
	content, status, err := c.call(ctx, http.MethodPut, base+"/clients/"+url.PathEscape(id), "application/json", media, text)
	return content, status == http.StatusCreated, err
}

// DeleteClient removes a client.
func (c *Client) DeleteClient(ctx context.Context, realm, id string) error {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return err
	}
	_, _, err = c.call(ctx, http.MethodDelete, base+"/clients/"+url.PathEscape(id), "application/json", "", nil)
	return err
}

// Keys lists the published signing keys of a realm.
func (c *Client) Keys(ctx context.Context, realm string) (*KeyList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	keys := &KeyList{}
	return keys, c.get(ctx, base+"/keys", keys)
}

// RotateKeys makes the next key of an algorithm sign, or of all when alg is
// empty, and lists the keys as they are then.
func (c *Client) RotateKeys(ctx context.Context, realm, alg string) (*KeyList, error) {
	base, err := c.realmPath(ctx, realm)
	if err != nil {
		return nil, err
	}
	path := base + "/keys/rotate"
	if alg != "" {
		path += "?alg=" + url.QueryEscape(alg)
	}
	keys := &KeyList{}
	return keys, c.post(ctx, path, struct{}{}, keys)
}

// Certificates lists all certificates that the filter selects.
func (c *Client) Certificates(ctx context.Context, wanted certs.Filter) (*CertificatePage, error) {
	all := &CertificatePage{Certificates: []certs.Record{}}
	parameters := url.Values{"limit": {"1000"}}
	for name, value := range map[string]string{
		"profile": string(wanted.Profile), "owner": wanted.Owner, "status": string(wanted.Status),
	} {
		if value != "" {
			parameters.Set(name, value)
		}
	}
	for {
		var page CertificatePage
		if err := c.get(ctx, "/certificates?"+parameters.Encode(), &page); err != nil {
			return nil, err
		}
		all.Certificates = append(all.Certificates, page.Certificates...)
		if page.Next == "" {
			return all, nil
		}
		parameters.Set("after", page.Next)
	}
}

// Certificate reads the record of a certificate by its serial number.
func (c *Client) Certificate(ctx context.Context, serial string) (*certs.Record, error) {
	record := &certs.Record{}
	return record, c.get(ctx, "/certificates/"+url.PathEscape(serial), record)
}

// Issue asks the CA for a certificate.
func (c *Client) Issue(ctx context.Context, request IssueRequest) (*Issued, error) {
	issued := &Issued{}
	return issued, c.post(ctx, "/certificates", request, issued)
}

// Renew makes a new certificate with the names of an old one.
func (c *Client) Renew(ctx context.Context, serial string, request RenewRequest) (*Issued, error) {
	issued := &Issued{}
	return issued, c.post(ctx, "/certificates/"+url.PathEscape(serial)+"/renew", request, issued)
}

// Revoke revokes a certificate for good; it is in force when this returns.
func (c *Client) Revoke(ctx context.Context, serial string, reason certs.Reason) (*certs.Record, error) {
	record := &certs.Record{}
	return record, c.post(ctx, "/certificates/"+url.PathEscape(serial)+"/revoke", revocation{reason}, record)
}

// Explain describes a request by its trace id, as text or as JSON; without an
// id, the newest failures.
func (c *Client) Explain(ctx context.Context, id string, asJSON bool) ([]byte, error) {
	if _, here := c.Transport.(inProcess); here {
		return nil, errors.New("no server is running on this directory, and traces live in the memory of a running one: start it, and repeat the request")
	}
	accept, path := "text/plain", "/traces?failures=true"
	if asJSON {
		accept = "application/json"
	}
	if id != "" {
		path = "/traces/" + url.PathEscape(id)
	}
	content, _, err := c.call(ctx, http.MethodGet, path, accept, "", nil)
	return content, err
}
