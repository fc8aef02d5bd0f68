package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is an Emulator on a listener of its own. Make it with Start, end it with Close.
type Server struct {
	// Emulator is what is served.
	Emulator *Emulator
	// URL is the base URL, as http://127.0.0.1:4192, without a trailing slash.
	URL string
	// Issuer is the issuer identifier, with its trailing slash.
	Issuer string

	http *http.Server
	done chan error
}

// Start listens on addr, "127.0.0.1:0" for any free port, and serves an Emulator there until Close. It refuses every address that
// isn't loopback, an empty host too. An empty Config.BaseURL becomes http:// and the listener's address.
func Start(addr string, cfg Config) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("emulator: listen address: %w", err)
	}
	if !loopbackName(host) {
		return nil, errors.New("emulator: listen address: is not on loopback; the emulator never runs where others can reach it")
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() { // a name may resolve to anything
		return nil, errors.Join(errors.New("emulator: listen address: doesn't resolve to loopback"), ln.Close())
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "http://" + ln.Addr().String()
	}
	e, err := New(cfg)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s := &Server{Emulator: e, URL: e.BaseURL(), Issuer: e.Issuer(), done: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           e,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() { s.done <- s.http.Serve(ln) }()
	return s, nil
}

// Control is the Emulator's control.
func (s *Server) Control() *Control { return s.Emulator.Control() }

// Close stops listening, gives calls under way a moment and ends those that are left. It waits until nothing of the server runs.
// A second Close does nothing.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	s.Emulator.Close()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served, first := <-s.done; first && !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
		close(s.done)
	} else if first {
		close(s.done)
	}
	return err
}
