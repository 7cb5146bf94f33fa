package mtls

import (
	"container/list"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// The formats of a forwarded certificate.
const (
	FormatRFC9440    = "rfc9440"     // Client-Cert: :base64 of DER:
	FormatPEMEscaped = "pem-escaped" // nginx $ssl_client_escaped_cert
	FormatXFCC       = "xfcc"        // Envoy X-Forwarded-Client-Cert
)

// maxForwarded bounds a header with a certificate or a chain.
const maxForwarded = 16 << 10

// certificateHeaders are the names under which proxies forward certificates,
// in lower case with '-' for '_', which many gateways make the same.
var certificateHeaders = []string{
	"client-cert", "client-cert-chain", "x-client-cert",
	"ssl-client-cert", "x-ssl-client-cert", "x-forwarded-client-cert",
}

// Forwarding says how a TLS-terminating proxy hands the client's certificate
// on. Nothing else that a proxy says is believed: not the client's address, not
// the host, not "the certificate was verified". It must not be copied after
// first use.
type Forwarding struct {
	Trusted     []netip.Prefix // addresses of the proxies
	Header      string         // "" means the header of the format
	ChainHeader string         // optional; "" means that of the format
	Format      string         // one of the Format constants

	cache forwardedCache
}

// Validate completes the defaults of the format and reports what cannot work.
// Call it once, before use.
func (f *Forwarding) Validate() error {
	switch f.Format {
	case FormatRFC9440:
		setDefault(&f.Header, "Client-Cert")
		setDefault(&f.ChainHeader, "Client-Cert-Chain")
	case FormatXFCC:
		setDefault(&f.Header, "X-Forwarded-Client-Cert")
		if f.ChainHeader != "" {
			return errors.New("format xfcc has the chain in the header of the certificate")
		}
	case FormatPEMEscaped:
		if f.Header == "" {
			return errors.New("format pem-escaped needs the name of the header")
		}
	default:
		return fmt.Errorf("format %q is none of %s, %s, %s", f.Format, FormatRFC9440, FormatPEMEscaped, FormatXFCC)
	}
	if len(f.Trusted) == 0 {
		return errors.New("no proxy address is trusted")
	}
	for _, prefix := range f.Trusted {
		if !prefix.IsValid() || prefix.Bits() == 0 {
			return fmt.Errorf("trusting %s would let every peer name its own certificate", prefix)
		}
	}
	if sameHeader(f.Header, f.ChainHeader) {
		return errors.New("one header for the certificate and for the chain")
	}
	return nil
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// FromRequest returns the certificate that a trusted proxy forwarded, nil if it
// forwarded none. A certificate header from anybody else is an error (RFC 9440
// section 4; answer 400), also if f is nil: nothing is configured, so nobody is
// trusted. Repeated headers and headers that are not exactly of the format are
// errors, because they mean that the proxy did not write them.
func (f *Forwarding) FromRequest(r *http.Request) (*Presented, error) {
	if !f.FromProxy(r) {
		return nil, f.Refuse(r)
	}
	value, err := single(r.Header, f.Header)
	if err != nil {
		return nil, err
	}
	chain, err := single(r.Header, f.ChainHeader)
	if err != nil {
		return nil, err
	}
	if value == "" {
		if chain != "" {
			return nil, fmt.Errorf("header %s without %s", f.ChainHeader, f.Header)
		}
		return nil, nil
	}
	return f.cache.get(value, chain, func() (*Presented, error) {
		certificates, err := f.decode(value, chain)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", f.Header, err)
		}
		return NewPresented(certificates, f.Header)
	})
}

// trusts reports whether the peer of the TCP connection is a listed proxy.
func (f *Forwarding) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := peer.Addr().Unmap().WithZone("")
	for _, prefix := range f.Trusted {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// Refuse returns an error if the request has a header in which proxies forward
// certificates, whoever sent it: for a listener that takes none. f may be nil.
func (f *Forwarding) Refuse(r *http.Request) error {
	for name := range r.Header {
		for _, known := range certificateHeaders {
			if sameHeader(name, known) {
				return unwanted(name)
			}
		}
		if f != nil && (sameHeader(name, f.Header) || sameHeader(name, f.ChainHeader)) {
			return unwanted(name)
		}
	}
	return nil
}

func unwanted(name string) error {
	return fmt.Errorf("header %s is accepted from trusted proxies only, and on the mTLS listener only", name)
}

// sameHeader compares header names without case, and takes '_' for '-'.
func sameHeader(a, b string) bool {
	if len(a) != len(b) || a == "" {
		return false
	}
	for i := range len(a) {
		if dashed(a[i]) != dashed(b[i]) {
			return false
		}
	}
	return true
}

func dashed(c byte) byte {
	if c == '_' {
		return '-'
	}
	return lowerASCII(c)
}

// single returns the only value of a header, "" if there is none. Values under
// another spelling of the name count: a proxy that overwrites Client-Cert may
// pass a client's Client_cert on.
func single(header http.Header, name string) (value string, err error) {
	count := 0
	for key, values := range header {
		if sameHeader(key, name) && len(values) > 0 {
			count += len(values)
			value = values[0]
		}
	}
	if count > 1 {
		return "", fmt.Errorf("header %s occurs %d times", name, count)
	}
	if len(value) > maxForwarded {
		return "", fmt.Errorf("header %s is %d bytes, more than %d", name, len(value), maxForwarded)
	}
	if count == 1 && strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("header %s is empty; leave it out if the client sent no certificate", name)
	}
	return value, nil
}

// maxForwardedCache bounds the certificates remembered: at most 256 clients
// and a few MiB.
const maxForwardedCache = 256

// forwardedCache keeps the certificates last seen, by the hash of the headers,
// so that those of a proxy's clients are parsed and verified once.
type forwardedCache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]*list.Element
	recent  list.List // of forwardedEntry, latest first
}

type forwardedEntry struct {
	key       [sha256.Size]byte
	presented *Presented
}

func (c *forwardedCache) get(value, chain string, parse func() (*Presented, error)) (*Presented, error) {
	// Neither header can hold a line break, so the pair is unambiguous.
	key := sha256.Sum256([]byte(value + "\n" + chain))
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(forwardedEntry).presented, nil
	}
	presented, err := parse()
	if err != nil {
		return nil, err
	}
	if c.entries == nil {
		c.entries = make(map[[sha256.Size]byte]*list.Element)
	}
	c.entries[key] = c.recent.PushFront(forwardedEntry{key, presented})
	if c.recent.Len() > maxForwardedCache {
		oldest := c.recent.Remove(c.recent.Back()).(forwardedEntry)
		delete(c.entries, oldest.key)
	}
	return presented, nil
}

func (f *Forwarding) decode(value, chain string) ([]*x509.Certificate, error) {
	switch f.Format {
	case FormatRFC9440:
		return decodeRFC9440(value, chain)
	case FormatPEMEscaped:
		return decodeEscapedPEM(value, chain)
	case FormatXFCC:
		return decodeXFCC(value)
	}
	return nil, fmt.Errorf("unknown format %q", f.Format)
}

// FromProxy reports whether the request came from a trusted proxy, whose TLS
// connection says nothing about the client. It is false if f is nil.
func (f *Forwarding) FromProxy(r *http.Request) bool { return f != nil && f.trusts(r.RemoteAddr) }
