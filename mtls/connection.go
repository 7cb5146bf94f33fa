package mtls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Conn is what is known about one TLS connection for as long as it lives.
type Conn struct {
	tls  *tls.Conn
	once sync.Once

	presented *Presented
	err       error
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext: it attaches a [Conn] to every
// request of the connection, so that certificates are parsed, hashed and
// verified once for all of them.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	tlsConn, ok := c.(*tls.Conn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, connKey{}, &Conn{tls: tlsConn})
}

// Presenting attaches a certificate to the requests of a context, as [ConnContext]
// does those of a connection: for requests that this process makes of itself, over
// none.
func Presenting(ctx context.Context, certificate *Presented) context.Context {
	c := &Conn{presented: certificate}
	c.once.Do(func() {}) // there is no connection to ask
	return context.WithValue(ctx, connKey{}, c)
}

// Connection returns what [ConnContext] attached, or nil.
func Connection(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// Presented returns the client's certificate, or nil if it sent none. An error
// means that it sent one that is not worth looking at (too long a chain, an
// unreadable name), and stays with the connection.
func (c *Conn) Presented() (*Presented, error) {
	// The handshake is over when a request is read, so the state is final.
	c.once.Do(func() {
		if chain := c.tls.ConnectionState().PeerCertificates; len(chain) > 0 {
			c.presented, c.err = NewPresented(chain, "tls")
		}
	})
	return c.presented, c.err
}

// FromRequest returns the certificate of the connection a request came on: the
// same *Presented for every request of a connection, and nil without an error
// if there is no certificate.
func FromRequest(r *http.Request) (*Presented, error) {
	if c := Connection(r.Context()); c != nil {
		return c.Presented()
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return nil, errors.New("the HTTP server was set up without mtls.ConnContext")
	}
	return nil, nil
}

// CheckHost wants the server name of the TLS handshake to be the host of the
// request, so that a connection opened to one listener or host is never used
// for another (RFC 9110 section 15.5.20; answer an error with 421). Ports, case
// and a trailing dot do not count. Without a server name, the host must be one for
// which clients send none: a server name is fully qualified and no IP address
// (RFC 6066 section 3), and Java takes the first word at its letter, for which
// "localhost" is none. A request that did not come over TLS has nothing to compare.
func CheckHost(r *http.Request) error {
	if r.TLS == nil {
		return nil
	}
	host, sni := hostName(r.Host), strings.TrimSuffix(r.TLS.ServerName, ".")
	if sni == "" {
		_, notAddress := netip.ParseAddr(host)
		if notAddress != nil && (host == "" || strings.Contains(host, ".")) {
			return fmt.Errorf("no server name in the TLS handshake, but host %q", clip(host))
		}
		return nil
	}
	if !equalASCII(sni, host) {
		return fmt.Errorf("server name %q in the TLS handshake, but host %q", clip(sni), clip(host))
	}
	return nil
}

// hostName strips the port, the brackets of an IPv6 address and the root dot.
func hostName(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.TrimSuffix(host, ".")
}
