package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Attack: clients that ask and ask, and read no answer. When nothing more fits on the way, the server waits for them, with a
// goroutine and buffers for each, and without a deadline for ever. They are cut off; others don't notice, and whoever reads
// slowly keeps the connection.
func TestSec_C071_SlowReaders(t *testing.T) {
	t.Parallel()
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/_vipps/login?rd="+strings.Repeat("x", 500), http.StatusFound)
	}), false)
	const clients = 20
	asked := bytes.Repeat([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 2000)
	// Twice the guard's patience, and as much again whenever the system has found room for a little more in its buffers, which
	// it does once or twice on a busy machine.
	const limit = 90 * time.Second
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		conn := r.dial(t, "")
		if err := errors.Join(conn.(*net.TCPConn).SetReadBuffer(4096), conn.SetDeadline(time.Now().Add(limit))); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for {
				if _, err := conn.Write(asked); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a client that reads nothing is still connected after %s", limit)
					return
				} else if err != nil {
					return // cut off
				}
			}
		})
	}
	slow := bufio.NewReaderSize(r.dial(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 16)
	for time.Since(began) < 3*time.Second {
		time.Sleep(200 * time.Millisecond)
		conn := r.dial(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if a, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(a, []byte("HTTP/1.1 302 ")) {
			t.Fatalf("another client: %q %v", a, err)
		}
		if _, err := slow.ReadByte(); err != nil {
			t.Fatalf("a client that reads slowly: %v", err)
		}
	}
	all.Wait()
	if took := time.Since(began); took < stallTime {
		t.Errorf("cut off after %s", took)
	}
}

// What net/http and its proxy do with connections works with guarded ones: an answer whose client pauses for less than the
// guard's patience, again and again, arrives whole; so does what is written after a takeover, long after the last write.
func TestStallGuard(t *testing.T) {
	t.Parallel()
	const patience = 1500 * time.Millisecond
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			for range 600 {
				if _, err := w.Write(make([]byte, 16<<10)); err != nil {
					t.Error(err)
					return
				}
			}
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for range 2 {
			time.Sleep(3 * patience)
			if _, err := fmt.Fprint(conn, "late "); err != nil {
				t.Error(err)
			}
		}
	})}
	go func() { _ = srv.Serve(&stallGuard{Listener: ln, patience: patience}) }()
	t.Cleanup(func() { _ = srv.Close() })
	dial := func(path string) net.Conn {
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(40 * time.Second))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		return conn
	}
	taken := dial("/hijack")
	large, n := dial("/large"), int64(0)
	for range 8 {
		got, err := io.CopyN(io.Discard, large, 1<<20)
		if n += got; err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		time.Sleep(patience / 4)
	}
	rest, err := io.Copy(io.Discard, large)
	if n += rest; err != nil || n < 600*16<<10 {
		t.Errorf("%d bytes arrive: %v", n, err)
	}
	if got, err := io.ReadAll(taken); string(got) != "late late " || err != nil {
		t.Errorf("after a takeover: %q %v", got, err)
	}
}
