//go:build unix

package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/servertest"
)

// killedDir is the folder of the server that a process of its own, this test
// binary started again, serves until it is killed.
const killedDir = "KILLED_DIR"

// TestKilledChild is that process, not a test.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return // TestKilled runs it
	}
	config, err := server.Load(server.Source{File: filepath.Join(dir, "killed.yaml")})
	if err == nil {
		err = config.Complete()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(context.Background(), config, server.Options{
		AllowTestKeys: true, OpenOperator: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(s.Serve(context.Background(), func() { fmt.Println("ready") }))
}

// kills is how often TestKilled kills; KILLS says otherwise.
func kills(t *testing.T) int {
	if text := os.Getenv("KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 3
	}
	return 12
}

// promise is what the server has acknowledged and has to keep.
type promise struct {
	kind string
	kept func() error // nil: as promised
}

// killing is a server that is killed, and those who work with it.
type killing struct {
	t *testing.T
	s *servertest.Server

	jwt, dpop, tls, refreshing *servertest.TPP
	operator                   http.Header

	mu       sync.Mutex
	promises []promise
	made     map[string]int // promises by kind
}

// TestKilled kills a server again and again while clients work with it. Whatever
// it has acknowledged holds afterwards: what was used once is not good twice, what
// was revoked stays so, what was registered is there and what was deleted is not.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Registering("open", "initial_access_token"))
	k := &killing{t: t, s: s, made: map[string]int{}}
	k.jwt = s.TPP("jwt", servertest.JWT)
	k.dpop = s.TPP("dpop", servertest.DPoP)
	k.tls = s.TPP("tls")
	k.refreshing = s.TPP("refreshing", refreshing)
	_, key := s.Operator()
	k.operator = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
	config := s.Config()
	text, err := config.YAML(false)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "killed.yaml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()

	rounds, slowest := kills(t), time.Duration(0)
	whole := func() bool { return rounds <= 3 || len(k.made) == len(k.acts()) }
	for round := 0; round < rounds || !whole() && round < 5*rounds; round++ { // what is promised is a matter of chance
		child, took := k.start()
		slowest = max(slowest, took)
		k.verify()
		k.work(3+rand.IntN(20), child)
	}
	child, _ := k.start()
	k.verify()
	_ = child.Process.Kill()
	_ = child.Wait()
	t.Logf("%d kills, promises %v, slowest start %s", rounds, k.made, slowest)
	if !whole() {
		t.Errorf("promises of the kinds %v only", k.made)
	}
}

// start starts the server and waits until it is ready, without any repair.
func (k *killing) start() (*exec.Cmd, time.Duration) {
	k.t.Helper()
	begun := time.Now()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.timeout=10m")
	child.Env = append(os.Environ(), killedDir+"="+k.s.Dir)
	out, err := child.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = child.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			for _, tpp := range []*servertest.TPP{k.jwt, k.dpop, k.tls, k.refreshing} {
				tpp.HTTP.CloseIdleConnections()
			}
			http.DefaultClient.CloseIdleConnections()
			return child, time.Since(begun)
		}
		k.t.Log(lines.Text())
	}
	k.t.Fatalf("the server does not start any more: %v", child.Wait())
	return nil, 0
}

// acts are what the clients do; each gives a promise, or nil if the server has not
// acknowledged it.
func (k *killing) acts() []func() *promise {
	return []func() *promise{k.useAssertion, k.useProof, k.revoke, k.refresh, k.register, k.remove, k.endSession, k.registerItself, k.changeItself, k.deleteItself, k.useInitialToken}
}

// work has clients make the server promise things, and kills it in the middle of
// that, after so many promises.
func (k *killing) work(promises int, child *exec.Cmd) {
	acts := k.acts()
	var working sync.WaitGroup
	dead := make(chan struct{})
	enough := make(chan struct{}, 1)
	for worker := range 4 {
		working.Go(func() {
			for i := worker + rand.IntN(len(acts)); ; i++ {
				select {
				case <-dead:
					return
				default:
				}
				made := acts[i%len(acts)]()
				if made == nil {
					continue
				}
				k.mu.Lock()
				k.promises = append(k.promises, *made)
				k.made[made.kind]++
				if promises--; promises == 0 {
					enough <- struct{}{}
				}
				k.mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(5 * time.Minute):
		k.t.Error("the server acknowledges next to nothing")
	}
	time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
	_ = child.Process.Kill()
	close(dead)
	_ = child.Wait()
	working.Wait()
}

// verify holds the server to everything that it has promised lately.
func (k *killing) verify() {
	k.mu.Lock()
	const enough = 150 // the last ones: an older one has been verified before
	promises := k.promises[max(0, len(k.promises)-enough):]
	k.mu.Unlock()
	for _, made := range promises {
		if err := made.kept(); err != nil {
			k.t.Errorf("%s: %v", made.kind, err)
		}
	}
}

// ask sends a request; false says that there was no answer. A server that is
// killed may be silent, but it never answers that something is wrong with it.
func (k *killing) ask(client *http.Client, method, address string, header http.Header, body string) (servertest.Answer, bool) {
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		k.t.Error(err)
		return servertest.Answer{}, false
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		return servertest.Answer{}, false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return servertest.Answer{}, false
	}
	answer := servertest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(text)}
	_ = json.Unmarshal(text, &answer.JSON)
	if answer.Status >= 500 {
		k.t.Errorf("%s %s: %s", method, address, answer)
	}
	return answer, true
}

func (k *killing) post(tpp *servertest.TPP, path string, form url.Values) (servertest.Answer, bool) {
	return k.ask(tpp.HTTP, http.MethodPost, k.s.MTLS+path, servertest.Form, form.Encode())
}

// wornOut holds a second use against the error it has to bring.
func wornOut(answer servertest.Answer, ok bool, code string) error {
	if !ok || answer.Error() != code {
		return fmt.Errorf("answered %s, want %s", answer, code)
	}
	return nil
}

func (k *killing) withAssertion(tpp *servertest.TPP, form url.Values) url.Values {
	assertion, err := tpp.Assertion(k.s.Issuer, time.Now())
	if err != nil {
		k.t.Error(err)
	}
	return withAssertion(form, assertion)
}

func (k *killing) useAssertion() *promise {
	form := k.withAssertion(k.jwt, url.Values{"grant_type": {"client_credentials"}})
	if answer, ok := k.post(k.jwt, "/token", form); !ok || answer.Status != http.StatusOK {
		return nil
	}
	return &promise{"assertion", func() error {
		answer, ok := k.post(k.jwt, "/token", form)
		return wornOut(answer, ok, "invalid_client")
	}}
}

func (k *killing) useProof() *promise {
	proof, err := k.dpop.Proof(http.MethodPost, k.s.MTLS+"/token", participant.Proof{})
	if err != nil {
		k.t.Error(err)
		return nil
	}
	use := func() (servertest.Answer, bool) {
		form := k.withAssertion(k.dpop, url.Values{"grant_type": {"client_credentials"}})
		header := http.Header{"Dpop": {proof}, "Content-Type": servertest.Form["Content-Type"]}
		return k.ask(k.dpop.HTTP, http.MethodPost, k.s.MTLS+"/token", header, form.Encode())
	}
	if answer, ok := use(); !ok || answer.Status != http.StatusOK {
		return nil
	}
	return &promise{"proof", func() error {
		answer, ok := use()
		return wornOut(answer, ok, "invalid_dpop_proof")
	}}
}

// token fetches a token of a client that authenticates by its certificate.
func (k *killing) token(tpp *servertest.TPP, form url.Values) (access, refresh string, ok bool) {
	form.Set("client_id", tpp.Metadata.ClientID)
	answer, ok := k.post(tpp, "/token", form)
	access, _ = answer.JSON["access_token"].(string)
	refresh, _ = answer.JSON["refresh_token"].(string)
	return access, refresh, ok && answer.Status == http.StatusOK
}

// active asks its client about a token.
func (k *killing) active(tpp *servertest.TPP, token string, want bool) error {
	answer, ok := k.post(tpp, "/token/introspection", url.Values{"client_id": {tpp.Metadata.ClientID}, "token": {token}})
	if !ok || answer.JSON["active"] != want {
		return fmt.Errorf("introspected as %s, want active %v", answer, want)
	}
	return nil
}

func (k *killing) revoke() *promise {
	token, _, ok := k.token(k.tls, url.Values{"grant_type": {"client_credentials"}})
	if !ok {
		return nil
	}
	answer, ok := k.post(k.tls, "/token/revocation", url.Values{"client_id": {"tls"}, "token": {token}})
	if !ok || answer.Status != http.StatusOK {
		return nil
	}
	return &promise{"revocation", func() error { return k.active(k.tls, token, false) }}
}

func (k *killing) refresh() *promise {
	_, first, ok := k.token(k.refreshing, url.Values{"grant_type": {"client_credentials"}})
	if !ok {
		return nil
	}
	access, second, ok := k.token(k.refreshing, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}})
	if !ok {
		return nil
	}
	return &promise{"refresh", func() error {
		if err := k.active(k.refreshing, access, true); err != nil {
			return err
		}
		return k.active(k.refreshing, second, true)
	}}
}

// client is where the operator has a client.
func (k *killing) client(id string) string { return k.s.Admin + "/realms/default/clients/" + id }

func (k *killing) put() (id string, ok bool) {
	id = "killed-" + strconv.FormatUint(rand.Uint64(), 36)
	body, err := json.Marshal(registration.Metadata{
		TokenEndpointAuthMethod: "tls_client_auth", TLSClientAuthSANDNS: id + ".example.com", GrantTypes: []string{"client_credentials"},
	})
	if err != nil {
		k.t.Error(err)
	}
	answer, ok := k.ask(http.DefaultClient, http.MethodPut, k.client(id), k.operator, string(body))
	return id, ok && answer.Status == http.StatusCreated
}

func (k *killing) there(id string, status int) error {
	if answer, ok := k.ask(http.DefaultClient, http.MethodGet, k.client(id), k.operator, ""); !ok || answer.Status != status {
		return fmt.Errorf("client %s: %s, want %d", id, answer, status)
	}
	return nil
}

func (k *killing) register() *promise {
	id, ok := k.put()
	if !ok {
		return nil
	}
	return &promise{"registration", func() error { return k.there(id, http.StatusOK) }}
}

func (k *killing) remove() *promise {
	id, ok := k.put()
	if !ok {
		return nil
	}
	if answer, ok := k.ask(http.DefaultClient, http.MethodDelete, k.client(id), k.operator, ""); !ok || answer.Status != http.StatusNoContent {
		return nil
	}
	return &promise{"deletion", func() error { return k.there(id, http.StatusNotFound) }}
}

// registered is software that has registered itself, as it was last acknowledged.
type registered struct{ id, secret, name, uri, token string }

// registration sends a request about a registration; false says that it was not
// acknowledged with this status.
func (k *killing) registration(method, uri, token string, status int, of *registered) bool {
	body, header := "", http.Header{"Content-Type": {registration.MediaJSON}}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	name := "Killed " + strconv.FormatUint(rand.Uint64(), 36)
	if method != http.MethodGet && method != http.MethodDelete {
		body = fmt.Sprintf(`{"client_name":%q,"token_endpoint_auth_method":"client_secret_post","grant_types":["client_credentials"],"scope":"accounts"}`, name)
	}
	answer, ok := k.ask(k.tls.HTTP, method, uri, header, body)
	if !ok || answer.Status != status {
		return false
	}
	if status < 300 {
		for member, at := range map[string]*string{"client_id": &of.id, "client_secret": &of.secret, "client_name": &of.name, "registration_client_uri": &of.uri, "registration_access_token": &of.token} {
			if text, ok := answer.JSON[member].(string); ok {
				*at = text
			}
		}
		if body != "" && of.name != name {
			k.t.Errorf("%s %s as %s: %s", method, uri, name, answer)
		}
	}
	return true
}

// itself registers software.
func (k *killing) itself() (*registered, bool) {
	of := &registered{}
	return of, k.registration(http.MethodPost, k.s.MTLS+"/reg", "", http.StatusCreated, of)
}

// keeps wants the registration to be as it was acknowledged last.
func (k *killing) keeps(of *registered) error {
	read := *of
	if !k.registration(http.MethodGet, of.uri, of.token, http.StatusOK, &read) || read != *of {
		return fmt.Errorf("acknowledged %+v, read %+v", *of, read)
	}
	return k.fetches(of, http.StatusOK)
}

// fetches wants an answer to a token request with the secret.
func (k *killing) fetches(of *registered, status int) error {
	answer, ok := k.post(k.tls, "/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {of.id}, "client_secret": {of.secret}})
	if !ok || answer.Status != status {
		return fmt.Errorf("token of %s: %s, want %d", of.id, answer, status)
	}
	return nil
}

func (k *killing) registerItself() *promise {
	of, ok := k.itself()
	if !ok {
		return nil
	}
	return &promise{"registration of its own", func() error { return k.keeps(of) }}
}

// changeItself has the last acknowledged registration access token work, also where a
// change, and with it another token, was not acknowledged.
func (k *killing) changeItself() *promise {
	of, ok := k.itself()
	if !ok {
		return nil
	}
	changed := k.registration(http.MethodPut, of.uri, of.token, http.StatusOK, of)
	return &promise{"update", func() error {
		if !changed && !k.registration(http.MethodPut, of.uri, of.token, http.StatusOK, of) {
			return fmt.Errorf("%s cannot go on with the token that was acknowledged last", of.id)
		}
		changed = true
		return k.keeps(of)
	}}
}

func (k *killing) deleteItself() *promise {
	of, ok := k.itself()
	if !ok || !k.registration(http.MethodDelete, of.uri, of.token, http.StatusNoContent, of) {
		return nil
	}
	return &promise{"deletion of its own", func() error {
		if !k.registration(http.MethodGet, of.uri, of.token, http.StatusUnauthorized, of) {
			return fmt.Errorf("%s can be read", of.id)
		}
		return k.fetches(of, http.StatusUnauthorized)
	}}
}

func (k *killing) useInitialToken() *promise {
	made, ok := k.ask(http.DefaultClient, http.MethodPost, k.s.Admin+"/realms/default/registration-tokens", k.operator, "{}")
	token, _ := made.JSON["token"].(string)
	of := &registered{}
	if !ok || !k.registration(http.MethodPost, k.s.MTLS+"/reg", token, http.StatusCreated, of) {
		return nil
	}
	return &promise{"initial access token", func() error {
		if !k.registration(http.MethodPost, k.s.MTLS+"/reg", token, http.StatusUnauthorized, of) {
			return fmt.Errorf("the token that registered %s is good again, or was lost", of.id)
		}
		return k.keeps(of)
	}}
}

func (k *killing) endSession() *promise {
	access, _, ok := k.token(k.refreshing, url.Values{"grant_type": {"client_credentials"}})
	if !ok {
		return nil
	}
	id, _ := claims(k.t, access)["jti"].(string)
	if answer, ok := k.ask(http.DefaultClient, http.MethodDelete, k.s.Admin+"/realms/default/sessions/"+id, k.operator, ""); !ok || answer.Status != http.StatusNoContent {
		return nil
	}
	return &promise{"session", func() error { return k.active(k.refreshing, access, false) }}
}
