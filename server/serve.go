package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/fapid/fapid/mtls"
	"github.com/fapid/fapid/server/admin"
	"github.com/fapid/fapid/server/endpoint"
)

// Limits are how long a connection may take: a tester's request takes
// milliseconds, so whoever needs longer is slow on purpose. Zero is the default.
type Limits struct {
	Handshake  time.Duration // 10 s
	ReadHeader time.Duration // 5 s
	Read       time.Duration // header and body, 15 s
	Write      time.Duration // 30 s
	Idle       time.Duration // between requests, 2 min
	Drain      time.Duration // of all requests in flight when the server ends, 10 s
	Fetch      time.Duration // of one document that a client points to, 3 s
}

func (l Limits) filled() Limits {
	return Limits{
		Handshake:  cmp.Or(l.Handshake, 10*time.Second),
		ReadHeader: cmp.Or(l.ReadHeader, 5*time.Second),
		Read:       cmp.Or(l.Read, 15*time.Second),
		Write:      cmp.Or(l.Write, 30*time.Second),
		Idle:       cmp.Or(l.Idle, 2*time.Minute),
		Drain:      cmp.Or(l.Drain, 10*time.Second),
		Fetch:      l.Fetch, // the fetcher has its own default
	}
}

const maxHeaderBytes = 64 << 10

// Serve listens on all doors, calls started once they are open, and serves
// until ctx ends; requests in flight are then finished, for as long as [Limits] say.
func (s *Server) Serve(ctx context.Context, started func()) error {
	servers, err := s.listenAll(ctx)
	if err != nil {
		return err
	}
	if err := s.announce(); err != nil {
		return err
	}
	defer func() { _ = os.Remove(s.path(runningFile)) }()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go s.maintain(background)

	failed := make(chan error, len(servers))
	for _, door := range servers {
		go func() { failed <- door.server.Serve(door.listener) }()
	}
	started()
	select {
	case err = <-failed: // Serve returns only when a listener breaks
	case <-s.store.Failed():
		err = errors.New("the store failed to write; nothing more is accepted")
	case <-ctx.Done():
	}
	return errors.Join(err, s.shutdown(context.WithoutCancel(ctx), servers))
}

// door is one listener with its HTTP server.
type door struct {
	server   *http.Server
	listener net.Listener
}

func (s *Server) listenAll(ctx context.Context) (doors []door, err error) {
	defer func() {
		if err != nil {
			for _, door := range doors {
				_ = door.listener.Close()
			}
		}
	}()
	listeners, limits := s.config.Listeners, s.options.Limits.filled()
	for _, at := range []struct {
		config *Listener
		flag   string
		router *endpoint.Router
	}{
		{&listeners.Standard, "port", s.standard},
		{&listeners.MTLS, "mtls-port", s.mtls},
		{listeners.Directory, "directory-port", s.registry},
		{&listeners.Admin, "admin-port", s.admin},
	} {
		if at.router == nil {
			continue
		}
		listeners, err := listen(ctx, at.config.Address, at.flag)
		if err != nil {
			return doors, err
		}
		server := &http.Server{
			Handler:           at.router,
			ReadHeaderTimeout: limits.ReadHeader,
			ReadTimeout:       limits.Read,
			WriteTimeout:      limits.Write,
			IdleTimeout:       limits.Idle,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
			// OPTIONS * is a request like any other: answered and recorded by us.
			DisableGeneralOptionsHandler: true,
		}
		if at.router != s.admin {
			config := mtls.ServerConfig(s.certs, at.router.AsksCertificate())
			server.TLSConfig = config
			server.ConnContext = mtls.ConnContext
			for i, listener := range listeners {
				listeners[i] = mtls.NewListener(listener, config, mtls.ListenerConfig{
					Timeout: limits.Handshake, Failed: s.handshakeFailed(at.router.Listener),
				})
			}
		}
		for _, listener := range listeners {
			doors = append(doors, door{server, listener})
		}
	}
	return doors, nil
}

// handshakeFailed makes failed TLS handshakes part of log, metrics and
// explanations.
func (s *Server) handshakeFailed(listener string) func(mtls.HandshakeFailure) {
	return func(failure mtls.HandshakeFailure) {
		event := admin.HandshakeEvent(failure, listener)
		for _, observe := range s.observers {
			observe(event)
		}
		s.traces.Keep(event)
	}
}

// shutdown lets requests in flight finish. The operator's listener goes last, so
// that a load balancer can see that the server is no longer ready.
func (s *Server) shutdown(ctx context.Context, doors []door) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, s.options.Limits.filled().Drain)
	defer cancel()
	failures := make([]error, len(doors))
	for _, last := range []bool{false, true} {
		var closing sync.WaitGroup
		for i, door := range doors {
			if (door.server.Handler == http.Handler(s.admin)) == last {
				closing.Go(func() { failures[i] = door.server.Shutdown(ctx) })
			}
		}
		closing.Wait()
	}
	return errors.Join(failures...)
}

// maintain does what time brings: expired records go, changed CA files are
// read, retired keys leave the key set, server certificates are renewed.
func (s *Server) maintain(ctx context.Context) {
	second, minute := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer second.Stop()
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			for _, r := range s.realms {
				r.refresh()
			}
		case <-minute.C:
			s.everyMinute(ctx)
		}
	}
}

func (s *Server) everyMinute(ctx context.Context) {
	if _, err := s.store.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.options.Log.Error("expired records could not be deleted", "error", err.Error())
	}
	for name, r := range s.realms {
		if err := r.keys.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Error("signing keys could not be read", "realm", name, "error", err.Error())
		}
		if err := r.expireUnused(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Error("unused clients could not be deleted", "realm", name, "error", err.Error())
		}
	}
	if !s.samplesDue.IsZero() && s.options.Now().After(s.samplesDue) {
		s.renewSamples(ctx)
	}
	if s.directory != nil {
		if err := s.directory.Keyring().Refresh(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Error("the keys of software statements could not be read", "error", err.Error())
		}
	}
	if err := s.renewServerCertificates(ctx); err != nil && ctx.Err() == nil {
		s.options.Log.Error("server certificates could not be renewed", "error", err.Error())
	}
}
