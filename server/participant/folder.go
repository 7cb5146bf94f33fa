package participant

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/oauth"
)

// The further files of the folder of a participant that works anywhere: where it can
// reach the server, curl and OpenSSL, or Node, are enough.
const (
	FileRecord       = "participant.json"       // see [Record]
	FileRegistration = "registration.json"      // what registering was answered with
	FileStatement    = "software-statement.jwt" // what it registered with
	FileJWKS         = "jwks.json"              // its keys, as the directory publishes them
	FileCA           = "ca.pem"
	FileEnv          = ".env"
	FilePostman      = "postman_environment.json"
	FileCollection   = "postman_collection.json"
	FileNode         = "openid-client.mjs"
	FilePackage      = "package.json"
	FileReadme       = "README.md"
)

// modes are the files of such a folder, with their modes.
var modes = map[string]fs.FileMode{
	FileTransport: 0o644, FileTransportKey: 0o600, FileTransportPKCS12: 0o600,
	FileSigning: 0o644, FileSigningKey: 0o600, FileSigningJWK: 0o600,
	FileMetadata: 0o600, FileRegistration: 0o600, FileRecord: 0o644,
	FileStatement: 0o644, FileJWKS: 0o644, FileCA: 0o644,
	FileEnv: 0o600, FileCurl: 0o700, FilePostman: 0o600, FileCollection: 0o644, FileNode: 0o644, FilePackage: 0o644, FileReadme: 0o644,
}

// Place is where a participant works: addresses, and what it has of others.
type Place struct {
	Issuer                                string
	Token, Introspection, Bank, Directory string // URLs; Bank is empty for who has no scope for it
	DirectoryToken                        string // token endpoint of the directory's realm
	// Registration is where the client manages its registration, by RegistrationToken
	// or, without one, by an access token; empty where it cannot.
	Registration, RegistrationToken string
	// Statement is what it registered with, and Dialect its ecosystem's name for it at
	// the directory; both are empty where the ecosystem has none.
	Statement, Dialect string
	// Answer is what registering was answered with; empty for nothing.
	Answer []byte
	JWKS   []byte
	CA     []byte // PEM
}

// Hosts are the servers, with their ports, that want the client certificate.
func (at *Place) Hosts() ([]string, error) {
	addresses := []string{at.Token, at.Introspection, at.Bank, at.Registration}
	if at.Statement != "" {
		addresses = append(addresses, at.DirectoryToken, at.Directory)
	}
	var hosts []string
	for _, address := range addresses {
		parsed, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		if parsed.Host != "" && !slices.Contains(hosts, parsed.Host) {
			hosts = append(hosts, parsed.Host)
		}
	}
	return hosts, nil
}

// Folder makes the files of a participant that works anywhere.
func (p *Participant) Folder(record Record, at Place) ([]certs.File, error) {
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	add := func(name string, content []byte) {
		if len(content) > 0 {
			files = append(files, certs.File{Name: name, Content: content})
		}
	}
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FileRecord, err)
	}
	add(FileRecord, append(text, '\n'))
	add(FileRegistration, at.Answer)
	add(FileStatement, []byte(at.Statement))
	add(FileJWKS, at.JWKS)
	add(FileCA, at.CA)
	variables := p.variables(&record, &at)
	add(FileEnv, environment(variables))
	postman, err := p.postman(&record, variables)
	if err != nil {
		return nil, err
	}
	add(FilePostman, postman)
	for _, name := range []string{FileCurl, FileNode, FilePackage, FileReadme, FileCollection} {
		content, err := p.render(name, &record, &at)
		if err != nil {
			return nil, err
		}
		add(name, content)
	}
	for i := range files {
		mode, known := modes[files[i].Name]
		if !known {
			return nil, fmt.Errorf("%s is not among the files of a participant", files[i].Name)
		}
		files[i].Mode = mode
	}
	return files, nil
}

// variable is one setting of the programs.
type variable struct {
	name, value string
	secret      bool
}

// variables are what .env and Postman's environment have.
func (p *Participant) variables(record *Record, at *Place) []variable {
	all := []variable{
		{name: "PARTICIPANT", value: record.Name}, {name: "ECOSYSTEM", value: record.Ecosystem},
		{name: "ORGANISATION_ID", value: record.OrganisationID}, {name: "SOFTWARE_ID", value: record.SoftwareID},
		{name: "ISSUER", value: at.Issuer}, {name: "TOKEN_ENDPOINT", value: at.Token},
		{name: "INTROSPECTION_ENDPOINT", value: at.Introspection}, {name: "BANK", value: at.Bank},
		{name: "CLIENT_ID", value: record.ClientID}, {name: "CLIENT_AUTH_METHOD", value: record.Auth},
		{name: "SIGNING_ALG", value: record.Alg}, {name: "KEY_ID", value: p.KeyID},
		{name: "SCOPE", value: record.Scope},
		{name: "REGISTRATION_CLIENT_URI", value: at.Registration},
		{name: "REGISTRATION_ACCESS_TOKEN", value: at.RegistrationToken, secret: true},
		{name: "DIRECTORY", value: at.Directory}, {name: "DIRECTORY_TOKEN_ENDPOINT", value: at.DirectoryToken},
		{name: "DIRECTORY_ECOSYSTEM", value: at.Dialect},
		{name: "CA_FILE", value: FileCA}, {name: "CERT_FILE", value: FileTransport}, {name: "CERT_KEY_FILE", value: FileTransportKey},
		{name: "P12_FILE", value: FileTransportPKCS12}, {name: "P12_PASSWORD", value: PKCS12Password},
		{name: "SIGNING_KEY_FILE", value: FileSigningKey}, {name: "SIGNING_JWK_FILE", value: FileSigningJWK},
	}
	return slices.DeleteFunc(all, func(v variable) bool { return v.value == "" })
}

// environment writes .env: for a shell to source, and for what reads such files.
func environment(variables []variable) []byte {
	var text bytes.Buffer
	text.WriteString("# Files are relative to this folder. It holds secrets.\n")
	for _, v := range variables {
		fmt.Fprintf(&text, "%s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	return text.Bytes()
}

//go:embed folder postman
var folder embed.FS

// templates are the files of a folder that are written once for all participants. In
// that of Postman's collection {{ }} are Postman's own.
var templates = template.Must(template.Must(template.ParseFS(folder, "folder/*")).
	Delims("<<", ">>").Funcs(template.FuncMap{"lines": scriptLines}).ParseFS(folder, "postman/"+FileCollection))

func (p *Participant) render(name string, record *Record, at *Place) ([]byte, error) {
	var text bytes.Buffer
	err := templates.ExecuteTemplate(&text, name, map[string]any{
		"Record": record, "At": at, "Assertion": record.Auth == oauth.AuthPrivateKeyJWT, "AssertionType": AssertionType,
		"EC": strings.HasPrefix(record.Alg, "ES"), "Password": PKCS12Password,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text.Bytes(), nil
}

// Zip packs the folder of a participant under its name.
func Zip(record *Record, files []certs.File) ([]byte, error) {
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	for _, file := range files {
		header := &zip.FileHeader{Name: record.Name + "/" + file.Name, Method: zip.Deflate, Modified: record.CreatedAt}
		header.SetMode(file.Mode)
		writer, err := archive.CreateHeader(header)
		if err == nil {
			_, err = writer.Write(file.Content)
		}
		if err != nil {
			return nil, fmt.Errorf("zip %s: %w", file.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("zip: %w", err)
	}
	return packed.Bytes(), nil
}

// RemoveFolder deletes the files that a participant's folder has, and the folder if
// that leaves nothing in it.
func RemoveFolder(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(modes)) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return nil // there is none, or what its owner has put there
	}
	return os.Remove(dir)
}

// RealmOf reads the realm that the participant of a folder is registered in; empty
// where the folder does not say.
func RealmOf(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var record Record
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(dir, FileRecord), err)
	}
	return record.Realm, nil
}
