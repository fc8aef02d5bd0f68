package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A running is a service of a test, whose provider is away.
type running struct {
	site, ops, fcgi string // addresses
	stop            func()
	done            chan error
}

// anywhere listens at a free port.
func anywhere(t *testing.T) net.Listener {
	t.Helper()
	ln, err := listenOn(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// start runs a service in front of h until the test ends or stop is called.
func start(t *testing.T, h http.Handler, proxies bool) *running {
	t.Helper()
	c := newConfig()
	c.environment, c.publicURLs, c.trustedProxies = envEmulator, []string{"http://localhost:4190"}, []string{"loopback"}
	s := &service{log: zap.NewNop(), ops: newOps(), proxies: proxies, handler: h}
	if err := s.build(c, "http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	s.site, s.opsLn, s.fcgi = []net.Listener{anywhere(t)}, anywhere(t), anywhere(t)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{site: s.site[0].Addr().String(), ops: s.opsLn.Addr().String(), fcgi: s.fcgi.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(15 * time.Second):
			t.Error("the service doesn't stop")
		}
	})
	return r
}

// dial connects and sends bytes.
func (r *running) dial(t *testing.T, send string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.site, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, send); err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
		t.Fatal(err)
	}
	return conn
}

// A stop during a request: not ready at once, no new connections, and the request under way is answered in full.
func TestSec_D29_GracefulStop(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "answered")
	}), false)
	if _, err := probe(t.Context(), r.ops); err != nil {
		t.Fatal(err)
	}
	conn := r.dial(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered
	r.stop()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := probe(t.Context(), r.ops)
		if err != nil && strings.Contains(err.Error(), "stopping") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still ready: %v", err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.DialTimeout("tcp", r.site, time.Second)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("still accepting connections")
		}
	}
	close(release)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "answered" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if _, err := probe(t.Context(), r.ops); err == nil {
		t.Error("the internal listener is still there")
	}
}

// Headers beyond the limit are refused, and cost no more than the limit.
func TestSec_C070_Oversize(t *testing.T) {
	t.Parallel()
	r := start(t, http.NotFoundHandler(), false)
	for name, request := range map[string]string{
		"header":       "GET / HTTP/1.1\r\nHost: a\r\nX-Big: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"cookie":       "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=" + strings.Repeat("a", 80<<10) + "\r\n\r\n",
		"many headers": "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: b\r\n", 20000) + "\r\n",
		"request line": "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var res *http.Response
			for try := 1; res == nil; try++ { // a reset may overtake the answer, since what was sent isn't all read
				a, err := http.ReadResponse(bufio.NewReader(r.dial(t, request)), nil)
				if err != nil && try == 20 {
					t.Fatal(err)
				}
				res = a
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
}

// Whoever sends headers slowly is cut off, while others are served; so is a slow body to one of our own endpoints.
func TestSec_C071_SlowHeaders(t *testing.T) {
	t.Parallel()
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }), true)
	slow := r.dial(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	began := time.Now()
	other := r.dial(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(other), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("another client isn't served: %v", err)
	}
	if _, err := io.ReadAll(slow); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 4*time.Second || took > 12*time.Second {
		t.Errorf("cut off after %s", took)
	}
}

// OPTIONS * reaches the handler like every other request, rather than being answered by net/http.
func TestService_OptionsStar(t *testing.T) {
	t.Parallel()
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), false)
	res, err := http.ReadResponse(bufio.NewReader(r.dial(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTeapot {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestListenOn_Unix(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	first, err := listenOn(t.Context(), "listen", unixPrefix+path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := listenOn(t.Context(), "listen", unixPrefix+path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second listener: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	again, err := listenOn(t.Context(), "listen", unixPrefix+path)
	if err != nil {
		t.Fatalf("a socket that nobody listens on is in the way: %v", err)
	}
	again.Close()
}

func TestListenNear_TakesTheNextFreePort(t *testing.T) {
	t.Parallel()
	first, port, err := listenNear(t.Context(), 0, true)
	if err != nil {
		t.Fatal(err)
	}
	second, next, err := listenNear(t.Context(), port, true)
	if err != nil {
		t.Fatal(err)
	}
	if next <= port {
		t.Errorf("port %d after %d", next, port)
	}
	for _, ln := range append(first, second...) {
		ln.Close()
	}
}
