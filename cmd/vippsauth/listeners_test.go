package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A whole is a service of a test with every listener that there is, in front of an application.
type whole struct {
	site, authz, ops string
	hits             *atomic.Int64 // of the application
}

// startWhole runs the service as the settings say that change has changed; with an application when sidecar is true.
func startWhole(t *testing.T, sidecar bool) *whole {
	t.Helper()
	w := &whole{hits: &atomic.Int64{}}
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.hits.Add(1)
	}))
	t.Cleanup(app.Close)
	c := newConfig()
	c.environment, c.publicURLs, c.trustedProxies = envEmulator, []string{"http://localhost:4190"}, []string{"loopback"}
	if sidecar {
		var err error
		if c.upstream, err = url.Parse(app.URL); err != nil {
			t.Fatal(err)
		}
	}
	s := &service{log: zap.NewNop(), ops: newOps(), proxies: sidecar}
	if err := s.build(c, "http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	s.site, s.opsLn, s.authz = []net.Listener{anywhere(t)}, anywhere(t), anywhere(t)
	s.handler = s.mainHandler(c)
	w.site, w.ops, w.authz = s.site[0].Addr().String(), s.opsLn.Addr().String(), s.authz.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			t.Error("the service doesn't stop")
		}
	})
	return w
}

// ask sends bytes to an address and gives the status of the answer, 0 for none, and whether the connection ended with it.
func ask(t *testing.T, addr, request string, patience time.Duration) (status int, ended bool) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Error(err)
		return 0, false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, request) // the server may have had enough before the end
	r := bufio.NewReader(conn)
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, !errors.Is(err, context.DeadlineExceeded)
	}
	_, _ = io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	_, err = r.ReadByte()
	return a.StatusCode, errors.Is(err, io.EOF)
}

// Attack: the profiles, variables and metrics of a program say much about it and cost it much; they are asked for where
// browsers come in, under the names that Go programs have them.
func TestSec_B073_B027_NothingOfOpsInPublic(t *testing.T) {
	t.Parallel()
	for _, sidecar := range []bool{false, true} {
		w := startWhole(t, sidecar)
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/healthz", "/readyz", "/admin", "/config/"} {
			for name, addr := range map[string]string{"the site": w.site, "authz_listen": w.authz} {
				status, _ := ask(t, addr, "GET "+path+" HTTP/1.1\r\nHost: localhost:4190\r\nConnection: close\r\n\r\n", 5*time.Second)
				if status != http.StatusNotFound && (status != http.StatusUnauthorized || !sidecar) {
					t.Errorf("%s (sidecar %t): %s: %d", name, sidecar, path, status)
				}
			}
			want := http.StatusNotFound
			switch path {
			case "/metrics", "/healthz", "/readyz":
				want = http.StatusOK
			}
			if status, _ := ask(t, w.ops, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5*time.Second); status != want {
				t.Errorf("ops_listen: %s: %d", path, status)
			}
			// B-027: there is nothing to change there, from another site or not.
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				cross := method + " " + path + " HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
				if status, _ := ask(t, w.ops, cross, 5*time.Second); status != http.StatusMethodNotAllowed {
					t.Errorf("ops_listen: %s %s: %d", method, path, status)
				}
			}
		}
		if w.hits.Load() != 0 {
			t.Error("the application was asked")
		}
	}
}

// Attack: CONNECT, for which a proxy may join the client's connection to one that others' requests use. It is refused on
// every listener, with or without a path, and the connection ends.
func TestSec_B047_Connect(t *testing.T) {
	t.Parallel()
	for _, sidecar := range []bool{false, true} {
		w := startWhole(t, sidecar)
		for name, addr := range map[string]string{"the site": w.site, "authz_listen": w.authz, "ops_listen": w.ops} {
			for _, target := range []string{"localhost:4190", "/", "app.example:443", "/_vipps/login", "/_vipps/authz/forward-auth"} {
				request := "CONNECT " + target + " HTTP/1.1\r\nHost: localhost:4190\r\n\r\n"
				// A second request on the same connection, as the client would send to whoever it was connected to.
				status, ended := ask(t, addr, request+"GET / HTTP/1.1\r\nHost: localhost:4190\r\n\r\n", 5*time.Second)
				asks := name == "authz_listen" || strings.Contains(target, "/authz/") // no page of ours, and nothing behind it
				if status != http.StatusMethodNotAllowed && (!asks || status < 400 || status >= 500) {
					t.Errorf("%s (sidecar %t): CONNECT %s: %d", name, sidecar, target, status)
				}
				if name == "the site" && !asks && !ended {
					t.Errorf("%s (sidecar %t): CONNECT %s: the connection goes on", name, sidecar, target)
				}
			}
		}
		if w.hits.Load() != 0 {
			t.Error("the application was asked")
		}
	}
}

// Attack: headers beyond measure, and headers and bodies that never end, at each listener. They are refused or cut off
// within ten seconds, and others are served meanwhile; the application's requests alone may take their time.
func TestSec_C070_C071_EveryListener(t *testing.T) {
	t.Parallel()
	w := startWhole(t, false)
	side := startWhole(t, true)
	var slow []chan string
	for name, addr := range map[string]string{"the site": w.site, "authz_listen": w.authz, "ops_listen": w.ops, "a sidecar": side.site} {
		for what, request := range map[string]string{
			"a header of 1 MiB":      "GET / HTTP/1.1\r\nHost: localhost:4190\r\nX-Big: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
			"a cookie of 80 KiB":     "GET / HTTP/1.1\r\nHost: localhost:4190\r\nCookie: a=" + strings.Repeat("a", 80<<10) + "\r\n\r\n",
			"10,000 headers":         "GET / HTTP/1.1\r\nHost: localhost:4190\r\n" + strings.Repeat("X-A: b\r\n", 10000) + "\r\n",
			"a request line of 1 MB": "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: localhost:4190\r\n\r\n",
		} {
			status, ended := ask(t, addr, request, 10*time.Second)
			if status != http.StatusRequestHeaderFieldsTooLarge && (status != 0 || !ended) { // reset before the answer was read
				t.Errorf("%s at %s: %d", what, name, status)
			}
		}
		for what, request := range map[string]string{
			"headers without end":      "GET / HTTP/1.1\r\nHost: localhost:4190\r\nX-Slow: ",
			"a body that never comes":  "POST /_vipps/authz/forward-auth HTTP/1.1\r\nHost: localhost:4190\r\nContent-Length: 1000\r\n\r\nhalf",
			"chunks without end":       "POST /x HTTP/1.1\r\nHost: localhost:4190\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"a form that never comes":  "POST /_vipps/login HTTP/1.1\r\nHost: localhost:4190\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 1000\r\n\r\nrd=",
			"nothing at all after TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		} {
			done := make(chan string, 1)
			slow = append(slow, done)
			go func() {
				began := time.Now()
				status, ended := ask(t, addr, request, 20*time.Second)
				switch took := time.Since(began); {
				case took > 16*time.Second, !ended:
					done <- fmt.Sprintf("%s at %s: %d after %s, ended: %t", what, name, status, took, ended)
				case status >= 200 && status < 300:
					done <- fmt.Sprintf("%s at %s: %d", what, name, status)
				default:
					done <- ""
				}
			}()
		}
	}
	began := time.Now()
	if status, _ := ask(t, w.site, "GET /_vipps/x HTTP/1.1\r\nHost: localhost:4190\r\nConnection: close\r\n\r\n", 8*time.Second); status != http.StatusNotFound || time.Since(began) > 7*time.Second {
		t.Errorf("another client: %d after %s", status, time.Since(began))
	}
	for _, done := range slow {
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	}
	if n := w.hits.Load() + side.hits.Load(); n != 0 {
		t.Errorf("the application was asked %d times", n)
	}
}
