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
	"github.com/fapid/fapid/oauth"
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
		return oauth.Visible(e.Description)
	}
	return fmt.Sprintf("the server answered %d %s", e.Status, oauth.Visible(e.Code))
}

// The media types of documents.
const (
	jsonType = "application/json"
	yamlType = "application/yaml"
)

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
	content, _, err := c.call(ctx, http.MethodGet, path, jsonType, "", nil)
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
	content, _, err := c.call(ctx, http.MethodPost, path, jsonType, jsonType, body)
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

// pages reads all pages of a list; each gives the cursor of the next.
func (c *Client) pages(ctx context.Context, path string, parameters url.Values, each func(content []byte) (next string, err error)) error {
	parameters.Set("limit", "1000")
	for {
		content, _, err := c.call(ctx, http.MethodGet, path+"?"+parameters.Encode(), jsonType, "", nil)
		if err != nil {
			return err
		}
		next, err := each(content)
		if err != nil || next == "" {
			return err
		}
		parameters.Set("cursor", next)
	}
}

// queryOf are the parameters that have a value.
func queryOf(values map[string]string) url.Values {
	parameters := url.Values{}
	for name, value := range values {
		if value != "" {
			parameters.Set(name, value)
		}
	}
	return parameters
}

// realmPath begins the path of a realm; an empty name is the default realm.
func (c *Client) realmPath(ctx context.Context, realm string) (string, error) {
	if realm == "" {
		found, err := c.Realm(ctx, "")
		if err != nil {
			return "", err
		}
		realm = found.Name
	}
	return "/realms/" + url.PathEscape(realm), nil
}

// Realms lists the realms of the server, the default realm first.
func (c *Client) Realms(ctx context.Context) ([]RealmView, error) {
	var answer struct {
		Realms []RealmView `json:"realms"`
	}
	err := c.get(ctx, "/realms", &answer)
	return answer.Realms, err
}

// Realm finds a realm by its name; an empty one is that of the default realm.
func (c *Client) Realm(ctx context.Context, name string) (*RealmView, error) {
	realms, err := c.Realms(ctx)
	if err != nil {
		return nil, err
	}
	for i := range realms {
		if name == "" || realms[i].Name == name {
			return &realms[i], nil
		}
	}
	if name == "" {
		return nil, errors.New("the server has no realm")
	}
	return nil, fmt.Errorf("the server has no realm %s", name)
}

// Certificates lists all certificates that the filter selects.
func (c *Client) Certificates(ctx context.Context, wanted certs.Filter) (*CertificatePage, error) {
	all := &CertificatePage{Certificates: []certs.Record{}}
	parameters := queryOf(map[string]string{"profile": string(wanted.Profile), "owner": wanted.Owner, "status": string(wanted.Status)})
	return all, c.pages(ctx, "/certificates", parameters, func(content []byte) (string, error) {
		var page CertificatePage
		err := decodeAnswer(content, &page)
		all.Certificates = append(all.Certificates, page.Certificates...)
		return page.Next, err
	})
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
		accept = jsonType
	}
	if id != "" {
		path = "/traces/" + url.PathEscape(id)
	}
	content, _, err := c.call(ctx, http.MethodGet, path, accept, "", nil)
	return content, err
}
