package integration_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// app is an application that knows nothing of login. It keeps every request that it gets.
type app struct {
	t   testing.TB
	srv *httptest.Server

	// echoes lets every page show the request's headers; reads is what this application makes of their values, nil: nothing.
	echoes  bool
	reads   func(string) string
	charset string // what its pages say that they are in; "": UTF-8

	mu     sync.Mutex
	seen   []seen
	routes map[string]http.HandlerFunc // what a test has besides, by path
}

// seen is a request as the app got it.
type seen struct {
	Method, URI, Host string
	Header            http.Header
	Sum               string // SHA-256 of the body, in hex
	Length            int64
	Body              string // its beginning
	Trailer           http.Header
}

func startApp(t testing.TB) *app {
	t.Helper()
	a := &app{t: t}
	a.srv = httptest.NewServer(a)
	t.Cleanup(a.srv.Close)
	return a
}

func (a *app) addr() string { return strings.TrimPrefix(a.srv.URL, "http://") }

// handle adds a page of the app that a test writes itself. Its requests are not kept.
func (a *app) handle(path string, h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.routes == nil {
		a.routes = map[string]http.HandlerFunc{}
	}
	a.routes[path] = h
}

func (a *app) route(path string) http.HandlerFunc {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.routes[path]
}

// beginning keeps the first bytes of what is written to it.
type beginning struct{ bytes.Buffer }

func (b *beginning) Write(p []byte) (int, error) {
	const most = 8 << 10
	_, _ = b.Buffer.Write(p[:min(len(p), most-min(b.Len(), most))])
	return len(p), nil
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := a.route(r.URL.Path); h != nil {
		h(w, r)
		return
	}
	sum := sha256.New()
	var head beginning
	n, err := io.Copy(io.MultiWriter(sum, &head), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.seen = append(a.seen, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), hex.EncodeToString(sum.Sum(nil)), n, head.String(), r.Trailer.Clone()})
	a.mu.Unlock()
	switch r.URL.Path {
	case "/ws":
		a.websocket(w, r)
	case "/events":
		events(w, r)
	case "/ranged":
		http.ServeContent(w, r, "ranged.txt", time.Date(2025, 12, 24, 0, 0, 0, 0, time.UTC), strings.NewReader("0123456789"))
	case "/status-of-app":
		status, err := strconv.Atoi(r.URL.RawQuery)
		if err != nil {
			a.t.Error(err)
		}
		http.Error(w, "app: its own error", status)
	case "/forbidden-by-app":
		http.Error(w, "app: says no", http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if a.echoes {
			if a.charset != "" {
				w.Header().Set("Content-Type", "text/plain; charset="+a.charset)
			}
			a.echo(w, r)
			return
		}
		fmt.Fprintf(w, "app: %s %s auth=%s name=%s", r.Method, r.URL.RequestURI(), r.Header.Get("X-Vipps-Auth"), r.Header.Get("X-Vipps-Name"))
	}
}

// echo shows the headers that came.
func (a *app) echo(w io.Writer, r *http.Request) {
	for name, values := range r.Header {
		for _, value := range values {
			if a.reads != nil {
				value = a.reads(value)
			}
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
}

// asLatin1 takes each byte for a letter, as applications do that know of no other encoding.
func asLatin1(s string) string {
	letters := make([]rune, 0, len(s))
	for i := range len(s) {
		letters = append(letters, rune(s[i]))
	}
	return string(letters)
}

// onlyASCII leaves out what isn't.
func onlyASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return -1
		}
		return r
	}, s)
}

// websocket accepts the handshake and sends back every byte that comes (frames as they are: who asks is a test).
func (a *app) websocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") {
		http.Error(w, "app: no handshake", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		a.t.Errorf("app: %v", err)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if buffered.Flush() != nil {
		return
	}
	_, _ = io.Copy(conn, buffered) // until the client goes
}

// events sends one event and then waits for the client to go.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(10 * time.Second):
	}
}

func (a *app) hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// forget drops the requests that it has kept.
func (a *app) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = nil
}

// last is the last request that the app got.
func (a *app) last() seen {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) == 0 {
		a.t.Fatal("the app got no request")
	}
	return a.seen[len(a.seen)-1]
}

// since gives the requests after the first n.
func (a *app) since(n int) []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]seen(nil), a.seen[n:]...)
}

// postsSince is since without what browsers ask for by themselves, such as icons.
func (a *app) postsSince(n int) []seen {
	return slices.DeleteFunc(a.since(n), func(s seen) bool { return s.Method != http.MethodPost })
}
