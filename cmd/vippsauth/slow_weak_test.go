package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Attack, by nobody: somebody downloads a large file and walks from good coverage to bad. The system has grown its buffer by
// then, and says that there is room again only when a third of it has gone, which takes a slow client longer than the
// guard's patience. A client that takes something all the time isn't stalled, and gets the whole answer.
func TestSec_C071_SlowButSteady(t *testing.T) {
	t.Parallel()
	const patience, fast, slow = 1300 * time.Millisecond, 12 << 20, 2 << 20
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for part, n := make([]byte, 32<<10), 0; n < 40<<20; n += len(part) {
			if _, err := w.Write(part); err != nil {
				return // which the client tells
			}
		}
	})}
	go func() { _ = srv.Serve(&stallGuard{Listener: ln, patience: patience}) }()
	t.Cleanup(func() { _ = srv.Close() })
	conn, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, writeErr := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	// Without a size of its own the client's system grows its buffer to tens of megabytes, and is silent until a part of it is free.
	sizeErr := conn.(*net.TCPConn).SetReadBuffer(256 << 10)
	if err := errors.Join(conn.SetDeadline(time.Now().Add(40*time.Second)), sizeErr, writeErr); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, fast); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < slow; n += 16 << 10 { // some 300 kB a second, for seven seconds
		if _, err := io.CopyN(io.Discard, conn, 16<<10); err != nil {
			t.Fatalf("after %d slow bytes: %v", n, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	n, err := io.Copy(io.Discard, conn)
	if n += fast + slow; err != nil || n < 40<<20 {
		t.Errorf("%d bytes arrive: %v", n, err)
	}
}
