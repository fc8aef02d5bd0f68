package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// asker is something that asks without being a navigation.
type asker struct {
	name, method string
	header       http.Header
	form         string // media type of the answer
}

// askers are of each kind that there is.
func askers() []asker {
	metadata := func(site, mode, dest string, more ...string) http.Header {
		h := http.Header{"Accept": {"*/*"}, "Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {mode}, "Sec-Fetch-Dest": {dest}}
		return with(h, more...)
	}
	return []asker{
		{"preflight", "OPTIONS", metadata("cross-site", "cors", "empty", "Origin", "https://other.example", "Access-Control-Request-Method", "POST"), "application/json"},
		{"fetch", "GET", metadata("same-origin", "cors", "empty"), "application/json"},
		{"fetch of another site", "POST", metadata("cross-site", "no-cors", "empty", "Content-Type", "text/plain"), "application/json"},
		{"XMLHttpRequest", "GET", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html"}}, "application/json"},
		{"image", "GET", metadata("same-origin", "no-cors", "image"), "application/json"},
		{"script", "GET", metadata("same-origin", "no-cors", "script"), "application/json"},
		{"style", "GET", metadata("same-origin", "no-cors", "style"), "application/json"},
		{"font", "GET", metadata("same-origin", "cors", "font"), "application/json"},
		{"video", "GET", metadata("same-origin", "no-cors", "video", "Range", "bytes=0-"), "application/json"},
		{"EventSource", "GET", with(http.Header{"Accept": {"text/event-stream"}}, "Sec-Fetch-Mode", "cors"), "application/json"},
		{"sendBeacon", "POST", metadata("same-origin", "no-cors", "empty", "Content-Type", "text/plain;charset=UTF-8"), "application/json"},
		{"service worker", "GET", metadata("same-origin", "same-origin", "serviceworker", "Service-Worker", "script"), "application/json"},
		{"prefetch", "GET", http.Header{"Sec-Purpose": {"prefetch"}, "Accept": {"text/html"}}, "application/json"},
		{"prerender", "GET", metadata("none", "navigate", "document", "Sec-Purpose", "prefetch;prerender"), "text/html"},
		{"gRPC", "POST", http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}}, "application/grpc"},
		{"gRPC-Web", "POST", metadata("same-origin", "cors", "empty", "Content-Type", "application/grpc-web+proto"), "application/grpc-web"},
		{"gRPC-Web as text", "POST", metadata("same-origin", "cors", "empty", "Content-Type", "application/grpc-web-text"), "application/grpc-web-text"},
		{"Connect", "POST", metadata("same-origin", "cors", "empty", "Content-Type", "application/connect+json"), "application/json"},
	}
}

// body is what an asker sends: an empty message of gRPC where there may be one.
func (a asker) body() io.Reader {
	return strings.NewReader(map[string]string{"POST": "\x00\x00\x00\x00\x00"}[a.method])
}

// programsGet401: whatever asks without a session and is no navigation gets 401 in a form that it understands; never a
// redirect, never a cookie, and the app is not asked. Pages that a browser loads ahead get a page.
func programsGet401(t *testing.T, f *front, d differs) {
	t.Helper()
	for _, p := range askers() {
		b, hits := f.browser(), f.app.hits()
		a := b.send(p.method, f.origin+"/api", p.header, p.body())
		form, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		form, _, _ = strings.Cut(form, "+")
		if a.StatusCode != http.StatusUnauthorized || form != p.form || len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Cache-Control") != "no-store" ||
			a.Header.Get("Location") != "" || len(b.cookies(f.origin)) > 0 {
			t.Errorf("%s: %d %v", p.name, a.StatusCode, a.Header)
		}
		if grpc := strings.HasPrefix(p.form, "application/grpc"); grpc && (a.Header.Get("Grpc-Status") != "16" || a.Header.Get("Grpc-Message") == "" || a.text != "" && !d.fillsBodies) ||
			p.form == "application/json" && !strings.Contains(a.text, `"login_required"`) || strings.Contains(p.name, "Connect") != strings.Contains(a.text, `"code":"unauthenticated"`) {
			t.Errorf("%s: %v %q", p.name, a.Header, a.text)
		}
		if f.app.hits() != hits {
			t.Errorf("%s: the app was asked", p.name)
		}
	}
}

// The list holds for every front end; here it is asked over HTTP/2, where browsers and gRPC ask.
func TestProgramsGet401OverHTTP2(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	overHTTP2.start(t, f)
	programsGet401(t, f, differs{})
}

// gRPC through the module: messages go both ways at once over HTTP/2 on both sides, and the status comes in the trailers.
// Without a session the same call gets its status in the header.
func TestGRPCThroughTheCaddyModule(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_ = http.NewResponseController(w).Flush()
		message := make([]byte, 8)
		for {
			if _, err := io.ReadFull(r.Body, message); err != nil {
				break
			}
			_, _ = w.Write(bytes.ToUpper(message))
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("Te"), r.Header.Get("X-Vipps-Auth"))
		w.Header().Set("Grpc-Status", "0")
	}))
	service.Config.Protocols = new(http.Protocols)
	service.Config.Protocols.SetUnencryptedHTTP2(true)
	service.Start()
	t.Cleanup(service.Close)
	f.overTLS()
	f.tls = moduleTLS()
	startCaddy(t, f, ownTLS, strings.NewReplacer("log\n", "log\n\ttls internal\n",
		"reverse_proxy "+f.app.addr(), "reverse_proxy /service/* h2c://"+strings.TrimPrefix(service.URL, "http://")+"\n\treverse_proxy "+f.app.addr()).Replace(moduleSite(f, "")))
	b := f.loggedIn()
	call := func(b *browser, body io.Reader) *http.Response {
		return b.ask(t, t.Context(), http.MethodPost, f.origin+"/service/Method", http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}, body)
	}
	in, out := io.Pipe()
	w := call(b, in)
	back := make([]byte, 8)
	for _, message := range []string{"message1", "message2"} {
		if _, err := io.WriteString(out, message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(w.Body, back); err != nil || string(back) != strings.ToUpper(message) {
			t.Fatalf("%q %v", back, err)
		}
	}
	_ = out.Close()
	if rest := readAll(t, w.Body); rest != "HTTP/2.0 trailers authenticated" || w.Trailer.Get("Grpc-Status") != "0" || w.ProtoMajor != 2 {
		t.Errorf("HTTP/%d %q, trailers %v", w.ProtoMajor, rest, w.Trailer)
	}
	refused := call(f.browser(), strings.NewReader("message1"))
	if text := readAll(t, refused.Body); refused.StatusCode != http.StatusUnauthorized || refused.Header.Get("Grpc-Status") != "16" || text != "" || refused.Header.Get("Content-Type") != "application/grpc" {
		t.Errorf("%d %v %q", refused.StatusCode, refused.Header, text)
	}
}
