package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// ErrServerClosed is what [Server.Serve] returns after [Server.Shutdown] or [Server.Close].
var ErrServerClosed = errors.New("fcgi: server closed")

const (
	defaultTimeout  = 5 * time.Second
	defaultMaxConns = 512
	idleTimeout     = time.Minute
)

// A Server answers web servers. Its fields are not changed once it serves.
type Server struct {
	// Handler answers one request. Required. It is called concurrently.
	Handler func(*Request) *Answer
	// Timeout is how long a web server may take to send a request, and then to take the answer. Default: 5 seconds.
	Timeout time.Duration
	// MaxConns is how many connections are served at once; more wait to be accepted. Default: 512.
	MaxConns int
	// ErrorLog takes what goes wrong on connections. It is never told what a request holds. Default: the log package's.
	ErrorLog *log.Logger

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]bool // true while a request is under way
	gone      chan struct{}     // closed by the last connection, once Shutdown waits for it
}

// Serve accepts connections until the server is shut down, and then returns [ErrServerClosed]. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	defer func() { _ = ln.Close() }() // Shutdown has closed it, or its error has been returned
	if !s.listens(ln) {
		return ErrServerClosed
	}
	defer s.listensNot(ln)
	places := make(chan struct{}, s.maxConns())
	for {
		places <- struct{}{}
		conn, err := ln.Accept()
		switch {
		case err == nil && s.opened(conn):
			go func() {
				defer func() { <-places }()
				s.serve(conn)
			}()
		case err == nil:
			_ = conn.Close()
			return ErrServerClosed
		case s.isClosing():
			return ErrServerClosed
		case !passes(err):
			return err
		default:
			s.logf("accepting: %v", err)
			time.Sleep(50 * time.Millisecond)
			<-places
		}
	}
}

// passes reports errors of Accept that concern one connection, or a shortage.
func passes(err error) bool {
	return errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Shutdown stops accepting, closes idle connections, and waits for requests under way, until ctx ends. What is left then
// is cut off by [Server.Close].
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	err := s.stopListening()
	for conn, busy := range s.conns {
		if !busy {
			err = errors.Join(err, ignoreClosed(conn.Close()))
		}
	}
	gone := s.gone
	s.mu.Unlock()
	select {
	case <-gone:
		return err
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// Close stops at once. It doesn't wait for the goroutines of connections, which end soon.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.stopListening()
	for conn := range s.conns {
		err = errors.Join(err, ignoreClosed(conn.Close()))
	}
	return err
}

// stopListening is called with s.mu held.
func (s *Server) stopListening() error {
	var err error
	if !s.closing {
		s.closing, s.gone = true, make(chan struct{})
		if len(s.conns) == 0 {
			close(s.gone)
		}
	}
	for ln := range s.listeners {
		err = errors.Join(err, ignoreClosed(ln.Close()))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) listens(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners, s.conns = map[net.Listener]struct{}{}, map[net.Conn]bool{}
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) listensNot(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// opened remembers a connection, unless the server is closing.
func (s *Server) opened(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.conns[conn] = false
	}
	return !s.closing
}

// idle notes that a connection waits for its next request. It returns false when the connection is to end instead.
func (s *Server) idle(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = false
	return !s.closing
}

// busy notes that a request is under way on a connection, which Shutdown waits for.
func (s *Server) busy(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = true
}

func (s *Server) closed(conn net.Conn) {
	_ = conn.Close() // the peer's half may be gone already
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	if s.closing && len(s.conns) == 0 {
		select {
		case <-s.gone:
		default:
			close(s.gone)
		}
	}
}

func (s *Server) maxConns() int {
	if s.MaxConns > 0 {
		return s.MaxConns
	}
	return defaultMaxConns
}

func (s *Server) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return defaultTimeout
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf("fcgi: "+format, args...)
		return
	}
	log.Printf("fcgi: "+format, args...)
}

// serve answers the requests of one connection.
func (s *Server) serve(conn net.Conn) {
	defer s.closed(conn)
	c := &connection{server: s, conn: conn, reader: reader{in: conn}}
	for s.idle(conn) {
		again, err := c.request()
		switch {
		case errors.Is(err, errProtocol):
			s.logf("%s: %v", conn.RemoteAddr(), err)
			return
		case err != nil, !again: // the peer went away or was too slow
			return
		}
	}
}

// A connection reads one request after the other.
type connection struct {
	server *Server
	conn   net.Conn
	reader reader
	out    []byte
	asked  bool // it has had a request: whoever keeps it open may wait before the next
}

// request reads a request and answers it. It reports whether the web server wants to send another.
func (c *connection) request() (again bool, err error) {
	wait := c.server.timeout()
	if c.asked {
		wait = max(wait, idleTimeout)
	}
	if err := c.conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return false, err
	}
	begin, err := c.begin()
	c.asked = true
	if err != nil || begin.id == managementID {
		return err == nil, err
	}
	if begin.role != roleAuthorizer {
		return begin.keep, c.write(appendEnd(c.out[:0], begin.id, unknownRole))
	}
	params, err := c.params(begin.id)
	if err != nil {
		return false, err
	}
	if params.aborted {
		return begin.keep, c.write(appendEnd(c.out[:0], begin.id, requestComplete))
	}
	return begin.keep, c.write(appendAnswer(c.out[:0], begin.id, c.answer(params)))
}

// beginning is the content of FCGI_BEGIN_REQUEST (section 5.1).
type beginning struct {
	id, role uint16
	keep     bool
}

// begin waits for the next request. Management records are answered meanwhile, and those of a request that has ended
// are ignored (section 3.3).
func (c *connection) begin() (beginning, error) {
	rec, err := c.reader.next()
	if err != nil {
		return beginning{}, err
	}
	c.server.busy(c.conn)
	if err := c.conn.SetDeadline(time.Now().Add(c.server.timeout())); err != nil {
		return beginning{}, err
	}
	switch {
	case rec.id == managementID:
		return beginning{}, c.write(appendManagement(c.out[:0], rec, c.server.maxConns()))
	case rec.kind == typeParams, rec.kind == typeStdin, rec.kind == typeData, rec.kind == typeAbortRequest:
		return beginning{}, nil
	case rec.kind != typeBeginRequest || len(rec.content) != beginBodyLength:
		return beginning{}, fmt.Errorf("%w: type %d of %d bytes where a request begins", errProtocol, rec.kind, len(rec.content))
	}
	b := rec.content
	return beginning{id: rec.id, role: uint16(b[0])<<8 | uint16(b[1]), keep: b[2]&flagKeepConn != 0}, nil
}

// received is the stream of variables of one request.
type received struct {
	stream             []byte
	tooLarge, aborted  bool
	records, discarded int
}

// params reads the variables until the empty record that ends them (section 3.3). FCGI_STDIN isn't waited for: the
// specification gives an authorizer none (section 6.3), and mod_authnz_fcgi sends none.
func (c *connection) params(id uint16) (received, error) {
	var got received
	for {
		rec, err := c.reader.next()
		if err != nil {
			return received{}, err
		}
		if got.records++; got.records > maxParamsLength {
			return received{}, fmt.Errorf("%w: too many of them", errProtocol)
		}
		switch {
		case rec.id == managementID:
			if err := c.write(appendManagement(c.out[:0], rec, c.server.maxConns())); err != nil {
				return received{}, err
			}
		case rec.id != id && rec.kind == typeBeginRequest:
			if err := c.write(appendEnd(c.out[:0], rec.id, cantMultiplex)); err != nil {
				return received{}, err
			}
		case rec.id != id, rec.kind == typeStdin, rec.kind == typeData:
			// of a request that we don't have, or content that an authorizer has no use for
		case rec.kind == typeAbortRequest: // section 5.4
			return received{aborted: true}, nil
		case rec.kind != typeParams:
			return received{}, fmt.Errorf("%w: type %d among the variables", errProtocol, rec.kind)
		case len(rec.content) == 0:
			return got, nil
		case !got.add(rec.content):
			return received{}, fmt.Errorf("%w: more than %d bytes of variables", errProtocol, maxDiscarded)
		}
	}
}

// add takes a part of the stream. It returns false when there is no end to it.
func (r *received) add(content []byte) bool {
	if r.tooLarge = r.tooLarge || len(r.stream)+len(content) > maxParamsLength; r.tooLarge {
		r.stream, r.discarded = nil, r.discarded+len(content)
		return r.discarded <= maxDiscarded
	}
	r.stream = append(r.stream, content...)
	return true
}

// answer asks the handler, unless the variables can't be read: no handler is to judge a part of a request.
func (c *connection) answer(got received) (a *Answer) {
	defer func() {
		if p := recover(); p != nil {
			c.server.logf("panic: %v\n%s", p, debug.Stack())
			a = refusal(http.StatusInternalServerError)
		}
	}()
	if got.tooLarge {
		return refusal(http.StatusRequestHeaderFieldsTooLarge)
	}
	params, err := parseParams(got.stream)
	if err != nil {
		return refusal(http.StatusBadRequest)
	}
	if a = c.server.Handler(&Request{Params: params, RemoteAddr: remoteAddr(c.conn)}); a == nil {
		return refusal(http.StatusInternalServerError)
	}
	return a
}

// remoteAddr is that of the web server. One on a Unix socket may have given its end any name, as that of another address.
func remoteAddr(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr.Network() != "unix" {
		return addr.String()
	}
	return "@"
}

// refusal is an answer of our own.
func refusal(status int) *Answer {
	return &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"no-store"}},
		Body:   fmt.Appendf(nil, "<!DOCTYPE html><title>%[1]d</title><p>%[1]d %[2]s</p>\n", status, http.StatusText(status)),
	}
}

// write sends records in one call, so that on one machine the web server reads them at once.
func (c *connection) write(records []byte) error {
	c.out = records[:0]
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.timeout())); err != nil {
		return err
	}
	n, err := c.conn.Write(records)
	if err == nil && n < len(records) {
		err = io.ErrShortWrite
	}
	return err
}
