package drill

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	var list []Result
	cases := Server{}.Present(nil, certificates)
	for i, c := range certificates {
		folder := filepath.Join(dir, c.Name)
		if c.Skipped != "" {
			if err := os.RemoveAll(folder); err != nil { // of an earlier drill
				return err
			}
			continue
		}
		list = append(list, cases[i].Expectation())
		if err := c.save(folder, cases[i].text()+curl(c, folder)+"\n"); err != nil {
			return err
		}
	}
	return saveList(dir, "Certificates with one fault each, made by `fapid drill certs`. They last a week.", list)
}

// saveList writes what there is in a folder.
func saveList(dir, about string, list []Result) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(about + "\n\n")
	if err := List(&text, list); err != nil {
		return err
	}
	return write(filepath.Join(dir, FileReadme), []byte(text.String()))
}

// text is what the folder of a case says before its commands.
func (c *Case) text() string {
	result := c.Expectation()
	text := fmt.Sprintf("%s: %s.\nExpected: %s.\n", result.Name, result.About, result.Expected)
	if result.Source != "" {
		text += "Source: " + result.Source + ".\n"
	}
	return text + "\n"
}

func (c Certificate) save(folder, text string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := saveCertificate(folder, c.Chain, c.Key); err != nil {
		return err
	}
	if c.Weak {
		if err := write(filepath.Join(folder, FileOpenSSL), []byte(openSSLConfig)); err != nil {
			return err
		}
	}
	return write(filepath.Join(folder, FileReadme), []byte(text))
}

// saveCertificate writes a client certificate and its key.
func saveCertificate(folder string, chain []*x509.Certificate, key crypto.Signer) error {
	text, err := certs.KeyPEM(key)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(folder, participant.FileTransportKey), text); err != nil {
		return err
	}
	return write(filepath.Join(folder, participant.FileTransport), certs.CertificatePEM(chain...))
}

// write writes a file that only its owner may read. What a drill makes can be made
// again, so that it need not outlive a crash, and there are many of them.
func write(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }
