package certs_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/fapid/fapid/certs"
	"github.com/fapid/fapid/testkeys"
)

// run runs another program on files of the folder, or skips the test.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(program, "is not installed")
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func exported(t *testing.T, s sandbox, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	files["ca.pem"] = certs.CertificatePEM(s.Root())
	files["issuing.pem"] = certs.CertificatePEM(s.Issuing())
	for name, content := range files {
		if err := certs.WritePrivate(filepath.Join(dir, name), content); err != nil {
			t.Fatal(err)
		}
		if state, err := os.Stat(filepath.Join(dir, name)); err != nil || state.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, state.Mode(), err)
		}
	}
	return dir
}

func TestOpenSSLReadsCertificates(t *testing.T) {
	s := newSandbox(t)
	issued := s.client(t, testkeys.RSA(1))
	rsa, _, err := s.IssueServer(t.Context(), []string{"localhost", "127.0.0.1"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), issued.Record.Serial, certs.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	crl, err := s.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := exported(t, s, map[string][]byte{
		"transport.pem": certs.CertificatePEM(issued.Chain...), "transport.key": mustKey(t, issued.Key),
		"server.pem": certs.CertificatePEM(rsa.Chain...), "ca.crl": crl, "crl.pem": crlPEM(crl),
	})
	at := []string{"-attime", timestamp(s.clock.now), "-x509_strict", "-CAfile", "ca.pem", "-untrusted", "issuing.pem"}
	run(t, dir, "openssl", append(append([]string{"verify", "-purpose", "sslclient"}, at...), "transport.pem")...)
	run(t, dir, "openssl", append(append([]string{"verify", "-purpose", "sslserver", "-verify_hostname", "localhost"}, at...), "server.pem")...)

	out := run(t, dir, "openssl", "crl", "-inform", "DER", "-in", "ca.crl", "-noout", "-text", "-CAfile", "issuing.pem")
	if !strings.Contains(out, "verify OK") || !strings.Contains(out, "Key Compromise") || !strings.Contains(strings.ToLower(out), issued.Record.Serial) {
		t.Errorf("openssl crl:\n%s", out)
	}
	arguments := append(append([]string{"verify", "-crl_check", "-CRLfile", "crl.pem"}, at...), "transport.pem")
	revoked := exec.CommandContext(t.Context(), "openssl", arguments...)
	revoked.Dir = dir
	if out, err := revoked.CombinedOutput(); err == nil || !strings.Contains(string(out), "certificate revoked") {
		t.Errorf("openssl verify -crl_check: %v\n%s", err, out)
	}

	key := run(t, dir, "openssl", "pkey", "-in", "transport.key", "-pubout")
	if public := run(t, dir, "openssl", "x509", "-in", "transport.pem", "-noout", "-pubkey"); public != key {
		t.Error("transport.key is not the key of transport.pem")
	}
	serial := strings.TrimSpace(strings.TrimPrefix(run(t, dir, "openssl", "x509", "-in", "transport.pem", "-noout", "-serial"), "serial="))
	if parsed, err := certs.ParseSerial(serial); err != nil || parsed != issued.Record.Serial {
		t.Errorf("serial %s: %s %v", serial, parsed, err)
	}
	subject := run(t, dir, "openssl", "x509", "-in", "transport.pem", "-noout", "-subject", "-nameopt", "RFC2253,show_type,-esc_msb,utf8")
	if !strings.Contains(subject, "CN=UTF8STRING:tpp") || !strings.Contains(subject, "C=PRINTABLESTRING:GB") {
		t.Errorf("string types: %s", subject)
	}
}

func timestamp(at time.Time) string { return strings.TrimSpace(jsonOf(at.Unix())) }

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestPKCS12(t *testing.T) {
	s := newSandbox(t)
	for name, key := range map[string]crypto.Signer{"RSA": testkeys.RSA(1), "P-256": testkeys.P256(1)} {
		issued := s.client(t, key)
		p12, err := certs.PKCS12(issued.Key, issued.Chain, "changeit")
		if err != nil {
			t.Fatal(err)
		}
		dir := exported(t, s, map[string][]byte{"transport.p12": p12})
		t.Run(name+" in OpenSSL", func(t *testing.T) {
			out := run(t, dir, "openssl", "pkcs12", "-info", "-in", "transport.p12", "-passin", "pass:changeit", "-nodes")
			if strings.Count(out, "BEGIN CERTIFICATE") != 2 || !strings.Contains(out, "BEGIN PRIVATE KEY") || strings.Contains(out, "RC2") {
				t.Error(out)
			}
		})
		t.Run(name+" in Java", func(t *testing.T) {
			out := run(t, dir, "keytool", "-list", "-v", "-storetype", "PKCS12", "-keystore", "transport.p12", "-storepass", "changeit")
			if !strings.Contains(out, "PrivateKeyEntry") || !strings.Contains(out, "Certificate chain length: 2") {
				t.Error(out)
			}
		})
	}
	if _, err := certs.PKCS12(testkeys.P256(1), nil, "x"); err == nil {
		t.Error("a key without certificate")
	}
}

func TestKeyPEM(t *testing.T) {
	for _, key := range []crypto.Signer{testkeys.RSA(1), testkeys.P256(1), testkeys.Ed25519(1)} {
		back, err := certs.ParseKey(mustKey(t, key))
		if err != nil || !back.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%T: %v", key, err)
		}
	}
	ec, err := x509.MarshalECPrivateKey(testkeys.P256(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(testkeys.RSA(1)), "EC PRIVATE KEY": ec,
	} {
		if _, err := certs.ParseKey(pem.EncodeToMemory(&pem.Block{Type: name, Bytes: text})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "garbage": "hello", "public": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"broken": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := certs.ParseKey([]byte(text)); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}

func TestJWK(t *testing.T) {
	s := newSandbox(t)
	for _, test := range []struct {
		key      crypto.Signer
		alg, kty string
	}{{testkeys.RSA(1), "PS256", "RSA"}, {testkeys.P256(1), "ES256", "EC"}, {testkeys.Ed25519(1), "EdDSA", "OKP"}} {
		issued, err := s.Issue(t.Context(), certs.ProfileSigning, tpp(t), certs.KeyRequest{Key: test.key})
		if err != nil {
			t.Fatal(err)
		}
		private, err := certs.PrivateJWK(test.key, certs.JWKOptions{Chain: issued.Chain})
		if err != nil {
			t.Fatal(err)
		}
		public, err := certs.PublicJWK(test.key.Public(), certs.JWKOptions{Chain: issued.Chain})
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(jsonOf(public)), &members); err != nil {
			t.Fatal(err)
		}
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		x5c, _ := members["x5c"].([]any)
		if members["kid"] != base64.RawURLEncoding.EncodeToString(thumbprint) || members["alg"] != test.alg || members["use"] != "sig" ||
			members["kty"] != test.kty || members["x5t#S256"] != issued.Record.Thumbprint || len(x5c) != 2 ||
			x5c[0] != base64.StdEncoding.EncodeToString(issued.Certificate.Raw) || members["d"] != nil {
			t.Errorf("%v", members)
		}
		var back jose.JSONWebKey
		if err := back.UnmarshalJSON([]byte(jsonOf(private))); err != nil || back.IsPublic() || !back.Valid() || back.KeyID != public.KeyID {
			t.Errorf("private JWK: %v", err)
		}
	}
	named, err := certs.PublicJWK(testkeys.RSA(1).Public(), certs.JWKOptions{KeyID: "one", Algorithm: "RSA-OAEP", Use: "enc"})
	if err != nil || named.KeyID != "one" || named.Algorithm != "RSA-OAEP" || named.Use != "enc" || named.Certificates != nil {
		t.Errorf("%+v %v", named, err)
	}
	_, err = certs.PublicJWK("no key", certs.JWKOptions{})
	refused(t, err, "unsupported kind")
}

// TestCertificateJWK: what directories publish of a certificate.
func TestCertificateJWK(t *testing.T) {
	s := newSandbox(t)
	for _, test := range []struct {
		profile  certs.Profile
		values   values
		use, alg string
	}{
		{certs.ProfileBRCAC, brazilValues, "sig", "PS256"},
		{certs.ProfileUAEEncryption, uaeValues, "enc", "RSA-OAEP"},
	} {
		name, err := test.profile.Name(test.values)
		if err != nil {
			t.Fatal(err)
		}
		issued, err := s.Issue(t.Context(), test.profile, certs.Subject{Name: name}, certs.KeyRequest{Key: testkeys.RSA(1)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := certs.CertificateJWK(issued.Chain...)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		x5c, _ := members["x5c"].([]any)
		if members["x5dn"] != name.Brazil() || members["use"] != test.use || members["alg"] != test.alg || members["x5t#S256"] != issued.Record.Thumbprint ||
			len(x5c) != 2 || members["kid"] == "" || members["n"] == nil || members["d"] != nil {
			t.Errorf("%s", text)
		}
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(text); err != nil || !key.IsPublic() {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	now := newClock().now
	for _, key := range []crypto.Signer{testkeys.RSA(1), testkeys.P256(1)} {
		certificate, err := certs.SelfSigned(tpp(t), key, now, 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		options := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if _, err := certificate.Verify(options); err != nil {
			t.Error(err)
		}
		if certificate.IsCA || !bytes.Equal(certificate.RawIssuer, certificate.RawSubject) || !certificate.NotAfter.Equal(now.Add(24*time.Hour)) ||
			len(certificate.DNSNames)+len(certificate.IPAddresses)+len(certificate.URIs)+len(certificate.EmailAddresses) != 4 {
			t.Errorf("%+v", certificate)
		}
		if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
			t.Error(err)
		}
	}
	_, err := certs.SelfSigned(tpp(t), testkeys.Ed25519(1), now, time.Hour)
	refused(t, err, "takes keys of")
}

// TestThumbprint: the record holds what openssl computes.
func TestThumbprint(t *testing.T) {
	s := newSandbox(t)
	issued := s.client(t, testkeys.P256(1))
	block, _ := pem.Decode([]byte(issued.Record.PEM))
	sum := sha256.Sum256(block.Bytes)
	if issued.Record.Thumbprint != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Error("thumbprint", issued.Record.Thumbprint)
	}
}
