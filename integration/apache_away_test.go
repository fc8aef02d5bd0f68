package integration_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A cut stands between Apache and the service's FastCGI listener, and spoils answers.
type cut struct {
	to     string
	spoil  atomic.Pointer[func(answer []byte) []byte] // nil: nothing is spoilt
	stalls atomic.Bool                                // answers don't come
	done   chan struct{}
}

func startCut(t *testing.T, at, to string) *cut {
	t.Helper()
	c := &cut{to: to, done: make(chan struct{})}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(c.done)
		_ = ln.Close()
	})
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	return c
}

func (c *cut) pass(conn net.Conn) {
	defer conn.Close()
	service, err := net.DialTimeout("tcp", c.to, 5*time.Second)
	if err != nil {
		return
	}
	defer service.Close()
	go func() { _, _ = io.Copy(service, conn) }()
	answer, _ := io.ReadAll(service) // the service closes the connection behind its answer
	if c.stalls.Load() {
		<-c.done
		return
	}
	if spoil := c.spoil.Load(); spoil != nil {
		answer = (*spoil)(answer)
	}
	_, _ = conn.Write(answer)
}

// closed says that nobody gets in, session or not, and that people see a page.
func closed(t *testing.T, f *front, who ...*browser) {
	t.Helper()
	hits := f.app.hits()
	for _, b := range who {
		for _, h := range []http.Header{navigation(), fetching()} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a := b.send(method, f.origin+"/secret", h, nil)
				if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.text, "Login is not available just now") ||
					a.Header.Get("Retry-After") != "60" || a.Header.Get("Cache-Control") != "no-store" || strings.Contains(a.text, "Apache") {
					t.Errorf("%d %v %s", a.StatusCode, a.Header, a.words())
				}
			}
		}
	}
	if f.app.hits() != hits {
		t.Error("the app was asked while nobody could judge")
	}
}

// With the service cut in mid-answer, slow or down nobody gets in. Afterwards everything is as it was.
func TestApacheServiceAway(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	service := f.fcgi
	f.fcgi = freeAddr(t)
	between := startCut(t, f.fcgi, service)
	startApache(t, f, "")
	b := f.loggedIn()
	for name, spoil := range map[string]func([]byte) []byte{
		"nothing":            func([]byte) []byte { return nil },
		"half a header":      func(a []byte) []byte { return a[:4] },
		"half":               func(a []byte) []byte { return a[:len(a)/2] },
		"all but nine bytes": func(a []byte) []byte { return a[:len(a)-9] }, // mod_authnz_fcgi takes an end whose last byte is missing for one
		"all but the end":    func(a []byte) []byte { return a[:len(a)-16] },
		"all but the stream": func(a []byte) []byte { return a[:len(a)-24] },
		"something else":     func([]byte) []byte { return []byte("HTTP/1.1 200 OK\r\nVariable-VIPPS_SUB: evil\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			between.spoil.Store(&spoil)
			closed(t, f, b)
			hits := f.app.hits()
			for _, h := range []http.Header{navigation(), fetching()} { // of a refusal Apache shows what has come of it
				if a := f.browser().send(http.MethodGet, f.origin+"/secret", h, nil); a.StatusCode < 500 || f.app.hits() != hits {
					t.Errorf("without a session: %d %s", a.StatusCode, a.words())
				}
			}
		})
	}
	between.spoil.Store(nil)
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusOK {
		t.Errorf("with the service back: %d", a.StatusCode)
	}
	t.Run("slow", func(t *testing.T) { // mod_authnz_fcgi waits for thirty seconds, whatever one says
		between.stalls.Store(true)
		defer between.stalls.Store(false)
		b.client.Timeout = time.Minute
		hits, begin := f.app.hits(), time.Now()
		if a := b.send(http.MethodGet, f.origin+"/secret", navigation(), nil); a.StatusCode != http.StatusServiceUnavailable || f.app.hits() != hits {
			t.Errorf("after %s: %d", time.Since(begin), a.StatusCode)
		}
	})
	t.Run("down", func(t *testing.T) {
		f.service.end()
		closed(t, f, b, f.browser())
		if a := b.open(f.origin + "/_vipps/login"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.text, "Login is not available just now") {
			t.Errorf("the login page: %d %s", a.StatusCode, a.words())
		}
	})
	t.Run("back", func(t *testing.T) {
		f.fcgi = service
		f.serveApache()
		f.loggedIn()
	})
}

func TestApacheRestart(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.addr, f.fcgi = freeAddr(t), freeAddr(t)
	restarts(t, f, func() { startApache(t, f, "") }, "--fcgi-listen="+f.fcgi)
}
