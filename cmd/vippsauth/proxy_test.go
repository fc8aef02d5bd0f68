package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// sidecarTo returns a server that passes everything on to app, as the sidecar does behind the engine.
func sidecarTo(t *testing.T, app http.Handler, trusted ...string) *httptest.Server {
	t.Helper()
	upstream := httptest.NewServer(app)
	t.Cleanup(upstream.Close)
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "a", ClientSecret: "b"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := &config{upstream: u, publicURLs: []string{"https://App.example.com:443/"}} // not as browsers write it
	engine, err := forwardauth.New(forwardauth.Config{Client: client, Keys: session.Keys{key}, PublicURLs: c.publicURLs, TrustedProxies: trusted})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(forwardedFor(engine.Trusts, newSidecar(c, zap.NewNop(), nil)))
	t.Cleanup(srv.Close)
	return srv
}

// raw sends bytes as they are, and returns the answer.
func raw(t *testing.T, srv *httptest.Server, request string) *http.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", srv.Listener.Addr().String(), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestSidecar_RequestArrivesAsSent(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	for _, target := range []string{"/", "/a%2Fb//c/../d?x=1;y=2&&z=%zz", "/?", "//double?a+b", "/%7Euser/"} {
		raw(t, srv, "GET "+target+" HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n")
		r := <-got
		if r.RequestURI != target || r.Host != "app.example.com" {
			t.Errorf("sent %q, the application got %q at host %q", target, r.RequestURI, r.Host)
		}
	}
}

// What a client says of proxies before us is not passed on, in whatever spelling.
func TestSec_B044_B076_ForwardedHeadersAreOurs(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	raw(t, srv, "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.2\r\n"+
		"X-Forwarded-Proto: javascript\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-User: root\r\n"+
		"Forwarded: for=10.0.0.3\r\nX-Real-Ip: 10.0.0.4\r\nX-App: kept\r\n\r\n")
	h := <-got
	forwarded := map[string][]string{}
	for name, values := range h {
		if name != "Accept-Encoding" && name != "User-Agent" {
			forwarded[name] = values
		}
	}
	want := map[string][]string{"X-App": {"kept"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"}}
	if diff := cmp.Diff(want, forwarded); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestSec_C063_B066_ForwardedForOfTrustedProxies(t *testing.T) {
	t.Parallel()
	got := make(chan []string, 1)
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header["X-Forwarded-For"] }), "10.0.0.0/8", "loopback")
	raw(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
	if diff := cmp.Diff([]string{"192.0.2.7, 127.0.0.1"}, <-got); diff != "" {
		t.Error(diff)
	}
	srv = sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header["X-Forwarded-For"] }), "10.0.0.0/8")
	raw(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
	if diff := cmp.Diff([]string{"127.0.0.1"}, <-got); diff != "" {
		t.Error(diff)
	}
}

func TestSidecar_Upgrades(t *testing.T) {
	t.Parallel()
	srv := sidecarTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			fmt.Fprint(w, "no upgrade: "+r.Header.Get("Upgrade")+r.Header.Get("Connection"))
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		rw.Flush()
	}))
	res := raw(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("websocket: %d %q", res.StatusCode, body)
	}
	res = raw(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n")
	if body, _ := io.ReadAll(res.Body); string(body) != "no upgrade: " {
		t.Errorf("h2c: %q", body)
	}
}

func TestSidecar_StreamsAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := sidecarTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer close(release)
	res := raw(t, srv, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "first\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

func TestSidecar_ApplicationAway(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	ln.Close()
	told := 0
	h := newSidecar(&config{upstream: gone}, zap.NewNop(), func(w http.ResponseWriter, _ *http.Request, status int, err error) {
		told++
		if status != http.StatusBadGateway || err == nil {
			t.Errorf("status %d, %v", status, err)
		}
		w.WriteHeader(status)
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusBadGateway || told != 1 {
		t.Errorf("%d, told %d times", w.Code, told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody))
	if told != 1 {
		t.Error("a page for a client that went away")
	}
}

func TestLegacyApp(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/a?b=<i>", http.NoBody)
	r.Header.Set("X-Vipps-Name", `Åse <script>alert("1")</script>`)
	r.Header.Set("X-Vipps-Sub", "emulator-1")
	r.Header.Set("X-Vipps-Email", "")
	r.Header.Set("Cookie", "secret=1")
	for language, want := range map[string]string{"en": "Hello, ", "nb": "Hei, "} {
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		(&legacyApp{links: []legacyLink{{"/x", "Bort", "Away"}}}).ServeHTTP(w, r)
		body := w.Body.String()
		if strings.Contains(body, "<script") || strings.Contains(body, "<i>") || strings.Contains(body, "secret") {
			t.Errorf("not escaped, or more shown than asked for:\n%s", body)
		}
		for _, part := range []string{want, "Åse &lt;script&gt;", `<code id="sub">emulator-1</code>`, `href="/_vipps/logout"`, "X-Vipps-Email", `href="/x"`} {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %q in\n%s", language, part, body)
			}
		}
	}
}
