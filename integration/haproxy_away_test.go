package integration_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// brokenService listens where vippsauth should, and answers as it is told: by the path that is judged.
type brokenService struct {
	mu      sync.Mutex
	answers map[string]string // as bytes. One that ends with "…" stays open and says no more
	asked   map[string][]*http.Request
}

func (s *brokenService) will(path, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *brokenService) requests(path string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.asked[path]...)
}

func startBrokenService(t *testing.T, addr string) *brokenService {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &brokenService{answers: map[string]string{}, asked: map[string][]*http.Request{}}
	over := make(chan struct{})
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() { s.serve(conn, over) })
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = ln.Close()
		open.Wait()
	})
	return s
}

func (s *brokenService) serve(conn net.Conn, over <-chan struct{}) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return // a health check
	}
	path := r.Header.Get("X-Forwarded-Uri")
	s.mu.Lock()
	s.asked[path] = append(s.asked[path], r)
	answer, hangs := strings.CutSuffix(s.answers[path], "…")
	s.mu.Unlock()
	_, _ = io.WriteString(conn, answer)
	if hangs {
		select {
		case <-over:
		case <-time.After(20 * time.Second):
		}
	}
}

// away checks the answer that a person gets while nobody can judge.
func away(t *testing.T, what string, a answer) {
	t.Helper()
	if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.text, "Nothing was sent to the site") ||
		a.Header.Get("Retry-After") == "" || a.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: %d %v %.200s", what, a.StatusCode, a.Header, a.text)
	}
}

// Whatever answers in vippsauth's place, and whatever becomes of its answer on the way: nobody passes.
func TestSec_D25_HAProxyServiceBroken(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.addr = freeAddr(t)
	service := startBrokenService(t, f.addr)
	startHAProxy(t, f)
	const yes, id = "HTTP/1.1 200 OK\r\n", "X-Vipps-Auth: authenticated\r\nX-Vipps-Sub: s\r\n"
	const no, empty = "HTTP/1.1 403 Forbidden\r\nCache-Control: no-store\r\n", "Content-Length: 0\r\n\r\n"
	service.will("/yes", yes+id+empty)
	if a := f.browser().open(f.origin + "/yes"); a.StatusCode != http.StatusOK {
		t.Fatalf("the stand-in's yes: %d %s", a.StatusCode, a.text)
	}
	var cases sync.WaitGroup
	for path, answer := range map[string]string{
		"/cut-in-body":           yes + id + "Content-Length: 5\r\n\r\nab",
		"/no-length":             yes + id + "\r\n",
		"/chunks":                yes + id + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"/cut-in-a-chunk":        yes + id + "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
		"/a-body":                yes + id + "Content-Length: 2\r\n\r\nok",
		"/who-twice":             yes + id + "X-Vipps-Sub: t\r\n" + empty,
		"/whether-twice":         yes + id + "X-Vipps-Auth: authenticated\r\n" + empty,
		"/202":                   "HTTP/1.1 202 Accepted\r\nCache-Control: no-store\r\n" + id + empty,
		"/101":                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + id + "\r\n",
		"/100-and-no-more":       "HTTP/1.1 100 Continue\r\n\r\n",
		"/somebodys-redirect":    "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n" + empty,
		"/half-a-page":           no + "Content-Length: 50\r\n\r\nhalf",
		"/headers-without-end":   yes + id + strings.Repeat("X-Filler: "+strings.Repeat("f", 1000)+"\r\n", 40) + empty,
		"/too-many-headers":      yes + id + strings.Repeat("X-Filler: f\r\n", 300) + empty,
		"/a-page-without-end":    no + "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1_000_000),
		"/too-large-a-page":      no + "Content-Length: 16000\r\n\r\n" + strings.Repeat("x", 16_000),
		"/slow-in-a-page":        no + "Content-Length: 50\r\n\r\nhalf…",
		"/slow-and-one-too-many": yes + id + "Content-Length: 2\r\n\r\no…",
	} {
		service.will(path, answer)
		cases.Go(func() {
			begin := time.Now()
			away(t, path, f.browser().send(http.MethodGet, f.origin+path, navigation(), nil))
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s: after %s, asked %d times", path, took, len(service.requests(path)))
			}
		})
	}
	cases.Wait()
	for _, answer := range []string{"", "SSH-2.0-OpenSSH_9.2\r\n\r\n", yes + "Content-Le"} {
		service.will("", answer)
		away(t, "a page of ours", f.browser().send(http.MethodGet, f.origin+"/_vipps/login", navigation(), nil))
	}
	if n := f.app.hits(); n != 1 {
		t.Errorf("the app was asked %d times", n-1)
	}
}

// HAProxy goes on after an error in Lua. The rule at the end of the configuration stops the request all the same.
func TestHAProxyLuaError(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	for name, mistake := range map[string][2]string{
		"no such backend":     {"lua.vippsauth vippsauth if", "lua.vippsauth elsewhere if"},
		"no host":             {"set-var(txn.vipps_host)", "set-var(txn.elsewhere)"},
		"no scheme":           {"set-var(txn.vipps_scheme)", "set-var(txn.elsewhere)"},
		"nobody asks":         {"http-request lua.vippsauth vippsauth", "# "},
		"no time to do it in": {"global\n", "global\n\ttune.lua.session-timeout 1\n\ttune.lua.forced-yield 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.serve("--trusted-proxies=loopback")
			startHAProxy(t, f, mistake[0], mistake[1])
			for range 50 {
				if a := f.browser().send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized || name != "no time to do it in" {
					away(t, name, a)
				}
			}
			if n := f.app.hits(); n > 0 {
				t.Errorf("the app was asked %d times", n)
			}
		})
	}
}
