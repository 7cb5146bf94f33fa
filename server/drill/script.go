package drill

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/registration/faults"
	"github.com/fapid/fapid/server/participant"
)

// The files of an attempt's folder, beside certificate and key.
const (
	fileStatement = "statement.jwt"
	fileRequest   = "request"
	fileFirst     = "first-" // those of the good registration before
	fileDirectory = "directory.json"
)

// Shell is how commands are called in the folder of an attempt. All of it is quoted
// where it has to be.
type Shell struct {
	Curl  string // with what it trusts
	Fapid string
	Dir   string // where the server keeps everything
	// Key is the file of the operator key.
	Key string
	// Quote quotes a word.
	Quote func(string) string
}

// Save writes a folder for each attempt, and a list of all. What it has made in the
// directory stays, so that the commands do what they say.
func (d *Statements) Save(ctx context.Context, dir string, shell Shell) ([]Result, error) {
	wrongs := append([]faults.Case{good}, faults.Cases(d.Ecosystem)...)
	cases := d.Cases()
	results, made := make([]Result, len(cases)), []Result{}
	var err error
	if d.stage, err = d.newStage(ctx); err != nil {
		return nil, err
	}
	for i := range cases {
		results[i] = cases[i].Expectation()
		folder := filepath.Join(dir, cases[i].Name)
		if cases[i].Skipped != "" {
			if err := os.RemoveAll(folder); err != nil { // of an earlier drill
				return nil, err
			}
			continue
		}
		made = append(made, results[i])
		if err := d.saveAttempt(ctx, folder, wrongs[i], cases[i].text(), shell); err != nil {
			return nil, err
		}
	}
	about := fmt.Sprintf("Registrations with one fault each by the rules of %s, made by `fapid drill statements`\nat %s. They are good for %s, and those with a jti once.",
		d.Ecosystem.About, time.Now().UTC().Format(time.RFC3339), d.life())
	return results, saveList(dir, about, made)
}

// life is how long the commands do what they say.
func (d *Statements) life() string {
	dialect, _ := registration.FindDialect(d.Ecosystem.Dialect)
	age := d.Ecosystem.Statement.MaxAge
	if dialect.Lifetime > 0 {
		age = dialect.Lifetime
	}
	if age == 0 {
		age = outdated // there are none, and the software stays as long
	}
	return fmt.Sprintf("%.0f minutes", age.Minutes())
}

// saveAttempt writes the folder of one.
func (d *Statements) saveAttempt(ctx context.Context, folder string, wrong faults.Case, text string, shell Shell) error {
	a, err := d.prepare(ctx, wrong)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	holder, err := d.holder(ctx, a.stage, a.sent.certificate)
	if err != nil {
		return err
	}
	if holder.TransportKey != nil {
		if err := saveCertificate(folder, holder.Transport, holder.TransportKey); err != nil {
			return err
		}
	}
	files := a.files()
	for name, content := range files {
		if err := write(filepath.Join(folder, name), content); err != nil {
			return err
		}
	}
	if a.update && d.Ecosystem.Management.With == registration.AccessToken {
		if err := d.saveSigning(folder, a.stage); err != nil {
			return err
		}
	}
	commands := d.commands(a, wrong, shell, holder)
	if err := write(filepath.Join(folder, participant.FileCurl), []byte(commands)); err != nil {
		return err
	}
	return write(filepath.Join(folder, FileReadme), []byte(text+"sh "+participant.FileCurl+" sends it.\n"))
}

// saveSigning writes the key that the software signs client assertions with, in the
// form of a participant's folder, which has a certificate for it.
func (d *Statements) saveSigning(folder string, s *stage) error {
	name, err := certs.NewName(certs.Attribute{Type: "CN", Value: s.software.ID})
	if err != nil {
		return err
	}
	certificate, err := certs.SelfSigned(certs.Subject{Name: name}, d.Keys.software, time.Now(), outdated)
	if err != nil {
		return err
	}
	text, err := certs.KeyPEM(d.Keys.software)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(folder, participant.FileSigningKey), text); err != nil {
		return err
	}
	return write(filepath.Join(folder, participant.FileSigning), certs.CertificatePEM(certificate))
}

// files are what is sent.
func (a *attempt) files() map[string][]byte {
	files := map[string][]byte{}
	add := func(prefix string, s *sent) {
		files[prefix+s.file()] = s.Body
		if s.statement != "" {
			files[prefix+fileStatement] = []byte(s.statement)
		}
	}
	add("", &a.sent)
	if a.first != nil {
		add(fileFirst, a.first)
	}
	for _, step := range a.steps {
		if step.body != nil {
			files[fileDirectory] = step.body
		}
	}
	return files
}

// file is what the body of the request is called.
func (s *sent) file() string {
	switch s.MediaType {
	case registration.MediaJSON:
		return fileRequest + ".json"
	case registration.MediaJWT, registration.MediaJOSE:
		return fileRequest + ".jwt"
	}
	return fileRequest + ".txt"
}

// commands are the script that makes the attempt and prints the answer. It takes away
// what it has registered.
func (d *Statements) commands(a *attempt, wrong faults.Case, shell Shell, holder *holder) string {
	var script strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	add("#!/bin/sh\nset -eu\ncd \"$(dirname \"$0\")\"")
	curl := shell.Curl + " --silent --show-error"
	own := curl
	if holder.TransportKey != nil {
		own += " --cert " + participant.FileTransport + " --key " + participant.FileTransportKey
	}
	endpoint := shell.Quote(d.endpoint())
	send := func(s *sent, prefix, more, address string) string {
		return fmt.Sprintf("%s%s -H %s --data-binary @%s %s", own, more, shell.Quote("Content-Type: "+s.MediaType), prefix+s.file(), address)
	}
	if a.first != nil {
		add("# The good one, which comes first.\nanswer=$(%s)", send(a.first, fileFirst, "", endpoint))
		d.keep(add, a, shell)
	}
	for _, step := range a.steps {
		body := ""
		if step.body != nil {
			body = " -H 'Content-Type: application/json' --data-binary @" + fileDirectory
		}
		add("# What the directory says from now on.\n%s -o /dev/null -X %s -H \"Authorization: Bearer $(cat %s)\"%s %s",
			curl, step.method, shell.Key, body, shell.Quote(d.Operator.Base+"/directory"+step.path))
	}
	switch {
	case a.update:
		if d.Ecosystem.Management.With == registration.AccessToken {
			add(`printf '{"client_id":"%%s","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"PS256","tls_client_certificate_bound_access_tokens":true}' "$id" > %s`, participant.FileMetadata)
			add(`token=$(%s token "$PWD" --issuer %s --dir %s)`, shell.Fapid, shell.Quote(d.Provider.Issuer), shell.Dir)
		}
		add("%s", send(&a.sent, "", " -w '\\n' -X "+http.MethodPut+` -H "Authorization: Bearer $token"`, d.endpoint()+`/"$id"`))
	case wrong.Error == "":
		add("answer=$(%s)", send(&a.sent, "", "", endpoint))
		add(`printf '%%s\n' "$answer"`)
		d.keep(add, a, shell)
	default:
		add("%s", send(&a.sent, "", " -w '\\n'", endpoint))
	}
	return script.String()
}

// keep has the script note what was registered, and take it away in the end.
func (d *Statements) keep(add func(string, ...any), a *attempt, shell Shell) {
	if d.Ecosystem.Answer.Empty {
		add("id=%s", shell.Quote(a.software.ClientID))
	} else {
		add(`id=$(printf '%%s' "$answer" | sed -n 's/.*"client_id":"\([^"]*\)".*/\1/p')`)
		add(`[ -n "$id" ] || { printf '%%s\n' "$answer"; exit 1; }`)
	}
	if a.update && d.Ecosystem.Management.With == registration.RegistrationToken {
		add(`token=$(printf '%%s' "$answer" | sed -n 's/.*"registration_access_token":"\([^"]*\)".*/\1/p')`)
	}
	add(`trap '%s client delete "$id" --realm %s --dir %s' EXIT`, shell.Fapid, shell.Quote(d.Realm.Name), shell.Dir)
}
