package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server"
	"github.com/fapid/fapid/server/participant"
)

// bed is a directory that `fapid serve` can be started on, with three clients
// that the benchmarks play.
type bed struct {
	dir, config           string
	standard, mtls, admin string // host:port
	issuer                string

	tls, ps256, jwt  *participant.Participant
	recorded, opaque *participant.Participant
	directory        *participant.Participant // who signs software statements
}

// bedConfig is what an operator would write, and nothing else.
const bedConfig = `dir: data
listeners:
  standard: {address: "%s"}
  mtls: {address: "%s"}
  admin: {address: "%s"}
realms:
  default:
    policy: sandbox
    trust: {sandbox_ca: true}
`

// registering lets software register itself with the statements of a directory.
const registering = `    registration:
      max_clients: 1000000
      issuers:
        elsewhere: {ecosystem: rfc7591, issuer: "https://directory.example", keys: ../directory.jwks}
`

// makeBed writes the configuration, lets the server make its CA and keys, and
// registers the clients. more is added to the configuration of the realm.
func makeBed(tb testing.TB, more string) *bed {
	tb.Helper()
	bed := &bed{dir: tb.TempDir(), standard: freeAddress(tb), mtls: freeAddress(tb), admin: freeAddress(tb)}
	bed.config = filepath.Join(bed.dir, "fapid.yaml")
	bed.issuer = "https://" + bed.standard
	text := fmt.Sprintf(bedConfig, bed.standard, bed.mtls, bed.admin) + more
	bed.directory = bed.publishDirectory(tb)
	if err := os.WriteFile(bed.config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	s, err := openBed(context.Background(), bed.config, server.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			tb.Fatal(err)
		}
	}()
	bed.tls = bed.register(tb, s, registration.Metadata{ClientID: "by-certificate", TokenEndpointAuthMethod: oauth.AuthTLS, CertificateBoundTokens: true})
	bed.ps256 = bed.register(tb, s, registration.Metadata{ClientID: "by-certificate-ps256", TokenEndpointAuthMethod: oauth.AuthTLS, CertificateBoundTokens: true, AccessTokenSignedResponseAlg: "PS256"})
	bed.jwt = bed.register(tb, s, registration.Metadata{ClientID: "by-assertion", TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, TokenEndpointAuthSigningAlg: "ES256"})
	bed.recorded = bed.register(tb, s, registration.Metadata{ClientID: "recorded", TokenEndpointAuthMethod: oauth.AuthTLS, CertificateBoundTokens: true, RecordAccessTokens: true})
	bed.opaque = bed.register(tb, s, registration.Metadata{ClientID: "opaque", TokenEndpointAuthMethod: oauth.AuthTLS, CertificateBoundTokens: true, AccessTokenFormat: oauth.FormatOpaque})
	return bed
}

// publishDirectory makes the key that signs software statements, and publishes it.
func (bed *bed) publishDirectory(tb testing.TB) *participant.Participant {
	tb.Helper()
	key, err := certs.NewKey(certs.RSA2048)
	if err != nil {
		tb.Fatal(err)
	}
	directory := &participant.Participant{SigningKey: key, Metadata: registration.Metadata{TokenEndpointAuthSigningAlg: "PS256"}}
	if err := directory.Publish(false); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bed.dir, "directory.jwks"), directory.Metadata.JWKS, 0o600); err != nil {
		tb.Fatal(err)
	}
	return directory
}

// openBed opens the server as `fapid serve` does.
func openBed(ctx context.Context, file string, options server.Options) (*server.Server, error) {
	config, err := server.Load(server.Source{File: file})
	if err != nil {
		return nil, err
	}
	if err := config.Complete(); err != nil {
		return nil, err
	}
	if err := config.Unsafe(); err != nil {
		return nil, err
	}
	return server.Open(ctx, config, options)
}

// register gives a client its P-256 keys and certificate and registers it.
func (bed *bed) register(tb testing.TB, s *server.Server, metadata registration.Metadata) *participant.Participant {
	tb.Helper()
	metadata.GrantTypes, metadata.Scope = []string{"client_credentials"}, "accounts"
	p := &participant.Participant{Metadata: metadata}
	name, err := certs.NewName(certs.Attribute{Type: "C", Value: "GB"}, certs.Attribute{Type: "O", Value: "Example TPP Ltd"}, certs.Attribute{Type: "CN", Value: metadata.ClientID})
	if err != nil {
		tb.Fatal(err)
	}
	issued, err := s.CA().Issue(context.Background(), certs.ProfileClient, certs.Subject{Name: name, Owner: metadata.ClientID}, certs.KeyRequest{Algorithm: certs.P256})
	if err != nil {
		tb.Fatal(err)
	}
	p.Transport, p.TransportKey = issued.Chain, issued.Key
	if metadata.TokenEndpointAuthMethod == oauth.AuthTLS {
		presented, err := mtls.NewPresented(issued.Chain, "tls")
		if err != nil {
			tb.Fatal(err)
		}
		p.Metadata.TLSClientAuthSubjectDN = presented.Subject().String()
	}
	if p.SigningKey, err = certs.NewKey(certs.P256); err != nil {
		tb.Fatal(err)
	}
	if err := p.Publish(false); err != nil {
		tb.Fatal(err)
	}
	if _, _, err := s.Clients("default").Put(context.Background(), p.Metadata); err != nil {
		tb.Fatal(err)
	}
	return p
}

// handedOut are the addresses that freeAddress has given: a port is free again until
// somebody listens there.
var handedOut sync.Map

func freeAddress(tb testing.TB) string {
	tb.Helper()
	for {
		listener, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			tb.Fatal(err)
		}
		address := fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
		_ = listener.Close()
		if _, given := handedOut.LoadOrStore(address, true); !given {
			return address
		}
	}
}
