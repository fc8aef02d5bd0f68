package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// A between stands where the service was, passes on what it is asked, and spoils the answers that are to be spoilt.
type between struct {
	to    string                    // where the service is now
	which func(asked []byte) *fault // nil for a question whose answer is left as it is
	late  time.Duration             // after this time nobody waits for an answer

	over context.Context
	stop func() // and waits until nothing of it is left
}

// dialects are the ways in which services are asked, by the setting that says where they listen.
var dialects = map[string]func(*between, net.Listener) func(){
	"--listen": overTCP((*between).passHTTP), "--authz-listen": overTCP((*between).passHTTP), "--fcgi-listen": overTCP((*between).passFastCGI), "--grpc-listen": (*between).serveGRPC,
}

func (b *between) start(t testing.TB, at string, dialect func(*between, net.Listener) func()) {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(context.Background())
	b.over = over
	wait := dialect(b, ln)
	b.stop = sync.OnceFunc(func() {
		end()
		_ = ln.Close()
		wait()
	})
	t.Cleanup(b.stop)
}

// overTCP accepts connections.
func overTCP(pass func(*between, net.Conn)) func(*between, net.Listener) func() {
	return func(b *between, ln net.Listener) func() {
		var open sync.WaitGroup
		open.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				open.Go(func() {
					defer context.AfterFunc(b.over, func() { _ = conn.Close() })()
					defer conn.Close()
					pass(b, conn)
				})
			}
		})
		return open.Wait
	}
}

// passHTTP goes from question to question on one connection.
func (b *between) passHTTP(conn net.Conn) {
	var asked bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &asked))
	for {
		asked.Reset()
		r, err := http.ReadRequest(in)
		if err != nil {
			return // a health check, or the end
		}
		if _, err = io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		fl := b.which(asked.Bytes())
		if fl != nil && (fl.theirs != nil || fl.bytes != "") {
			b.spoil(conn, fl, nil, (*theirs).overHTTP)
			return
		}
		answer, last, err := b.ask(asked.Bytes(), r)
		if err != nil {
			return
		}
		if fl != nil {
			b.spoil(conn, fl, answer, nil)
			return
		}
		if _, err := conn.Write(answer); err != nil || last {
			return
		}
	}
}

// ask passes a question on, byte by byte as it is.
func (b *between) ask(asked []byte, r *http.Request) (answer []byte, last bool, err error) {
	service, err := net.DialTimeout("tcp", b.to, 5*time.Second)
	if err != nil {
		return nil, true, err
	}
	defer service.Close()
	defer context.AfterFunc(b.over, func() { _ = service.Close() })()
	if _, err = service.Write(asked); err != nil {
		return nil, true, err
	}
	var all bytes.Buffer
	w, err := http.ReadResponse(bufio.NewReader(io.TeeReader(service, &all)), r)
	if err != nil {
		return nil, true, err
	}
	_, err = io.Copy(io.Discard, w.Body)
	_ = w.Body.Close()
	return all.Bytes(), w.Close, err
}

// passFastCGI knows what was asked when the answer is there: the service closes the connection behind it.
func (b *between) passFastCGI(conn net.Conn) {
	service, err := net.DialTimeout("tcp", b.to, 5*time.Second)
	if err != nil {
		return
	}
	defer service.Close()
	defer context.AfterFunc(b.over, func() { _ = service.Close() })()
	var asked output
	go func() { _, _ = io.Copy(service, io.TeeReader(conn, &asked)) }()
	answer, _ := io.ReadAll(service)
	if fl := b.which([]byte(asked.String())); fl != nil {
		b.spoil(conn, fl, answer, (*theirs).overFastCGI)
		return
	}
	_, _ = conn.Write(answer)
}

// spoil writes what becomes of an answer, and is the last thing on its connection.
func (b *between) spoil(conn net.Conn, fl *fault, answer []byte, encode func(*theirs) []byte) {
	switch {
	case fl.theirs != nil:
		answer = encode(fl.theirs)
	case fl.bytes != "":
		answer = []byte(fl.bytes)
	case fl.late:
		select {
		case <-time.After(b.late):
		case <-b.over.Done():
			return
		}
	default:
		answer = fl.cut.of(answer)
		answer = answer[:max(0, len(answer)-fl.lacks)]
	}
	_, _ = conn.Write(answer)
	if fl.hangs {
		_, _ = io.Copy(io.Discard, conn) // until whoever asked goes, or all is over
	}
	if tcp, ok := conn.(*net.TCPConn); ok && fl.resets {
		_ = tcp.SetLinger(0)
	}
}

// serveGRPC spoils one stream of a connection and leaves the others alone.
func (b *between) serveGRPC(ln net.Listener) func() {
	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: only2}
	srv := &http.Server{Protocols: only2, ErrorLog: discardLog, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(asked))
		b.answerGRPC(w, r, b.which(asked), tr)
	})}
	var open sync.WaitGroup
	open.Go(func() { _ = srv.Serve(ln) })
	return func() {
		_ = srv.Close()
		tr.CloseIdleConnections()
		open.Wait()
	}
}

var errCut = errors.New("cut")

func (b *between) answerGRPC(w http.ResponseWriter, r *http.Request, fl *fault, tr http.RoundTripper) {
	if fl == nil {
		fl = &fault{}
	}
	switch {
	case fl.hangs:
		<-r.Context().Done()
		return
	case fl.theirs != nil:
		if fl.theirs.header != "" {
			w.Header().Set("Content-Type", "text/html")
		}
		w.WriteHeader(fl.theirs.status)
		_, _ = io.WriteString(w, fl.theirs.body)
		return
	case fl.bytes != "":
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = io.WriteString(w, fl.bytes)
		return
	case fl.late:
		select {
		case <-time.After(b.late):
		case <-r.Context().Done():
		}
	}
	(&httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: b.to}) },
		Transport:     tr,
		FlushInterval: -1,
		ErrorLog:      discardLog,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(w *http.Response) error {
			switch fl.cut {
			case whole:
				return nil
			case inBody, inBodyOfYes:
				message, err := io.ReadAll(w.Body)
				w.Body = io.NopCloser(io.MultiReader(bytes.NewReader(message[:len(message)/2]), broken{}))
				return err
			default:
				return errCut
			}
		},
	}).ServeHTTP(w, r)
}

// broken is the end of a body that has none.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }
