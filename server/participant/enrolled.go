package participant

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
)

// Order asks for a working participant. What is left out is as the ecosystem usually
// has it.
type Order struct {
	// Name is a DNS label: of the folder, the organisation and the client.
	Name      string `json:"name"`
	Ecosystem string `json:"ecosystem,omitempty"`
	// Auth is private_key_jwt or tls_client_auth.
	Auth string `json:"auth,omitempty"`
	// Alg is PS256 or ES256, and what the signing key is for.
	Alg   string `json:"alg,omitempty"`
	Scope string `json:"scope,omitempty"`
	// Realm is where the participant registers itself; empty is the first that takes
	// software of the ecosystem and has the scopes for the bank.
	Realm string   `json:"realm,omitempty"`
	Roles []string `json:"roles,omitempty"`
}

// label is what names are: they become folders, hosts and organisations.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName refuses a name that is no DNS label in lower case.
func CheckName(name string) error {
	if !label.MatchString(name) {
		return fmt.Errorf("name is %s, expected 1 to 63 of a-z, 0-9 and -, with no - at either end", oauth.Quote(name))
	}
	return nil
}

// Record is what the server keeps of a participant. It has no secret.
type Record struct {
	Name           string    `json:"name"`
	Ecosystem      string    `json:"ecosystem"`
	Realm          string    `json:"realm"`
	Auth           string    `json:"auth"`
	Alg            string    `json:"alg"` // of what it signs
	OrganisationID string    `json:"organisation_id"`
	SoftwareID     string    `json:"software_id"`
	ClientID       string    `json:"client_id,omitempty"` // empty: it was never finished
	Scope          string    `json:"scope,omitempty"`
	CreatedAt      time.Time `json:"created_at"`
}

// Enrolled is a new participant with everything it needs. The server keeps nothing of
// the files.
type Enrolled struct {
	Record
	Files []Content `json:"files"`
}

// Content is a file in JSON: as text, or in base64 where it is none.
type Content struct {
	Name   string `json:"name"`
	Mode   string `json:"mode"` // octal: 0600
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"`
}

// Contents writes files as JSON has them.
func Contents(files []certs.File) []Content {
	all := make([]Content, len(files))
	for i, file := range files {
		all[i] = Content{Name: file.Name, Mode: fmt.Sprintf("%04o", file.Mode.Perm())}
		if utf8.Valid(file.Content) {
			all[i].Text = string(file.Content)
		} else {
			all[i].Base64 = base64.StdEncoding.EncodeToString(file.Content)
		}
	}
	return all
}

// Folder reads the files. Only those come out that a folder has, under the names and
// with the modes that they have there, whatever is asked for.
func (e *Enrolled) Folder() ([]certs.File, error) {
	files := make([]certs.File, 0, len(e.Files))
	for _, content := range e.Files {
		mode, known := modes[content.Name]
		if !known {
			return nil, fmt.Errorf("the server sent a file that no participant has: %q", content.Name)
		}
		file := certs.File{Name: content.Name, Content: []byte(content.Text), Mode: mode}
		if content.Base64 != "" {
			var err error
			if file.Content, err = base64.StdEncoding.DecodeString(content.Base64); err != nil {
				return nil, fmt.Errorf("the server's answer: %s: %w", content.Name, err)
			}
		}
		files = append(files, file)
	}
	return files, nil
}
