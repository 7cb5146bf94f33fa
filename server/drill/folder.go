package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/server/participant"
)

const (
	// FileReadme says what a folder is for, and has the curl line.
	FileReadme = "README"
	// FileOpenSSL has OpenSSL send a certificate that it takes for too weak.
	FileOpenSSL = "openssl.cnf"
)

// openSSLConfig is read by OpenSSL where OPENSSL_CONF says so.
const openSSLConfig = `openssl_conf = drill
[drill]
ssl_conf = ssl
[ssl]
system_default = any
[any]
CipherString = DEFAULT@SECLEVEL=0
`

// Save writes a folder for each certificate that was made, and a list of all. curl
// gives the command line for a certificate and a key file.
func Save(dir string, certificates []Certificate, curl func(Certificate, string) string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("Certificates with one fault each, made by `fapid drill certs`. They last a week.\n\n")
	table := tabwriter.NewWriter(&list, 0, 0, 2, ' ', 0)
	for _, c := range certificates {
		folder := filepath.Join(dir, c.Name)
		if c.Skipped != "" {
			if err := os.RemoveAll(folder); err != nil { // of an earlier drill
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, c.outcome(), c.About)
		if err := c.save(folder, curl(c, folder)); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return certs.WritePublic(filepath.Join(dir, FileReadme), []byte(list.String()))
}

// outcome says what a server should do.
func (c Certificate) outcome() string {
	if c.Expected == "" {
		return Accepted
	}
	return "refused by " + c.Expected
}

func (c Certificate) save(folder, curl string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	key, err := certs.KeyPEM(c.Key)
	if err != nil {
		return err
	}
	if err := certs.WritePrivate(filepath.Join(folder, participant.FileTransportKey), key); err != nil {
		return err
	}
	if err := certs.WritePublic(filepath.Join(folder, participant.FileTransport), certs.CertificatePEM(c.Chain...)); err != nil {
		return err
	}
	if c.Weak {
		if err := certs.WritePublic(filepath.Join(folder, FileOpenSSL), []byte(openSSLConfig)); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s: %s.\nExpected: %s.\n\n%s\n", c.Name, c.About, c.outcome(), curl)
	return certs.WritePublic(filepath.Join(folder, FileReadme), []byte(text))
}
