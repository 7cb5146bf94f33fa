package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/oauth"
	"github.com/fapid/fapid/registration"
	"github.com/fapid/fapid/server/participant"
	"github.com/fapid/fapid/server/users"
	"github.com/fapid/fapid/store"
)

// Loopback is this machine: where a tester's own jwks_uri may be.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Doors are the listeners as the command line of `fapid dev` has them.
type Doors struct {
	Host                                     string
	Port, MTLSPort, DirectoryPort, AdminPort int
	// Given says that the command line named any of them.
	Given bool
}

// sandboxConfig is the configuration of a fresh sandbox.
func sandboxConfig(dir string, doors Doors) Config {
	at := func(scheme, host string, port int) Listener {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		return Listener{Address: address, URL: scheme + "://" + address}
	}
	realms := map[string]*Realm{}
	for name, realm := range sampleRealms() {
		realm.Trust, realm.JWKS = Trust{SandboxCA: true}, Fetch{AllowPrivate: Loopback}
		realms[name] = realm
	}
	directory := at("https", doors.Host, doors.DirectoryPort)
	config := Config{
		Dir: dir,
		Listeners: Listeners{
			Standard:  at("https", doors.Host, doors.Port),
			MTLS:      at("https", doors.Host, doors.MTLSPort),
			Directory: &directory,
			Admin:     at("http", "localhost", doors.AdminPort),
		},
		Policies: samplePolicies(),
		Realms:   realms,
	}
	// In Aidbox a token is for all of it, its resources included.
	realms["aidbox"].Audience = config.managementAudience("aidbox")
	return config
}

// LoadSandbox reads the directory's fapid.yaml, which it writes where there is
// none. Doors given on the command line change a file that nobody has edited;
// an edited one keeps its word, and the doors override it for this run.
func LoadSandbox(dir string, env []string, doors Doors) (Config, error) {
	file := filepath.Join(dir, "fapid.yaml")
	fresh, err := renderSandbox(dir, doors)
	if err != nil {
		return Config{}, err
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return Config{}, err
		}
		text, err = fresh, certs.WritePrivate(file, fresh)
	case err == nil && doors.Given && !bytes.Equal(text, fresh) && unedited(dir, text):
		text, err = fresh, certs.WritePrivate(file, fresh)
	}
	if err != nil {
		return Config{}, err
	}
	source := Source{File: file, YAML: text, Env: env, Flags: map[string]string{"dir": dir}}
	if doors.Given && !bytes.Equal(text, fresh) {
		maps.Copy(source.Flags, doors.flags())
	}
	config, err := Load(source)
	if err != nil {
		return Config{}, err
	}
	return config, config.Complete()
}

// renderSandbox writes a fresh sandbox's configuration, commented and complete.
func renderSandbox(dir string, doors Doors) ([]byte, error) {
	config := sandboxConfig(dir, doors)
	if err := config.Complete(); err != nil {
		return nil, err
	}
	config.Dir = "."
	return config.YAML(true)
}

// unedited reports whether a file is what some command line of `fapid dev` wrote.
func unedited(dir string, text []byte) bool {
	config, err := Load(Source{File: filepath.Join(dir, "fapid.yaml"), YAML: text})
	if err != nil {
		return false
	}
	if config.Listeners.Directory == nil {
		return false
	}
	var doors Doors
	for _, at := range []struct {
		address string
		port    *int
	}{
		{config.Listeners.Admin.Address, &doors.AdminPort},
		{config.Listeners.Directory.Address, &doors.DirectoryPort},
		{config.Listeners.MTLS.Address, &doors.MTLSPort},
		{config.Listeners.Standard.Address, &doors.Port},
	} {
		host, port, err := net.SplitHostPort(at.address)
		if err != nil {
			return false
		}
		if *at.port, err = strconv.Atoi(port); err != nil {
			return false
		}
		doors.Host = host
	}
	written, err := renderSandbox(dir, doors)
	return err == nil && bytes.Equal(written, text)
}

// flags are the doors as overrides of a configuration file.
func (d Doors) flags() map[string]string {
	listeners := sandboxConfig("", d).Listeners
	return map[string]string{
		"listeners.standard.address": listeners.Standard.Address, "listeners.standard.url": listeners.Standard.URL,
		"listeners.mtls.address": listeners.MTLS.Address, "listeners.mtls.url": listeners.MTLS.URL,
		"listeners.directory.address": listeners.Directory.Address, "listeners.directory.url": listeners.Directory.URL,
		"listeners.admin.address": listeners.Admin.Address, "listeners.admin.url": listeners.Admin.URL,
	}
}

// OpenSandbox is [Open] with sample users and clients, made where they are
// missing. fapid is how curl.sh calls this program; progress is told of work
// that takes a while.
func OpenSandbox(ctx context.Context, config Config, fapid string, options Options, progress func(string)) (*Server, error) {
	if _, err := os.Stat(filepath.Join(config.Dir, "clients")); err != nil {
		progress("Making a CA, certificates, keys and sample clients in " + config.Dir + " ...")
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, err
	}
	s, err := Open(ctx, config, options)
	if err != nil {
		return nil, err
	}
	if err := s.furnishAll(ctx, fapid); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// furnishAll makes the sample clients that are missing: keys, certificates,
// folder and registration. What is there already stays as it is.
func (s *Server) furnishAll(ctx context.Context, fapid string) error {
	if err := s.furnishDirectory(ctx); err != nil {
		return err
	}
	failures := make([]error, len(samples))
	var making sync.WaitGroup
	for i, sample := range samples {
		making.Go(func() {
			if failures[i] = s.furnish(ctx, sample); failures[i] == nil {
				failures[i] = s.writeCurl(sample, fapid)
			}
		})
	}
	making.Wait()
	if err := errors.Join(append(failures, s.furnishAPIs(ctx), s.furnishUsers(ctx))...); err != nil {
		return err
	}
	s.renewSamples(ctx)
	return nil
}

// furnishAPIs registers the sample APIs that are missing.
func (s *Server) furnishAPIs(ctx context.Context) error {
	for realm, apis := range sampleAPIs {
		for _, api := range apis {
			if s.APIs(realm) == nil {
				continue
			}
			if api.ID == "" {
				api.ID = s.config.Realms[realm].Audience
			}
			if _, ok := s.APIs(realm).Get(api.ID); ok {
				continue
			}
			if _, err := s.APIs(realm).Put(ctx, api); err != nil {
				return fmt.Errorf("sample API %s: %w", api.ID, err)
			}
		}
	}
	return nil
}

// furnishUsers gives every realm the sample users.
func (s *Server) furnishUsers(ctx context.Context) error {
	for name, realm := range s.realms {
		for _, user := range sampleUsers() {
			if err := s.furnishUser(ctx, realm, user); err != nil {
				return fmt.Errorf("sample user %s of realm %s: %w", user.UserName, name, err)
			}
		}
	}
	return nil
}

// furnishUser gives a realm a sample user once: one that was deleted stays away.
func (s *Server) furnishUser(ctx context.Context, realm *realm, user users.User) error {
	given := store.Table[time.Time]{Store: s.store, Name: realm.name + "/sample-user", Now: realm.now}
	there, err := given.Has(ctx, user.UserName)
	if err != nil || there {
		return err
	}
	if _, known := realm.users.ByUserName(user.UserName); !known {
		if _, err := realm.users.Create(ctx, user); err != nil {
			return err
		}
	}
	return given.Put(ctx, user.UserName, realm.now(), time.Time{})
}

func (s *Server) furnish(ctx context.Context, sample sample) error {
	realm, ok := s.realms[sample.realm]
	if !ok {
		return nil // the configuration was changed; nothing to put there
	}
	dir := s.clientDir(sample.id)
	p, err := participant.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if p, err = s.make(ctx, sample); err != nil {
			return fmt.Errorf("sample client %s: %w", sample.id, err)
		}
		if err := p.Save(dir); err != nil {
			return fmt.Errorf("sample client %s: %w", sample.id, err)
		}
	case err != nil:
		return err
	}
	if _, ok := realm.clients.Get(sample.id); !ok {
		metadata := p.Metadata
		metadata.ClientSecret = registration.Secret(p.Secret)
		if _, _, err := realm.clients.Put(ctx, metadata); err != nil {
			return fmt.Errorf("sample client %s: %w", sample.id, err)
		}
	}
	if err := s.enrol(ctx, sample, p); err != nil {
		return fmt.Errorf("software of sample client %s: %w", sample.id, err)
	}
	return nil
}

// clientDir is the folder of a sample client.
func (s *Server) clientDir(id string) string { return s.path(filepath.Join("clients", id)) }

// make gives a sample its keys, certificates and metadata.
func (s *Server) make(ctx context.Context, sample sample) (*participant.Participant, error) {
	p := &participant.Participant{Secret: sample.secret, Metadata: registration.Metadata{
		ClientID: sample.id, ClientName: sample.name, Policy: sample.policy,
		TokenEndpointAuthMethod: sample.method, TokenEndpointAuthSigningAlg: sample.alg,
		GrantTypes: sample.grantTypes(), Scope: strings.Join(sample.scopes(s.config.Realms[sample.realm]), " "),
		CertificateBoundTokens: sample.bound, DPoPBoundTokens: sample.dpop,
		AccessTokenSignedResponseAlg: sample.alg, AccessTokenExpiration: sample.lifetime,
	}}
	if sample.opaque {
		p.Metadata.AccessTokenFormat = oauth.FormatOpaque
	}
	if sample.secret != "" {
		return p, nil
	}
	if sample.transport != "" {
		if err := s.makeTransport(ctx, sample, p); err != nil {
			return nil, err
		}
	}
	if err := s.makeSigning(ctx, sample, p); err != nil {
		return nil, err
	}
	return p, p.Publish(sample.selfSigned)
}

// subject is the name a sample certificate carries.
func subject(sample sample) (certs.Subject, error) {
	name, err := certs.NewName(
		certs.Attribute{Type: "C", Value: "GB"},
		certs.Attribute{Type: "O", Value: "Example TPP Ltd"},
		certs.Attribute{Type: "OU", Value: "fapid sandbox"},
		certs.Attribute{Type: "CN", Value: sample.id},
	)
	return certs.Subject{Name: name, DNS: []string{sample.id + ".example.com"}, Owner: sample.id}, err
}

// selfSignedLife is how long a self-made sample certificate lasts.
const selfSignedLife = 365 * 24 * time.Hour

func (s *Server) makeTransport(ctx context.Context, sample sample, p *participant.Participant) error {
	holder, err := subject(sample)
	if err != nil {
		return err
	}
	if sample.selfSigned {
		if p.TransportKey, err = certs.NewKey(sample.transport); err != nil {
			return err
		}
		leaf, err := certs.SelfSigned(holder, p.TransportKey, s.options.Now(), selfSignedLife)
		p.Transport = []*x509.Certificate{leaf}
		return err
	}
	issued, err := s.ca.Issue(ctx, certs.ProfileClient, holder, certs.KeyRequest{Algorithm: sample.transport})
	if err != nil {
		return err
	}
	p.Transport, p.TransportKey = issued.Chain, issued.Key
	if sample.method != oauth.AuthTLS {
		return nil
	}
	if sample.san {
		p.Metadata.TLSClientAuthSANDNS = holder.DNS[0]
		return nil
	}
	presented, err := mtls.NewPresented(issued.Chain, "tls")
	if err != nil {
		return err
	}
	p.Metadata.TLSClientAuthSubjectDN = presented.Subject().String()
	return nil
}

// makeSigning makes the key for assertions and request objects: RSA-2048 for
// PS256, as every ecosystem issues it, P-256 for ES256.
func (s *Server) makeSigning(ctx context.Context, sample sample, p *participant.Participant) error {
	holder, err := subject(sample)
	if err != nil {
		return err
	}
	holder.DNS = nil
	algorithm := certs.RSA2048
	if sample.alg == "ES256" || sample.transport == certs.P256 {
		algorithm = certs.P256
	}
	issued, err := s.ca.Issue(ctx, certs.ProfileSigning, holder, certs.KeyRequest{Algorithm: algorithm})
	if err != nil {
		return err
	}
	p.Signing, p.SigningKey = issued.Chain, issued.Key
	return nil
}
