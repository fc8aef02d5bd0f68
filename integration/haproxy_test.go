package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startHAProxy runs examples/haproxy in front of a site, as a user would who has nothing but those two files: only the
// addresses, paths and account are this test's. Those in replace may change more.
func startHAProxy(t *testing.T, f *front, replace ...string) *process {
	t.Helper()
	lua := write(t, "vippsauth.lua", example(t, "haproxy/vippsauth.lua"))
	return runHAProxy(t, f, "haproxy/haproxy.cfg", append([]string{"/etc/haproxy/vippsauth.lua", lua}, replace...)...)
}

func runHAProxy(t *testing.T, f *front, file string, replace ...string) *process {
	t.Helper()
	haproxy := need(t, "haproxy")
	cfg := write(t, "haproxy.cfg", example(t, file, append([]string{
		"127.0.0.1:4190", strings.Replace(f.addr, "unix/", "unix@", 1), "127.0.0.1:8080", f.app.addr(),
		"127.0.0.1:8000", "127.0.0.1:" + f.port(), "localhost:8000", "localhost:" + f.port(), "\tuser haproxy ", "\t# ", "\tgroup haproxy\n", "",
	}, replace...)...))
	p := start(t, haproxy, command{name: "haproxy", args: []string{"-db", "-f", cfg}})
	p.answers(f.origin + "/_vipps/authz/")
	f.checkLog(p) // E-20
	return p
}

func TestSec_D25_HAProxy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f)
	conforms(t, f, differs{name: "HAProxy", waits: 8 * time.Second})
}

// vippsauth on a Unix socket, and on IPv6: HAProxy writes each of these addresses in a way of its own.
func TestHAProxyAddresses(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	addrs := map[string]string{"unix": "unix/" + filepath.Join(t.TempDir(), "s")}
	if ln, err := net.Listen("tcp", "[::1]:0"); err == nil {
		_ = ln.Close()
		addrs["IPv6"] = fmt.Sprintf("[::1]:%d", freePort(t))
	}
	for name, addr := range addrs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.addr, f.ops = addr, freeAddr(t)
			f.serve("--trusted-proxies=loopback,unix")
			startHAProxy(t, f)
			firstLogin(t, f)
			logout(t, f)
		})
	}
}

// What HAProxy asks is what the contract says, and nothing of the client's can pass for the proxy's own word.
func TestHAProxyQuestion(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.addr = freeAddr(t)
	service := startBrokenService(t, f.addr)
	startHAProxy(t, f, `vipps_secret) str("")`, `vipps_secret) str("integration proxy secret")`, `vipps_headers) str("")`, `vipps_headers) str("Remote-User Other")`,
		`vipps_policy) str("")`, `vipps_policy) str(staff)`)
	f.secrets.add("proxy secret", "integration proxy secret")
	service.will("/q?x=%zz", "HTTP/1.1 200 OK\r\nX-Vipps-Auth: authenticated\r\nX-Vipps-Sub: s\r\nX-Vipps-Email: \r\nRemote-User: s\r\nOther: \r\nContent-Length: 0\r\n\r\n")
	h := with(fetching(),
		"X-Forwarded-Prefix", "/evil", "X_Forwarded_Uri", "/evil", "X-Forwarded-Uri", "/evil", "X-Forwarded-Host", "evil.example", "X-Forwarded-For", "203.0.113.7",
		"Forwarded", "host=evil.example", "X-Original-Url", "http://evil.example/", "X-Vipps-Proxy-Secret", "evil", "X.Vipps-Proxy_Secret", "evil", "X_vipps_sub", "evil",
		"X-Vipps-Email", "evil", "Remote_User", "evil", "Remote-User", "evil", "Other", "evil", "oTHER", "evil", "Connection", "X-Vipps-Sub, keep-alive, Other",
		"Upgrade", "h2c", "Te", "trailers", "Expect", "100-continue", "Accept-Encoding", "br", "X-Twice", "1", "X-Twice", "2", "Cookie", "a=1; vippsauth=x",
	)
	if a := f.browser().send(http.MethodPost, f.origin+"/q?x=%zz", h, strings.NewReader("body")); a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	asked := service.requests("/q?x=%zz")
	if len(asked) != 1 || asked[0].Method != http.MethodGet || asked[0].RequestURI != "/_vipps/authz/forward-auth/staff" || asked[0].Host != "localhost:"+f.port() {
		t.Fatalf("asked %d times: %+v", len(asked), asked)
	}
	want := http.Header{
		"X-Forwarded-Method": {"POST"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"localhost:" + f.port()}, "X-Forwarded-Uri": {"/q?x=%zz"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Vipps-Proxy-Secret": {"integration proxy secret"}, "X-Twice": {"1", "2"}, "Cookie": {"a=1; vippsauth=x"},
		"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "User-Agent": {"Go-http-client/1.1"},
	}
	if diff := cmp.Diff(want, asked[0].Header); diff != "" {
		t.Errorf("the question (-want +got):\n%s", diff)
	}
	got := f.app.last()
	want = http.Header{
		"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"localhost:" + f.port()}, "X-Forwarded-For": {"127.0.0.1"}, "X-Twice": {"1", "2"}, "Cookie": {"a=1"},
		"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "User-Agent": {"Go-http-client/1.1"},
		"X-Vipps-Auth": {"authenticated"}, "X-Vipps-Sub": {"s"}, "Remote-User": {"s"}, "Content-Length": {"4"}, "Accept-Encoding": {"br"},
	}
	for _, name := range []string{"Te", "Expect", "Upgrade", "Connection"} { // HAProxy's own business
		got.Header.Del(name)
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("what the app gets (-want +got):\n%s", diff)
	}

	f.browser().send(http.MethodGet, f.origin+"/_vipps/login", h, nil)
	pages := service.requests("")
	if len(pages) != 1 || !slices.Equal(pages[0].Header["X-Vipps-Proxy-Secret"], []string{"integration proxy secret"}) ||
		!slices.Equal(pages[0].Header["X-Forwarded-Host"], []string{"localhost:" + f.port()}) || pages[0].Host != "localhost:"+f.port() {
		t.Errorf("a page of ours is asked for %d times: %+v", len(pages), pages)
	}
}

// A refusal reaches the client as it is: every cookie, the body, the status.
func TestHAProxyRefusal(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.addr = freeAddr(t)
	service := startBrokenService(t, f.addr)
	startHAProxy(t, f)
	page := strings.Repeat("nei ", 3000)
	for path, status := range map[string]int{"/401": 401, "/403": 403, "/421": 421, "/503": 503, "/302": 302} {
		service.will(path, fmt.Sprintf("HTTP/1.1 %d As It Is\r\nCache-Control: no-store\r\nContent-Type: text/plain\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/\r\n"+
			"Set-Cookie: c=3\r\nLocation: /there\r\nVary: Cookie\r\nVary: Accept\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", status, len(page), page))
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
			a := f.browser().send(method, f.origin+path, fetching(), nil)
			want := http.Header{
				"Cache-Control": {"no-store"}, "Content-Type": {"text/plain"}, "Set-Cookie": {"a=1; Path=/", "b=2; Path=/", "c=3"}, "Location": {"/there"},
				"Vary": {"Cookie", "Accept"}, "Content-Length": {fmt.Sprint(len(page))},
			}
			if diff := cmp.Diff(want, a.Header); diff != "" || a.StatusCode != status || a.text != page && method != http.MethodHead {
				t.Errorf("%s %s: %d, %d bytes, headers (-want +got):\n%s", method, path, a.StatusCode, len(a.text), diff)
			}
		}
	}
	if n := f.app.hits(); n > 0 {
		t.Errorf("the app was asked %d times", n)
	}
}

// A connection that a person's request came through opens nothing for the next one on it.
func TestHAProxyKeepAlive(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f)
	conn, err := toLoopback(t.Context(), "tcp", "localhost:"+f.port())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var cookies []string
	for _, c := range f.loggedIn().cookies(f.origin) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	host := " HTTP/1.1\r\nHost: localhost:" + f.port() + "\r\nSec-Fetch-Mode: cors\r\n"
	person, nobody := host+"Cookie: "+strings.Join(cookies, "; ")+"\r\n\r\n", host+"X-Vipps-Sub: evil\r\n\r\n"
	hits, in := f.app.hits(), bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "GET /1"+person+"GET /2"+nobody+"GET /3"+person+"GET http://localhost:"+f.port()+"/4"+nobody+"OPTIONS *"+nobody); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{200, 401, 200, 401, 401} {
		w, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		_, _ = io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
		if w.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, w.StatusCode, want)
		}
	}
	for _, got := range f.app.since(hits) {
		if got.URI != "/1" && got.URI != "/3" {
			t.Errorf("the app is asked for %s", got.URI)
		}
	}
}

// A part of the site without login: nobody asks, and no client can pass for a person there.
func TestSec_C020_HAProxyPublic(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback", "--headers=default,Remote-User=sub")
	startHAProxy(t, f, "acl vipps_public always_false", "acl vipps_public path_beg /public/", `vipps_headers) str("")`, `vipps_headers) str("Remote-User")`)
	in := f.loggedIn()
	if got := f.app.last().Header; len(got["Remote-User"]) != 1 || !slices.Equal(got["Remote-User"], got["X-Vipps-Sub"]) {
		t.Errorf("the app gets %v", got)
	}
	for _, who := range []*browser{in, f.browser()} {
		h := with(fetching(), "X-Vipps-Sub", "evil", "x_vipps_auth", "evil", "Remote-User", "evil", "remote_user", "evil", "Connection", "X-Vipps-Sub")
		if a := who.send(http.MethodGet, f.origin+"/public/x", h, nil); a.StatusCode != http.StatusOK {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
		for name, values := range f.app.last().Header {
			if strings.Contains(strings.Join(values, ""), "evil") || name == "Cookie" || strings.Contains(strings.ToLower(name), "vipps") {
				t.Errorf("the app gets %s: %q", name, values)
			}
		}
	}
	for _, path := range []string{
		"/public", "/Public/x", "/%70ublic/x", "//public/x", "/public/../secret", "/public/%2e%2e/secret", "/public/..%2Fsecret", "/public/..;/secret",
		"/public/..\\secret", "/public/..%5Csecret", "/public//secret", "/public/.%2e/secret", "/public/%252e%252e/secret", "/public/x%00", "/public/..",
	} {
		if status := raw(t, f, "GET "+path+" HTTP/1.1\r\nHost: localhost:"+f.port()+"\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n"); status != http.StatusUnauthorized && status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// A part of the site with a policy of its own, as the README has it: no other spelling of its path gets past it.
func TestSec_C021_HAProxyPolicy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--config=" + write(t, "vippsauth.yaml", "trusted_proxies: loopback\npolicies:\n  staff:\n    allow: \""+phonePer+"\"\n"))
	odd := "\tacl vipps_odd_path path -i -m reg '//|[\\\\;]|/\\.\\.?(/|$)|%(0|2[5ef]|3b|5c)'\n"
	readme := "\thttp-request return status 404 if vipps_odd_path !vipps_pages\n" +
		"\thttp-request set-var(txn.vipps_policy) str(staff) if { path,url_dec -i -m beg /admin }\n"
	for _, l := range strings.Split(strings.TrimSpace(readme), "\n") {
		if !strings.Contains(example(t, "haproxy/README.md"), "`"+strings.TrimSpace(l)+"`") {
			t.Errorf("the README doesn't say %s", l)
		}
	}
	startHAProxy(t, f, odd, odd+readme)
	cookies := cookiesOf(f)
	hits := f.app.hits()
	for _, path := range []string{
		"/admin", "/admin/", "/ADMIN", "/%61dmin", "/adm%49n/x", "//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/x%2f..%2fadmin", "/;x/admin", "/x\\..\\admin",
		"/admin/..%2fusers", "/%2561dmin", "/admin?x", "http://localhost:" + f.port() + "/%61dmin",
	} {
		if status := raw(t, f, asking(f, "GET "+path, cookies)+"Connection: close\r\n\r\n"); status != http.StatusForbidden && status != http.StatusNotFound || f.app.hits() != hits {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := raw(t, f, asking(f, "GET /other", cookies)+"Connection: close\r\n\r\n"); status != http.StatusOK {
		t.Errorf("the rest of the site: %d", status)
	}
}

// HTTP/2 over TLS: lower-case names on the wire, cookies in crumbs and with the __Host- prefix.
func TestHAProxyHTTP2(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.overTLS()
	own := certificateFor(t, 90)
	f.tls = own.trusted
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f, "str(http)", "str(https)", "bind 127.0.0.1:"+f.port(), "bind 127.0.0.1:"+f.port()+" ssl crt "+own.pair+" alpn h2,http/1.1")
	firstLogin(t, f)
	b := f.loggedIn()
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.ProtoMajor != 2 {
		t.Errorf("this was HTTP/%d", a.ProtoMajor)
	}
	if got := f.app.last().Header; len(got["Cookie"]) > 0 || got.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("the app gets %v", got)
	}
	cookieAttributes(t, b, true)
	forms(t, f)
	methods(t, f)
	spoofedIdentity(t, f)
	spoofedForwarded(t, f)
	scriptsGet401(t, f)
	logout(t, f)
}
