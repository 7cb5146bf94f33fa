package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// maxAnswer bounds what is read of an answer; metadata is a few KiB.
const maxAnswer = 1 << 20

// prober connects. It follows no redirect and uses no proxy, so that what is
// seen is the server named, and nothing else is contacted.
type prober struct {
	timeout time.Duration
	now     func() time.Time
	present *tls.Certificate // the tester's; nil if there is none to send
}

// offer is what the client says in a handshake.
type offer struct {
	min, max uint16
	suites   []uint16 // of TLS 1.2 and below; nil means all that Go has
	alpn     []string
	present  bool // send the certificate if asked for one
}

// anything is the most permissive offer: an odd server shall answer, too.
func anything() offer { return offer{min: tls.VersionTLS10, max: tls.VersionTLS13} }

func only(version uint16) offer { return offer{min: version, max: version} }

// handshake is what one TLS connection showed.
type handshake struct {
	dialed  bool // TCP connected
	chosen  bool // the server picked version and suite and sent a certificate
	version uint16
	suite   uint16
	alpn    string
	chain   []*x509.Certificate
	asked   bool     // for a client certificate
	hints   [][]byte // DER names of the CAs it would accept
	took    time.Duration
	tickets *tickets
	err     error // why the handshake did not complete
}

// tickets counts the sessions a server wants resumed. In TLS 1.3 they arrive
// after the handshake, with the first answer (RFC 8446 section 4.6.1).
type tickets struct{ count atomic.Int32 }

// Get and Put make tickets a [tls.ClientSessionCache] that resumes nothing.
func (t *tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (t *tickets) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		t.count.Add(1)
	}
}

// connect shakes hands. The connection is nil if it did not complete.
func (p prober) connect(ctx context.Context, h *host, o offer) (*tls.Conn, handshake) {
	seen := handshake{tickets: &tickets{}}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", h.addr)
	if err != nil {
		seen.err = err
		return nil, seen
	}
	seen.dialed = true
	start := time.Now()
	conn := tls.Client(raw, p.config(h.name, o, &seen))
	err = conn.HandshakeContext(ctx)
	seen.took = time.Since(start)
	if err != nil {
		raw.Close()
		seen.err = err
		return nil, seen
	}
	return conn, seen
}

// shake only shakes hands.
func (p prober) shake(ctx context.Context, h *host, o offer) handshake {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, seen := p.connect(ctx, h, o)
	if conn != nil {
		_ = conn.Close()
	}
	return seen
}

// config lets every certificate pass: the doctor must see the bad ones, judges
// them itself, and sends nothing secret. What the server chose is noted when
// its certificate arrives, because a server may choose a suite and then refuse
// the missing client certificate.
func (p prober) config(name string, o offer, seen *handshake) *tls.Config {
	suites := o.suites
	if suites == nil {
		suites = allSuites()
	}
	return &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, //nolint:gosec // the doctor judges the certificate itself
		MinVersion:         o.min,
		MaxVersion:         o.max,
		CipherSuites:       suites,
		NextProtos:         o.alpn,
		ClientSessionCache: seen.tickets,
		VerifyConnection: func(s tls.ConnectionState) error {
			seen.chosen = true
			seen.version, seen.suite, seen.alpn = s.Version, s.CipherSuite, s.NegotiatedProtocol
			seen.chain = s.PeerCertificates
			return nil
		},
		// The certificate is sent whatever the hints say, as curl does.
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.asked = true
			seen.hints = slices.Clone(r.AcceptableCAs)
			if o.present && p.present != nil {
				return p.present, nil
			}
			return &tls.Certificate{}, nil
		},
	}
}

func allSuites() []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}

// exchange is one HTTP request on a connection of its own.
type exchange struct {
	handshake
	status int
	header http.Header
	body   []byte
	skew   time.Duration // of the server's clock; valid only if dated
	dated  bool
}

// do sends a request. HTTP/1.1 only, so that the server has nothing to say
// before it is asked and an alert can be told from an answer.
func (p prober) do(ctx context.Context, h *host, o offer, r *http.Request) (x exchange) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	o.alpn = []string{"http/1.1"}
	conn, seen := p.connect(ctx, h, o)
	x.handshake = seen
	if conn == nil {
		return x
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
	if x.err = x.talk(conn, r, p.now); x.err != nil && ctx.Err() != nil {
		x.err = fmt.Errorf("no answer within %s", p.timeout)
	}
	return x
}

func (x *exchange) talk(conn *tls.Conn, r *http.Request, now func() time.Time) error {
	early := io.Reader(bytes.NewReader(nil))
	if x.version == tls.VersionTLS13 {
		var err error
		if early, err = settle(conn, x.took); err != nil {
			return err
		}
	}
	sent := now()
	if err := r.Write(conn); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.MultiReader(early, conn)), r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	x.status, x.header = answer.StatusCode, answer.Header
	x.measureClock(sent, now())
	x.body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return err
}

// settle waits for the alert of a server that refuses the client certificate.
// In TLS 1.3 the handshake is complete for the client before the server has
// looked at the certificate; a request sent at once may meet a closed
// connection, and the alert that says why is lost. The alert needs one round
// trip and the handshake took one, too.
func settle(conn *tls.Conn, round time.Duration) (early io.Reader, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(round + 50*time.Millisecond)); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, err := conn.Read(first)
	if err != nil && !isTimeout(err) {
		return nil, err
	}
	return bytes.NewReader(first[:n]), conn.SetReadDeadline(time.Time{})
}

// measureClock compares the Date header with the middle of the exchange. Date
// is cut to whole seconds (RFC 9110 section 6.6.1), so half of one is added. It was
// written at any time of the exchange: that a slow one takes says nothing of the clock.
func (x *exchange) measureClock(sent, received time.Time) {
	date, err := http.ParseTime(x.header.Get("Date"))
	if err != nil {
		return
	}
	x.dated = true
	half := received.Sub(sent) / 2
	x.skew = date.Add(time.Second / 2).Sub(sent.Add(half))
	x.skew -= min(max(x.skew, -half), half)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
