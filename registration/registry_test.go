package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/oauth/jwk/jwktest"
	"github.com/fapid/fapid/store"
	"github.com/fapid/fapid/testkeys"
)

func TestRegistrySurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fapid.db")
	s := openStore(t, path)
	registry := openRegistry(t, fixtureConfig(t, s))
	hmac := secretClient(strings.Repeat("long", 8))
	hmac.ClientID, hmac.TokenEndpointAuthMethod = "hmac", oauth.AuthSecretJWT
	signed := jwtClient(jwktest.Set(t, jwktest.Certified(t, testkeys.P256(1), "k1")))
	for _, m := range []Metadata{tlsClient(), signed, secretClient("verysecret"), hmac} {
		if _, created, err := registry.Put(t.Context(), m); err != nil || !created {
			t.Fatal(m.ClientID, created, err)
		}
	}
	before := registry.List("", 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"verysecret", string(hmac.ClientSecret)} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the secret %q is in the file", secret)
		}
	}

	s = openStore(t, path)
	defer s.Close()
	registry = openRegistry(t, fixtureConfig(t, s))
	after := registry.List("", 10)
	if len(after) != len(before) {
		t.Fatalf("%d clients, were %d", len(after), len(before))
	}
	for i := range after {
		was, is := *before[i], *after[i]
		was.sealer, was.Certificate, is.sealer, is.Certificate = nil, nil, nil, nil
		if !reflect.DeepEqual(was, is) { //nolint:govet // errors in it would be the same values
			t.Errorf("%s was\n%+v, is\n%+v", was.ID, was, is)
		}
	}
	api, _ := registry.Get("api-client")
	if !api.CheckSecret("verysecret") {
		t.Error("the secret is forgotten")
	}
	client, _ := registry.Get("hmac")
	if key, err := client.SecretKey(); err != nil || string(key) != string(hmac.ClientSecret) {
		t.Errorf("SecretKey = %q, %v", key, err)
	}
}

func TestCheckSecret(t *testing.T) {
	registry := newRegistry(t)
	client, _, err := registry.Put(t.Context(), secretClient("verysecret"))
	if err != nil {
		t.Fatal(err)
	}
	for presented, want := range map[string]bool{
		"verysecret": true, "": false, "verysecreT": false, "verysecret\x00": false, "verysecre": false,
		strings.Repeat("x", 1<<20): false,
	} {
		if client.CheckSecret(presented) != want {
			t.Errorf("CheckSecret(%.20q) = %t", presented, !want)
		}
	}
	if _, err := client.SecretKey(); err == nil {
		t.Error("a client_secret_basic client's secret can be recovered")
	}
	other := secretClient("verysecret")
	other.ClientID = "other"
	second, _, err := registry.Put(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(client.secret.Hash, second.secret.Hash) {
		t.Error("two clients with one secret have one hash")
	}
	if again := newCredential(client.sealer, client.ID, "verysecret"); bytes.Equal(client.secret.Hash, again.Hash) {
		t.Error("the hash has no salt: it tells that a secret is back")
	}
	long := strings.Repeat("x", maxSecretBytes+1)
	if newCredential(client.sealer, client.ID, long).matches(client.sealer, client.ID, long) {
		t.Error("a secret longer than any that can be registered was hashed")
	}
	tls, _, err := registry.Put(t.Context(), tlsClient())
	if err != nil || tls.CheckSecret("") || tls.CheckSecret("x") {
		t.Errorf("a client without a secret: %v", err)
	}
}

// A hash or sealed secret moved to another client's record is worth nothing.
func TestSecretsAreTiedToTheirClient(t *testing.T) {
	registry := newRegistry(t)
	m := secretClient(strings.Repeat("s", 64))
	m.TokenEndpointAuthMethod = oauth.AuthSecretJWT
	client, _, err := registry.Put(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	moved := *client
	moved.ID = "victim"
	if moved.CheckSecret(string(m.ClientSecret)) {
		t.Error("the hash of one client is good for another")
	}
	if _, err := moved.SecretKey(); !errors.Is(err, store.ErrSealBroken) {
		t.Errorf("the sealed secret of one client opens for another: %v", err)
	}
}

func TestPutIsIdempotent(t *testing.T) {
	counter := &countingStore{Store: openStore(t, filepath.Join(t.TempDir(), "fapid.db"))}
	defer counter.Close()
	registry := openRegistry(t, fixtureConfig(t, counter))
	for _, m := range []Metadata{tlsClient(), jwtClient(oneKey(t)), secretClient("verysecret")} {
		first, created, err := registry.Put(t.Context(), m)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		if m.JWKS != nil { // another layout of the same set
			m.JWKS = json.RawMessage(strings.ReplaceAll(string(m.JWKS), ",", " ,\n"))
		}
		writes := counter.updates
		again, created, err := registry.Put(t.Context(), m)
		if err != nil || created || again != first {
			t.Errorf("%s: the second put gave created %t, %v", m.ClientID, created, err)
		}
		shown := first.Metadata // what `show` prints can be put back
		if again, _, err = registry.Put(t.Context(), shown); err != nil || again != first {
			t.Errorf("%s: putting back what was read: %v", m.ClientID, err)
		}
		if counter.updates != writes {
			t.Errorf("%s: putting the same twice wrote %d times more", m.ClientID, counter.updates-writes)
		}
	}
}

func TestPutKeepsReplacesAndDropsTheSecret(t *testing.T) {
	registry := newRegistry(t)
	put := func(change func(*Metadata)) (*Client, error) {
		m := secretClient("")
		change(&m)
		client, _, err := registry.Put(t.Context(), m)
		return client, err
	}
	long := strings.Repeat("l", 32)
	steps := []struct {
		name   string
		change func(*Metadata)
		secret string // that must be right afterwards; empty: the put is refused
	}{
		{"first", func(m *Metadata) { m.ClientSecret = "one-secret" }, "one-secret"},
		{"kept", func(m *Metadata) { m.ClientName = "N" }, "one-secret"},
		{"kept over a change of method", func(m *Metadata) { m.TokenEndpointAuthMethod = oauth.AuthSecretPost }, "one-secret"},
		{"replaced", func(m *Metadata) { m.ClientSecret = "two-secret" }, "two-secret"},
		{"only a hash of it is kept", func(m *Metadata) { m.TokenEndpointAuthMethod = oauth.AuthSecretJWT }, ""},
		{"sealed", func(m *Metadata) { m.TokenEndpointAuthMethod, m.ClientSecret = oauth.AuthSecretJWT, Secret(long) }, long},
		{"unsealed again", func(m *Metadata) {}, long},
	}
	for _, step := range steps {
		client, err := put(step.change)
		if step.secret == "" {
			wantRefusal(t, err, oauth.CodeInvalidClientMetadata, "client_secret is missing; only a hash")
			continue
		}
		if err != nil || !client.CheckSecret(step.secret) {
			t.Fatalf("%s: %v", step.name, err)
		}
		if sealed := client.secret.Sealed != nil; sealed != (client.AuthMethod == oauth.AuthSecretJWT) {
			t.Errorf("%s: sealed is %t for %s", step.name, sealed, client.AuthMethod)
		}
	}
	m := jwtClient(oneKey(t))
	m.ClientID = "api-client"
	if client, _, err := registry.Put(t.Context(), m); err != nil || client.secret != nil {
		t.Errorf("the secret outlives its method: %v", err)
	}
	if _, err := put(func(*Metadata) {}); err == nil {
		t.Error("a dropped secret came back")
	}
}

// An update is judged as a whole: no way from a strict client to a weak one
// through a change that is harmless by itself.
func TestUpdateIsJudgedAsANewRegistration(t *testing.T) {
	registry := newRegistry(t)
	if _, _, err := registry.Put(t.Context(), tlsClient()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Metadata){
		"weaker method": func(m *Metadata) { m.TokenEndpointAuthMethod, m.ClientSecret = oauth.AuthSecretBasic, "x" },
		"more scope":    func(m *Metadata) { m.Scope = "accounts admin" },
		"public":        func(m *Metadata) { m.TokenEndpointAuthMethod, m.TLSClientAuthSubjectDN = "none", "" },
	} {
		m := tlsClient()
		change(&m)
		if _, _, err := registry.Put(t.Context(), m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	client, _ := registry.Get("tpp-tls")
	if client.AuthMethod != oauth.AuthTLS || client.Scope.String() != "accounts payments" {
		t.Errorf("a refused update left its mark: %+v", client)
	}
}

func TestDurableBeforeVisible(t *testing.T) {
	broken := &countingStore{Store: openStore(t, filepath.Join(t.TempDir(), "fapid.db"))}
	defer broken.Close()
	registry := openRegistry(t, fixtureConfig(t, broken))
	if _, _, err := registry.Put(t.Context(), tlsClient()); err != nil {
		t.Fatal(err)
	}
	broken.fail = errors.New("disk full")
	m := tlsClient()
	m.Scope = "payments"
	if _, _, err := registry.Put(t.Context(), m); !errors.Is(err, broken.fail) {
		t.Errorf("Put = %v", err)
	}
	if client, _ := registry.Get("tpp-tls"); client.Scope.String() != "accounts payments" {
		t.Error("a registration that is not on disk is served")
	}
	if err := registry.Delete(t.Context(), "tpp-tls"); !errors.Is(err, broken.fail) {
		t.Errorf("Delete = %v", err)
	}
	if _, ok := registry.Get("tpp-tls"); !ok {
		t.Error("a client that is still on disk is gone")
	}
}

func TestDeleteAndList(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fapid.db"))
	defer s.Close()
	registry := openRegistry(t, fixtureConfig(t, s))
	for _, id := range []string{"c", "a", "e", "b", "d"} {
		m := tlsClient()
		m.ClientID = id
		if _, _, err := registry.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(after string, limit int) (text string) {
		for _, client := range registry.List(after, limit) {
			text += client.ID
		}
		return text
	}
	for _, test := range []struct {
		after string
		limit int
		want  string
	}{{"", 10, "abcde"}, {"", 2, "ab"}, {"b", 2, "cd"}, {"bb", 2, "cd"}, {"e", 2, ""}, {"z", 2, ""}, {"", 0, ""}, {"", -1, ""}} {
		if got := ids(test.after, test.limit); got != test.want {
			t.Errorf("List(%q, %d) = %q, want %q", test.after, test.limit, got, test.want)
		}
	}
	if err := registry.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, ok := registry.Get("c"); ok || ids("", 10) != "abde" {
		t.Error("the deleted client is still there")
	}
	if err := registry.Delete(t.Context(), "c"); oauth.AsError(err).Code != oauth.CodeNotFound {
		t.Errorf("deleting it again: %v", err)
	}
	if got := openRegistry(t, fixtureConfig(t, s)).List("", 10); len(got) != 4 {
		t.Errorf("%d clients on disk", len(got))
	}
}

// A client that the rules no longer allow is not served, does not keep the
// others from being served, and can be repaired or deleted.
func TestOpenKeepsRefusedClientsAside(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fapid.db"))
	defer s.Close()
	config := fixtureConfig(t, s)
	registry := openRegistry(t, config)
	for _, m := range []Metadata{tlsClient(), jwtClient(oneKey(t))} {
		if _, _, err := registry.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	config.AllowTestKeys = false
	registry = openRegistry(t, config)
	if _, ok := registry.Get("tpp-jwt"); ok {
		t.Error("a client with a test key is served")
	}
	if _, ok := registry.Get("tpp-tls"); !ok {
		t.Error("a good client is not served")
	}
	wantRefusal(t, registry.Refused()["tpp-jwt"], oauth.CodeInvalidClientMetadata, "test key")

	m := jwtClient(nil)
	m.JWKSURI = "https://tpp.example/jwks"
	if _, created, err := registry.Put(t.Context(), m); err != nil || created || len(registry.Refused()) != 0 {
		t.Errorf("repair: created %t, %v, refused %v", created, err, registry.Refused())
	}
	registry = openRegistry(t, config)
	if err := registry.Delete(t.Context(), "tpp-jwt"); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestAnotherMasterKeyServesNoSealedSecret(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fapid.db"))
	defer s.Close()
	config := fixtureConfig(t, s)
	m := secretClient(strings.Repeat("s", 64))
	m.TokenEndpointAuthMethod = oauth.AuthSecretJWT
	if _, _, err := openRegistry(t, config).Put(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	config.Sealer, _ = store.NewSealer(make([]byte, 32), "default/secrets")
	wantRefusal(t, openRegistry(t, config).Refused()["api-client"], oauth.CodeInvalidClientMetadata, "client_secret cannot be opened")
}

func TestRealmsAreApart(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fapid.db"))
	defer s.Close()
	config := fixtureConfig(t, s)
	if _, _, err := openRegistry(t, config).Put(t.Context(), tlsClient()); err != nil {
		t.Fatal(err)
	}
	config.Realm = "defaul"
	if got := openRegistry(t, config).List("", 10); len(got) != 0 {
		t.Errorf("another realm has %s", got[0].ID)
	}
}

func TestCallersCannotChangeAClient(t *testing.T) {
	registry := newRegistry(t)
	m := jwtClient(oneKey(t))
	m.Contacts = []string{"a@b.example"}
	client, _, err := registry.Put(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	m.GrantTypes[0], m.Contacts[0] = "password", "x"
	copy(m.JWKS, "xxxx")
	if client.GrantTypes[0] != "client_credentials" || client.Metadata.Contacts[0] != "a@b.example" || client.Metadata.JWKS[0] != '{' {
		t.Error("the client shares memory with what was put")
	}
}

func TestOpenWantsItsParts(t *testing.T) {
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("opened without a store")
	}
}

func TestRegistryUnderLoad(t *testing.T) {
	registry := newRegistry(t)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 20 {
				m := tlsClient()
				m.ClientID = fmt.Sprintf("c%d", i)
				m.SoftwareVersion = fmt.Sprint(worker)
				if _, _, err := registry.Put(t.Context(), m); err != nil {
					t.Error(err)
				}
				registry.Get(m.ClientID)
				registry.List("", 5)
				if i%5 == worker {
					_ = registry.Delete(t.Context(), m.ClientID) // racers may have been first
				}
			}
		})
	}
	group.Wait()
	for _, client := range registry.List("", 100) {
		if got, ok := registry.Get(client.ID); !ok || got != client {
			t.Errorf("%s is listed and not served", client.ID)
		}
	}
}

// countingStore counts writes and can be made to fail.
type countingStore struct {
	store.Store
	updates int
	fail    error
}

func (s *countingStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	if s.fail != nil {
		return s.fail
	}
	s.updates++
	return s.Store.Update(ctx, fn)
}
