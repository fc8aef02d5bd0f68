package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// started is a server on loopback that stops with the test, and what it has logged.
func started(t *testing.T, s *Server) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.ErrorLog == nil {
		s.ErrorLog = log.New(io.Discard, "", 0)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// asker is a web server's side of a connection.
type asker struct {
	t    *testing.T
	conn net.Conn
	in   reader
}

func dial(t *testing.T, addr string) *asker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &asker{t: t, conn: conn, in: reader{in: conn}}
}

func (a *asker) send(records ...[]byte) {
	a.t.Helper()
	if _, err := a.conn.Write(bytes.Join(records, nil)); err != nil {
		a.t.Fatal(err)
	}
}

// next is the next record, with a copy of its content.
func (a *asker) next() record {
	a.t.Helper()
	rec, err := a.in.next()
	if err != nil {
		a.t.Fatal(err)
	}
	rec.content = bytes.Clone(rec.content)
	return rec
}

// answer reads up to FCGI_END_REQUEST.
func (a *asker) answer(id uint16) (stdout string, status protocolStatus) {
	a.t.Helper()
	for {
		rec := a.next()
		switch {
		case rec.id != id:
			a.t.Fatalf("a record of request %d, type %d", rec.id, rec.kind)
		case rec.kind == typeStdout:
			stdout += string(rec.content)
		case rec.kind == typeEndRequest && len(rec.content) == 8:
			return stdout, protocolStatus(rec.content[4])
		default:
			a.t.Fatalf("type %d, %d bytes", rec.kind, len(rec.content))
		}
	}
}

// ended reports that the server closes the connection.
func (a *asker) ended() {
	a.t.Helper()
	switch rec, err := a.in.next(); {
	case err == nil:
		a.t.Errorf("a record of type %d where the connection ends", rec.kind)
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.t.Error("the connection is still open")
	}
}

func beginRecord(id, role uint16, flags byte) []byte {
	return appendRecord(nil, typeBeginRequest, id, []byte{byte(role >> 8), byte(role), flags, 0, 0, 0, 0, 0})
}

func paramsRecords(id uint16, pairs ...string) []byte {
	var stream []byte
	for i := 0; i < len(pairs); i += 2 {
		stream = appendParam(stream, pairs[i], pairs[i+1])
	}
	return appendRecord(appendStream(nil, typeParams, id, stream), typeParams, id, nil)
}

// padded adds padding to a record.
func padded(rec []byte, padding byte) []byte {
	rec = bytes.Clone(rec)
	rec[6] = padding
	return append(rec, bytes.Repeat([]byte{0xff}, int(padding))...)
}

// echo answers with the variables that it was given.
func echo(r *Request) *Answer {
	var text strings.Builder
	for _, p := range r.Params {
		text.WriteString(p.Name + "=" + p.Value + "\n")
	}
	return &Answer{Status: http.StatusForbidden, Header: http.Header{"Set-Cookie": {"a=1", "b=2"}}, Body: []byte(text.String())}
}

const echoHead = "Status: 403 Forbidden\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"

func TestServer(t *testing.T) {
	t.Parallel()
	addr := started(t, &Server{Handler: echo})
	long := strings.Repeat("v", 60_000)
	for name, tt := range map[string]struct {
		send [][]byte
		want string
	}{
		"as mod_authnz_fcgi asks": {[][]byte{beginRecord(1, 2, 0), paramsRecords(1, "A", "1", "B", "")}, "A=1\nB=\n"},
		"empty stdin and data":    {[][]byte{beginRecord(1, 2, 0), appendRecord(nil, typeStdin, 1, nil), appendRecord(nil, typeData, 1, []byte("x")), paramsRecords(1, "A", "1"), appendRecord(nil, typeStdin, 1, nil)}, "A=1\n"},
		"no variables":            {[][]byte{beginRecord(1, 2, 0), paramsRecords(1)}, ""},
		"padding":                 {[][]byte{padded(beginRecord(1, 2, 0), 255), padded(appendRecord(nil, typeParams, 1, appendParam(nil, "A", "1")), 7), padded(paramsRecords(1), 1)}, "A=1\n"},
		"a pair in two records":   {[][]byte{beginRecord(1, 2, 0), appendRecord(nil, typeParams, 1, appendParam(nil, "AB", "12")[:3]), appendRecord(nil, typeParams, 1, appendParam(nil, "AB", "12")[3:]), paramsRecords(1)}, "AB=12\n"},
		"long":                    {[][]byte{beginRecord(1, 2, 0), paramsRecords(1, strings.Repeat("n", 200), long)}, strings.Repeat("n", 200) + "=" + long + "\n"},
		"other requests' records": {[][]byte{appendRecord(nil, typeParams, 9, []byte("x")), beginRecord(1, 2, 0), appendRecord(nil, typeParams, 2, []byte("x")), appendRecord(nil, typeAbortRequest, 2, nil), paramsRecords(1, "A", "1")}, "A=1\n"},
		"twice the same name":     {[][]byte{beginRecord(1, 2, 0), paramsRecords(1, "A", "1", "A", "2")}, "A=1\nA=2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := dial(t, addr)
			a.send(tt.send...)
			got, status := a.answer(1)
			if diff := cmp.Diff(echoHead+tt.want, got); diff != "" || status != requestComplete {
				t.Errorf("%d %s", status, diff)
			}
			a.ended()
		})
	}
}

// A peer on a Unix socket may have given its end any name, as that of a trusted address.
func TestServerPeerOnASocket(t *testing.T) { // not parallel: the name is a path, relative to where we are
	t.Chdir(t.TempDir())
	ln, err := net.Listen("unix", "s.sock")
	if err != nil {
		t.Fatal(err)
	}
	peers := make(chan string, 1)
	s := &Server{Handler: func(r *Request) *Answer { peers <- r.RemoteAddr; return &Answer{Status: 200} }}
	go func() { _ = s.Serve(ln) }() // ends with Close
	t.Cleanup(func() { _ = s.Close() })
	conn, err := net.DialUnix("unix", &net.UnixAddr{Name: "127.0.0.1:1", Net: "unix"}, &net.UnixAddr{Name: "s.sock", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a := &asker{t: t, conn: conn, in: reader{in: conn}}
	a.send(beginRecord(1, 2, 0), paramsRecords(1))
	a.answer(1)
	if peer := <-peers; peer != "@" {
		t.Errorf("the peer is %s", peer)
	}
}

// With FCGI_KEEP_CONN the connection stays (section 5.1), and carries one request after the other.
func TestServerKeepsConnection(t *testing.T) {
	t.Parallel()
	a := dial(t, started(t, &Server{Handler: echo}))
	for id := uint16(1); id < 5; id++ {
		a.send(beginRecord(id, 2, flagKeepConn), paramsRecords(id, "A", "1"), appendRecord(nil, typeStdin, id, nil))
		if got, _ := a.answer(id); !strings.HasSuffix(got, "A=1\n") {
			t.Errorf("%q", got)
		}
	}
	a.send(beginRecord(7, 1, flagKeepConn))
	if got, status := a.answer(7); got != "" || status != unknownRole {
		t.Errorf("a responder: %d %q", status, got)
	}
	a.send(beginRecord(8, 2, flagKeepConn), appendRecord(nil, typeAbortRequest, 8, nil))
	if got, status := a.answer(8); got != "" || status != requestComplete {
		t.Errorf("an aborted request: %d %q", status, got)
	}
	a.send(beginRecord(9, 2, flagKeepConn), beginRecord(10, 2, 0))
	if _, status := a.answer(10); status != cantMultiplex {
		t.Errorf("a second request beside the first: %d", status)
	}
	a.send(paramsRecords(9, "A", "1"))
	a.answer(9)
	a.send(beginRecord(11, 3, 0))
	if _, status := a.answer(11); status != unknownRole {
		t.Errorf("a filter: %d", status)
	}
	a.ended()
}

// Management records are answered between and within requests (section 4).
func TestServerManagement(t *testing.T) {
	t.Parallel()
	a := dial(t, started(t, &Server{Handler: echo, MaxConns: 7}))
	asked := appendParam(appendParam(appendParam(appendParam(nil, "FCGI_MAX_CONNS", ""), "FCGI_MPXS_CONNS", ""), "FCGI_OTHER", ""), "FCGI_MAX_CONNS", "")
	want := appendParam(appendParam(nil, "FCGI_MAX_CONNS", "7"), "FCGI_MPXS_CONNS", "0")
	a.send(appendRecord(nil, typeGetValues, 0, asked))
	if rec := a.next(); rec.kind != typeGetValuesResult || rec.id != 0 || !bytes.Equal(rec.content, want) {
		t.Errorf("%+v", rec)
	}
	a.send(beginRecord(1, 2, 0), appendRecord(nil, 99, 0, []byte("what")), appendRecord(nil, typeGetValues, 0, []byte{1}))
	if rec := a.next(); rec.kind != typeUnknownType || !bytes.Equal(rec.content, []byte{99, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("%+v", rec)
	}
	if rec := a.next(); rec.kind != typeGetValuesResult || len(rec.content) != 0 {
		t.Errorf("%+v", rec)
	}
	a.send(paramsRecords(1, "A", "1"))
	a.answer(1)
}

// A handler that fails answers 500 and harms nobody else.
func TestServerHandlerFails(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s := &Server{ErrorLog: log.New(&logged, "", 0), Handler: func(r *Request) *Answer {
		if r.Params[0].Value == "panic" {
			panic("a fault")
		}
		return nil
	}}
	addr := started(t, s)
	for _, value := range []string{"panic", "nil"} {
		a := dial(t, addr)
		a.send(beginRecord(1, 2, 0), paramsRecords(1, "A", value))
		if got, _ := a.answer(1); !strings.HasPrefix(got, "Status: 500 ") {
			t.Errorf("%s: %q", value, got)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(logged.String(), "a fault") {
		t.Errorf("logged: %s", logged.String())
	}
}

// Who is slow is cut off, before a request and within one.
func TestServerTimeout(t *testing.T) {
	t.Parallel()
	addr := started(t, &Server{Handler: echo, Timeout: 50 * time.Millisecond})
	for _, send := range [][]byte{nil, {1}, beginRecord(1, 2, 0), append(beginRecord(1, 2, 0), appendRecord(nil, typeParams, 1, []byte{1})...)} {
		a := dial(t, addr)
		a.send(send)
		begin := time.Now()
		if a.ended(); time.Since(begin) > 5*time.Second {
			t.Errorf("%d bytes: cut off after %s", len(send), time.Since(begin))
		}
	}
	// Between requests a connection may wait for longer, but not within the second.
	a := dial(t, addr)
	a.send(beginRecord(1, 2, flagKeepConn), paramsRecords(1))
	a.answer(1)
	a.send(beginRecord(2, 2, flagKeepConn))
	a.ended()
}

// More connections than there are places for wait, and are served later.
func TestServerMaxConns(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	addr := started(t, &Server{MaxConns: 3, Handler: func(r *Request) *Answer {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return echo(r)
	}})
	var askers []*asker
	for range 20 {
		a := dial(t, addr)
		a.send(beginRecord(1, 2, 0), paramsRecords(1, "A", "1"))
		askers = append(askers, a)
	}
	for _, a := range askers {
		if got, _ := a.answer(1); !strings.HasSuffix(got, "A=1\n") {
			t.Errorf("%q", got)
		}
	}
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
}

// Shutdown ends idle connections, waits for a request under way, and leaves no goroutine behind.
func TestServerShutdown(t *testing.T) { // not parallel: it counts goroutines
	before := runtime.NumGoroutine()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: func(r *Request) *Answer { close(entered); <-leave; return echo(r) }, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	idle, busy := dial(t, ln.Addr().String()), dial(t, ln.Addr().String())
	idle.send(appendRecord(nil, typeGetValues, 0, nil))
	idle.next() // it has been accepted
	busy.send(beginRecord(1, 2, flagKeepConn), paramsRecords(1, "A", "1"))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a request under way: %v", err)
	}
	idle.ended()
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	close(leave)
	if got, _ := busy.answer(1); !strings.HasSuffix(got, "A=1\n") {
		t.Errorf("%q", got)
	}
	busy.ended()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("at the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after Shutdown: %v", err)
	}
	if err := s.Serve(ln); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve again: %v", err)
	}
	for begin := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// Attack: what a handler was made to say by a client becomes a field of its own.
func TestAnswerHead(t *testing.T) {
	t.Parallel()
	a := Answer{Status: 99, Header: http.Header{
		"Good": {"æ", "two"}, "Bad": {"x\r\nSet-Cookie: evil=1", "x\ny", "x\x00"}, "Bad: name": {"x"}, "Bad\r\nname": {"x"}, "": {"x"}, "Status": {"200 OK"}, "status": {"200 OK"},
	}}
	if diff := cmp.Diff("Status: 500 Internal Server Error\r\nGood: æ\r\nGood: two\r\n", string(a.head())); diff != "" {
		t.Error(diff)
	}
}

func TestRequestParam(t *testing.T) {
	t.Parallel()
	r := Request{Params: []Param{{"A", "1"}, {"B", "2"}, {"B", "2"}, {"C", ""}}}
	for name, want := range map[string]string{"A": "1 true", "B": " false", "C": " true", "D": " false", "a": " false"} {
		value, ok := r.Param(name)
		if got := value + map[bool]string{true: " true", false: " false"}[ok]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
