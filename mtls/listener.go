package mtls

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ListenerConfig sets the limits of a [Listener]. The zero value is fine.
type ListenerConfig struct {
	Timeout  time.Duration // for one handshake; 0 means 10 seconds
	InFlight int           // handshakes at a time; 0 means 512

	// Failed is told about every handshake that failed, on the goroutine of
	// that connection. It may be nil.
	Failed func(HandshakeFailure)
}

// patience is how long a handshake is left alone while others wait for its
// place. A real one takes milliseconds, so what is older is a half-open one.
const patience = time.Second

// Listener accepts connections, does the TLS handshake of each on its own
// goroutine and hands out the *tls.Conn when that has succeeded. net/http does
// handshakes too, but keeps the reason of a failure to itself.
type Listener struct {
	inner  net.Listener
	config *tls.Config
	limits ListenerConfig

	ready chan *tls.Conn
	done  chan struct{} // closed by Close, or by an error of the inner listener
	slots chan struct{} // one element per handshake in flight
	wait  sync.WaitGroup
	stop  sync.Once
	err   error // what Accept answers after done

	mu     sync.Mutex
	flight []*pending // oldest first
}

// pending is a connection during its handshake. tls.ClientHelloInfo.Conn leads
// from the hello back to it.
type pending struct {
	net.Conn
	since   time.Time
	hello   *tls.ClientHelloInfo // set on the goroutine of the handshake
	evicted atomic.Bool

	shaken bool    // the handshake is over: stop watching
	tail   [7]byte // the bytes read last: an alert record fits
}

// Read remembers what came last, for [plainAlert].
func (p *pending) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if !p.shaken && n > 0 {
		kept := copy(p.tail[:], p.tail[min(n, len(p.tail)):])
		copy(p.tail[kept:], b[max(0, n-len(p.tail)):n])
	}
	return n, err
}

// NewListener starts accepting from inner. Close ends that, and everything
// started here, also if Accept is never called.
func NewListener(inner net.Listener, config *tls.Config, limits ListenerConfig) *Listener {
	if limits.Timeout == 0 {
		limits.Timeout = 10 * time.Second
	}
	if limits.InFlight == 0 {
		limits.InFlight = 512
	}
	l := &Listener{
		inner:  inner,
		config: config.Clone(),
		limits: limits,
		ready:  make(chan *tls.Conn),
		done:   make(chan struct{}),
		slots:  make(chan struct{}, limits.InFlight),
	}
	next := config.GetConfigForClient
	l.config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if p, ok := hello.Conn.(*pending); ok {
			p.hello = hello
		}
		if next == nil {
			return nil, nil
		}
		return next(hello)
	}
	l.wait.Add(1)
	go l.run()
	return l
}

// Accept returns the next connection whose handshake has succeeded. It is a
// *tls.Conn.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: l.err}
	}
}

// Addr returns the address of the inner listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the inner listener and the handshakes in flight, and returns
// when their goroutines have ended. Connections handed out live on.
func (l *Listener) Close() error {
	err := l.end(net.ErrClosed)
	l.wait.Wait()
	return err
}

func (l *Listener) end(reason error) (err error) {
	l.stop.Do(func() {
		l.err = reason
		close(l.done)
		err = l.inner.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range l.flight {
			p.Conn.Close()
		}
	})
	return err
}

func (l *Listener) run() {
	defer l.wait.Done()
	var delay time.Duration
	for {
		conn, err := l.inner.Accept()
		if err == nil {
			delay = 0
			if !l.admit(conn) {
				conn.Close()
				return
			}
			continue
		}
		// Out of file descriptors or a client gone before its turn: both pass.
		//lint:ignore SA1019 net/http decides by Temporary too; nothing replaces it
		if temporary, ok := err.(interface{ Temporary() bool }); !ok || !temporary.Temporary() {
			_ = l.end(err) // Accept answers with err
			return
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(delay):
		case <-l.done:
			return
		}
	}
}

// admit starts the handshake of conn as soon as there is a place. When there is
// none for long, the oldest handshake has to go: half-open connections cannot
// keep the others out, and a burst of real ones only queues.
func (l *Listener) admit(conn net.Conn) bool {
	for {
		select {
		case l.slots <- struct{}{}:
			l.start(conn)
			return true
		case <-l.done:
			return false
		default:
		}
		select {
		case l.slots <- struct{}{}:
			l.start(conn)
			return true
		case <-l.done:
			return false
		case <-time.After(l.evict()):
		}
	}
}

// start runs the handshake of conn, which has its place.
func (l *Listener) start(conn net.Conn) {
	p := &pending{Conn: conn, since: time.Now()}
	l.mu.Lock()
	l.flight = append(l.flight, p)
	l.mu.Unlock()
	select {
	case <-l.done:
		conn.Close() // end may have gone through the list already
	default:
	}
	l.wait.Add(1)
	go l.handshake(p)
}

// evict closes the oldest handshake if it has had its time, and returns how
// long to wait before looking again.
func (l *Listener) evict() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.flight {
		age := time.Since(p.since)
		if age < patience {
			return patience - age
		}
		if !p.evicted.Swap(true) {
			p.Conn.Close()
			break
		}
	}
	return 10 * time.Millisecond
}

func (l *Listener) handshake(p *pending) {
	defer l.wait.Done()
	conn := tls.Server(p, l.config)
	_ = p.SetDeadline(p.since.Add(l.limits.Timeout))
	err := conn.HandshakeContext(context.Background())
	l.leave(p)
	if err != nil {
		l.fail(p, conn, err)
		p.Close()
		return
	}
	_ = p.SetDeadline(time.Time{})
	p.shaken, p.hello = true, nil // a hello would live as long as the connection
	select {
	case l.ready <- conn:
	case <-l.done:
		p.Close()
	}
}

func (l *Listener) leave(p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.flight, p); i >= 0 {
		l.flight = slices.Delete(l.flight, i, i+1)
	}
	<-l.slots
}
