package forwardauth_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// program is a request that no person waits for in a tab, as the programs that send it write it.
type program struct {
	name, method string
	header       http.Header
	form         string // of the answer: "json", "connect", "page", or the content type of gRPC
}

func fetchMetadata(site, mode, dest string, more ...string) http.Header {
	h := http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {mode}, "Sec-Fetch-Dest": {dest}, "Accept": {"*/*"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// programs are what browsers and other clients send besides navigations.
func programs() []program {
	get, post := http.MethodGet, http.MethodPost
	return []program{
		{"CORS preflight", http.MethodOptions, fetchMetadata("cross-site", "cors", "empty", "Origin", "https://other.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"), "json"},
		{"preflight of an old browser", http.MethodOptions, http.Header{"Origin": {"https://other.example"}, "Access-Control-Request-Method": {"PUT"}}, "json"},
		{"fetch, cors", get, fetchMetadata("same-origin", "cors", "empty"), "json"},
		{"fetch, no-cors", get, fetchMetadata("cross-site", "no-cors", "empty"), "json"},
		{"fetch, same-origin", get, fetchMetadata("same-origin", "same-origin", "empty"), "json"},
		{"fetch that wants a page", get, fetchMetadata("same-origin", "cors", "empty", "Accept", "text/html"), "json"},
		{"fetch, POST of JSON", post, fetchMetadata("same-origin", "cors", "empty", "Content-Type", "application/json"), "json"},
		{"XMLHttpRequest", get, http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html, */*; q=0.01"}}, "json"},
		{"XMLHttpRequest with metadata", post, fetchMetadata("same-origin", "cors", "empty", "X-Requested-With", "XMLHttpRequest", "Content-Type", "application/x-www-form-urlencoded"), "json"},
		{"image", get, fetchMetadata("same-origin", "no-cors", "image", "Accept", "image/avif,image/webp,*/*;q=0.8"), "json"},
		{"script", get, fetchMetadata("same-origin", "no-cors", "script"), "json"},
		{"module script", get, fetchMetadata("same-origin", "cors", "script"), "json"},
		{"style", get, fetchMetadata("same-origin", "no-cors", "style", "Accept", "text/css,*/*;q=0.1"), "json"},
		{"font", get, fetchMetadata("same-origin", "cors", "font"), "json"},
		{"video", get, fetchMetadata("same-origin", "no-cors", "video", "Range", "bytes=0-"), "json"},
		{"manifest", get, fetchMetadata("same-origin", "cors", "manifest"), "json"},
		{"worker", get, fetchMetadata("same-origin", "same-origin", "worker"), "json"},
		{"service worker's script", get, fetchMetadata("same-origin", "same-origin", "serviceworker", "Service-Worker", "script"), "json"},
		{"websocket", get, fetchMetadata("same-origin", "websocket", "empty", "Sec-Websocket-Version", "13"), "json"},
		{"EventSource", get, fetchMetadata("same-origin", "cors", "empty", "Accept", "text/event-stream"), "json"},
		{"EventSource of an old browser", get, http.Header{"Accept": {"text/event-stream"}}, "json"},
		{"sendBeacon", post, fetchMetadata("same-origin", "no-cors", "empty", "Content-Type", "text/plain;charset=UTF-8"), "json"},
		{"prefetch", get, fetchMetadata("same-origin", "no-cors", "empty", "Sec-Purpose", "prefetch", "Accept", "text/html"), "json"},
		{"prefetch of an old browser", get, http.Header{"Purpose": {"prefetch"}, "Accept": {"text/html"}}, "json"},
		{"prefetch by speculation rules", get, fetchMetadata("none", "navigate", "document", "Sec-Purpose", "prefetch", "Accept", "text/html"), "page"},
		{"prerender by speculation rules", get, fetchMetadata("none", "navigate", "document", "Sec-Purpose", "prefetch;prerender", "Accept", "text/html"), "page"},
		{"gRPC", post, http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}, "application/grpc"},
		{"gRPC with an encoding", post, http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}}, "application/grpc"},
		{"gRPC-Web", post, fetchMetadata("same-origin", "cors", "empty", "Content-Type", "application/grpc-web+proto", "X-Grpc-Web", "1"), "application/grpc-web"},
		{"gRPC-Web as text", post, fetchMetadata("same-origin", "cors", "empty", "Content-Type", "Application/grpc-web-text; charset=utf-8"), "application/grpc-web-text"},
		{"no gRPC", post, http.Header{"Content-Type": {"application/grpcx"}}, "json"},
		{"Connect", post, fetchMetadata("same-origin", "cors", "empty", "Content-Type", "application/proto", "Connect-Protocol-Version", "1"), "connect"},
		{"Connect, streaming", post, fetchMetadata("same-origin", "cors", "empty", "Content-Type", "application/connect+json"), "connect"},
		{"curl", get, http.Header{"Accept": {"*/*"}, "User-Agent": {"curl/8"}}, "json"},
	}
}

// Nothing but a navigation is ever redirected or given a cookie, whoever asks about it; each gets its refusal in a form that
// it understands.
func TestProgramsWithoutASession(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := l.browser()
			hits := l.hits()
			refusedProgram(t, p, b.send(p.method, "/api", p.header, ""), http.StatusUnauthorized)
			asked := l.judged("/api")
			asked.Set("X-Forwarded-Method", p.method)
			for _, name := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Accept"} {
				asked.Del(name)
			}
			maps.Copy(asked, p.header)
			refusedProgram(t, p, b.send(http.MethodGet, "/_vipps/authz/forward-auth", asked, ""), http.StatusUnauthorized)
			if l.hits() != hits {
				t.Error("the app was asked")
			}
			if len(b.own()) != 0 {
				t.Errorf("the client has cookies now: %v", sortedNames(b.own()))
			}
		})
	}
}

// The same for a person who is logged in and may not pass.
func TestProgramsOfSomebodyWhoMayNotPass(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Allow = []string{phoneAase} })
	l.as(phonePer)
	b := l.browser()
	if a := b.visit("/"); a.StatusCode != http.StatusForbidden {
		t.Fatalf("%d", a.StatusCode)
	}
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) { refusedProgram(t, p, b.send(p.method, "/api", p.header, ""), http.StatusForbidden) })
	}
}

// refusedProgram looks at a refusal's status and form.
func refusedProgram(t *testing.T, p program, a answer, status int) {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Location") != "" || len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Cache-Control") != "no-store" ||
		a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	unauthorized := status == http.StatusUnauthorized
	if got := a.Header.Get("X-Vipps-Login-Url") != ""; got != (unauthorized && p.form != "page") {
		t.Errorf("X-Vipps-Login-Url: %t", got)
	}
	if got := a.Header.Get("Www-Authenticate") != ""; got && (p.header["Sec-Fetch-Mode"] != nil || !unauthorized) {
		t.Error("WWW-Authenticate, where a browser would ask for a password")
	}
	contentType := a.Header.Get("Content-Type")
	switch p.form {
	case "page":
		if !strings.HasPrefix(contentType, "text/html") {
			t.Errorf("Content-Type %q", contentType)
		}
	case "json", "connect":
		want := map[int]string{http.StatusUnauthorized: "login_required", http.StatusForbidden: "forbidden"}[status]
		code := map[string]string{"connect login_required": "unauthenticated", "connect forbidden": "permission_denied"}[p.form+" "+want]
		var body struct{ Error, Code, Message string }
		if err := json.Unmarshal([]byte(a.text), &body); err != nil || contentType != "application/json" || body.Error != want || body.Code != code || (body.Message != "") != (code != "") {
			t.Errorf("%q %s %v", contentType, a.text, err)
		}
	default:
		want := map[int]string{http.StatusUnauthorized: "16", http.StatusForbidden: "7"}[status]
		if contentType != p.form || a.Header.Get("Grpc-Status") != want || a.Header.Get("Grpc-Message") == "" || a.text != "" {
			t.Errorf("%v %q", a.Header, a.text)
		}
	}
}
