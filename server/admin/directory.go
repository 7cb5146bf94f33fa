package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fapid/fapid/oauth"
)

// DirectoryTable is a kind of records of the directory of participants.
type DirectoryTable string

// The kinds of records that have verbs.
const (
	Organisations      DirectoryTable = "organisations"
	SoftwareStatements DirectoryTable = "softwarestatements"
)

// id is the member of a record that names it.
func (t DirectoryTable) id() string {
	if t == Organisations {
		return "OrganisationId"
	}
	return "SoftwareStatementId"
}

// directory sends a request to the API of the directory.
func (c *Client) directory(ctx context.Context, method, path string, header http.Header, body []byte) ([]byte, http.Header, error) {
	if header == nil {
		header = http.Header{}
	}
	if body != nil && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	content, _, answered, err := c.send(ctx, method, "/directory"+path, header, body)
	return content, answered, err
}

// Directory sends a request to the API of the directory, which is below
// /directory of the operator's, and returns the body of the answer. The body is JSON
// unless the header says something else; nil sends none.
func (c *Client) Directory(ctx context.Context, method, path string, header http.Header, body []byte) ([]byte, error) {
	content, _, err := c.directory(ctx, method, path, header, body)
	return content, err
}

// DirectoryList lists the records of a kind, as JSON objects.
func (c *Client) DirectoryList(ctx context.Context, table DirectoryTable) (records []map[string]any, err error) {
	if table == SoftwareStatements {
		content, _, err := c.directory(ctx, http.MethodGet, "/softwarestatements", nil, nil)
		if err != nil {
			return nil, err
		}
		return records, decodeAnswer(content, &records)
	}
	for number := 0; ; number++ {
		var page struct {
			Content    []map[string]any `json:"content"`
			TotalPages int              `json:"totalPages"`
		}
		content, _, err := c.directory(ctx, http.MethodGet, fmt.Sprintf("/organisations?size=1000&page=%d", number), nil, nil)
		if err != nil {
			return nil, err
		}
		if err := decodeAnswer(content, &page); err != nil {
			return nil, err
		}
		records = append(records, page.Content...)
		if number+1 >= page.TotalPages {
			return records, nil
		}
	}
}

// place is the path of a record. Software is below its organisation.
func (c *Client) place(ctx context.Context, table DirectoryTable, id string) (string, error) {
	all, err := c.DirectoryList(ctx, table)
	if err != nil {
		return "", err
	}
	for _, record := range all {
		if record[table.id()] != id {
			continue
		}
		at := fmt.Sprintf("/organisations/%s", record[Organisations.id()])
		if table == SoftwareStatements {
			at += "/softwarestatements/" + id
		}
		return at, nil
	}
	what := map[DirectoryTable]string{Organisations: "organisation", SoftwareStatements: "software statement"}[table]
	return "", &APIError{Status: http.StatusNotFound, Code: "not_found", Description: fmt.Sprintf("no %s %s", what, oauth.Quote(id))}
}

// DirectoryRecord reads a record, as JSON.
func (c *Client) DirectoryRecord(ctx context.Context, table DirectoryTable, id string) ([]byte, error) {
	at, err := c.place(ctx, table, id)
	if err != nil {
		return nil, err
	}
	content, _, err := c.directory(ctx, http.MethodGet, at, nil, nil)
	return content, err
}

// PutDirectoryRecord replaces the record that has the id of this one, or adds it,
// and returns it as it is then and whether it is new.
func (c *Client) PutDirectoryRecord(ctx context.Context, table DirectoryTable, record []byte) ([]byte, bool, error) {
	var members map[string]any
	if err := json.Unmarshal(record, &members); err != nil {
		return nil, false, fmt.Errorf("the record: %w", err)
	}
	id, _ := members[table.id()].(string)
	all, err := c.DirectoryList(ctx, table)
	if err != nil {
		return nil, false, err
	}
	for _, there := range all {
		if there[table.id()] == id {
			at, err := c.place(ctx, table, id)
			if err != nil {
				return nil, false, err
			}
			content, _, err := c.directory(ctx, http.MethodPut, at, nil, record)
			return content, false, err
		}
	}
	at := "/organisations"
	if table == SoftwareStatements {
		owner, _ := members[Organisations.id()].(string)
		if owner == "" {
			return nil, false, errors.New("OrganisationId is missing: the id of the organisation that the software is of")
		}
		if at, err = c.place(ctx, Organisations, owner); err != nil {
			return nil, false, err
		}
		at += "/softwarestatements"
	}
	content, _, err := c.directory(ctx, http.MethodPost, at, nil, record)
	return content, true, err
}

// DeleteDirectoryRecord removes a record with everything that is its own.
func (c *Client) DeleteDirectoryRecord(ctx context.Context, table DirectoryTable, id string) error {
	at, err := c.place(ctx, table, id)
	if err != nil {
		return err
	}
	_, _, err = c.directory(ctx, http.MethodDelete, at, nil, nil)
	return err
}

// SetDirectoryStatus changes the status of a record and nothing else of it; when
// somebody else changes the record meanwhile, it is refused.
func (c *Client) SetDirectoryStatus(ctx context.Context, table DirectoryTable, id, status string) error {
	at, err := c.place(ctx, table, id)
	if err != nil {
		return err
	}
	content, header, err := c.directory(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := decodeAnswer(content, &members); err != nil {
		return err
	}
	if members["Status"], err = json.Marshal(status); err != nil {
		return err
	}
	changed, err := json.Marshal(members)
	if err != nil {
		return err
	}
	_, _, err = c.directory(ctx, http.MethodPut, at, http.Header{"If-Match": {header.Get("Etag")}}, changed)
	return err
}

// UnlockSoftware lets a participant change its software again.
func (c *Client) UnlockSoftware(ctx context.Context, id string) error {
	at, err := c.place(ctx, SoftwareStatements, id)
	if err != nil {
		return err
	}
	_, _, err = c.directory(ctx, http.MethodPut, at+"/unlock", nil, nil)
	return err
}

// Assertion makes a software statement assertion in the dialect of an ecosystem,
// or in the usual one.
func (c *Client) Assertion(ctx context.Context, id, ecosystem string) (string, error) {
	at, err := c.place(ctx, SoftwareStatements, id)
	if err != nil {
		return "", err
	}
	if at += "/assertion"; ecosystem != "" {
		at += "?ecosystem=" + url.QueryEscape(ecosystem)
	}
	content, _, err := c.directory(ctx, http.MethodGet, at, nil, nil)
	return string(content), err
}

// Certify has the directory issue a certificate of a type for a request of
// software, and returns it with its chain, PEM.
func (c *Client) Certify(ctx context.Context, id, typeName string, request []byte) ([]byte, error) {
	at, err := c.place(ctx, SoftwareStatements, id)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Accept": {"application/x-pem-file"}, "Content-Type": {"application/pkcs10"}}
	content, _, err := c.directory(ctx, http.MethodPost, at+"/certificates/"+url.PathEscape(typeName), header, request)
	return content, err
}
