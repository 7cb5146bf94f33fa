package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fapid/fapid/server/servertest"
)

// TestShutdownDrains: a request that has begun when the server ends is answered,
// and a new connection is refused.
func TestShutdownDrains(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	config := tpp.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName, config.NextProtos = "localhost", []string{"http/1.1"}
	address := strings.TrimPrefix(s.MTLS, "https://")
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	body := "grant_type=client_credentials&client_id=tpp"
	_, _ = fmt.Fprintf(connection, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", address, len(body))
	answers := bufio.NewReader(connection)
	if response, err := http.ReadResponse(answers, nil); err != nil || response.StatusCode != http.StatusContinue {
		t.Fatalf("the server does not read the body: %v, %v", response, err)
	}
	_, _ = io.WriteString(connection, body[:10])

	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	eventually(t, "the end of new connections", func() bool {
		late, err := tls.Dial("tcp", address, config)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	})
	_, _ = io.WriteString(connection, body[10:])
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the request in flight was cut: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the request in flight was answered %d", response.StatusCode)
	}
	select {
	case <-stopped:
	case <-time.After(servertest.Patience):
		t.Error("the server did not end")
	}
}

// TestRevocationSurvivesRestart: a revoked token stays dead, a good one good.
func TestRevocationSurvivesRestart(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	dead, alive := tpp.Token(), tpp.Token()
	if answer := tpp.Post("revocation_endpoint", map[string][]string{"token": {dead}}); answer.Status != http.StatusOK {
		t.Fatalf("revocation: %s", answer)
	}
	s.Restart()
	tpp.Connect()
	if answer := tpp.Bank(dead); answer.Status != http.StatusUnauthorized {
		t.Errorf("revoked before the restart: %s", answer)
	}
	if answer := tpp.Bank(alive); answer.Status != http.StatusOK {
		t.Errorf("good before the restart: %s", answer)
	}
}

// TestKeyRotation: tokens of before a rotation stay verifiable, new ones are
// signed with the key that was published as next.
func TestKeyRotation(t *testing.T) {
	s := servertest.Start(t)
	tpp := s.TPP("tpp")
	before := tpp.Token()
	published := s.Do(tpp.HTTP, http.MethodGet, tpp.Provider.JWKSURI, nil, "").Body
	if err := s.RotateKey(t.Context(), "default", "ES256"); err != nil {
		t.Fatal(err)
	}
	after := tpp.Token()
	for name, token := range map[string]string{"before": before, "after": after} {
		if answer := tpp.Bank(token); answer.Status != http.StatusOK {
			t.Errorf("signed %s the rotation: %s", name, answer)
		}
	}
	kid := header(t, after)["kid"].(string)
	if kid == header(t, before)["kid"] {
		t.Error("the rotation changed no key")
	}
	if !strings.Contains(published, kid) {
		t.Error("the new key was not published before it signed")
	}
	s.Restart()
	tpp.Connect()
	if answer := tpp.Bank(before); answer.Status != http.StatusOK {
		t.Errorf("after a restart: %s", answer)
	}
}

// TestChangesUnderLoad: while signing keys are rotated and the CA file is written
// again and again, every other time as garbage, no honest client is refused.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	root := newPKI(t, "root")
	path := root.file(t)
	s := servertest.Start(t, trusting(path))
	s.TPP("leaf", named("dn", "CN=leaf,O=Attack"))
	key := newKey(t)
	chain := root.leaf(t, key, nil)
	var working sync.WaitGroup
	stop := make(chan struct{})
	work := func() {
		client := holder(t, s, key, chain...) // a handshake each time
		defer client.CloseIdleConnections()
		answer := s.Do(client, http.MethodPost, s.MTLS+"/token", servertest.Form, "grant_type=client_credentials&client_id=leaf")
		token, _ := answer.JSON["access_token"].(string)
		if answer.Status != http.StatusOK {
			t.Errorf("no token: %s", answer)
			return
		}
		answer = s.Do(client, http.MethodGet, s.MTLS+"/bank/accounts", http.Header{"Authorization": {"Bearer " + token}}, "")
		if answer.Status != http.StatusOK {
			t.Errorf("the bank: %s", answer)
		}
	}
	for range 3 {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					work()
				}
			}
		})
	}
	defer working.Wait()
	defer close(stop)
	changes := 0
	eventually(t, "good and bad CA files that were read", func() bool {
		text := append(root.pem(), newPKI(t, fmt.Sprint("other ", changes)).pem()...)
		if changes++; changes%2 == 0 {
			text = []byte("garbage")
		}
		if err := os.WriteFile(path, text, 0o600); err != nil { // in place, so that it may be read half written
			t.Fatal(err)
		}
		if changes <= 40 { // and then the set is full
			if err := s.RotateKey(t.Context(), "default", []string{"ES256", "PS256", "EdDSA"}[changes%3]); err != nil {
				t.Fatal(err)
			}
		}
		return changes > 10 && s.Log.Count("not taken up") > 0 && s.Log.Count("read again") > 0
	})
}
