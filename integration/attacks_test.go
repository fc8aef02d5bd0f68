package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// everyFront runs a test against the site behind each real proxy, with the files of examples/, and behind vippsauth alone.
func everyFront(t *testing.T, attack func(t *testing.T, f *front)) {
	asked := func(start func(t *testing.T, f *front)) func(*testing.T, *front) {
		return func(t *testing.T, f *front) {
			f.serve("--trusted-proxies=loopback")
			start(t, f)
		}
	}
	for name, start := range map[string]func(t *testing.T, f *front){
		"nginx":   asked(func(t *testing.T, f *front) { startNginx(t, f) }),
		"haproxy": asked(func(t *testing.T, f *front) { startHAProxy(t, f) }),
		"caddy forward_auth": asked(func(t *testing.T, f *front) {
			startCaddy(t, f, "", example(t, "caddy-forward-auth/Caddyfile", "http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr()))
		}),
		"apache2": func(t *testing.T, f *front) {
			need(t, "apache2")
			f.serveApache()
			startApache(t, f, "")
		},
		"caddy module": func(t *testing.T, f *front) { startCaddy(t, f, "", moduleSite(f, "")) },
		"sidecar":      func(_ *testing.T, f *front) { f.sidecar() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "nginx" || name == "haproxy" {
				need(t, name)
			}
			f := newFront(t)
			start(t, f)
			attack(t, f)
		})
	}
}

// cookiesOf is what a browser in which Åse has logged in sends as Cookie.
func cookiesOf(f *front) string {
	var pairs []string
	for _, c := range f.loggedIn().cookies(f.origin) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// asking is a request of somebody with these cookies, without the empty line at its end.
func asking(f *front, what, cookies string) string {
	return what + " HTTP/1.1\r\nHost: localhost:" + f.port() + "\r\nSec-Fetch-Mode: cors\r\nCookie: " + cookies + "\r\n"
}

// Attack: a client upgrades the connection to HTTP/2 (RFC 7540, section 3.2), in which an application that takes part in
// that would see only what the client writes, identity headers too.
func TestSec_C053_C054_NoUpgradePastTheProxy(t *testing.T) {
	t.Parallel()
	everyFront(t, func(t *testing.T, f *front) {
		t.Run("C053_websocket", func(t *testing.T) { websocket(t, f) })
		cookies := cookiesOf(f)
		f.app.handle("/h2c", func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(strings.ToLower(strings.Join(r.Header["Upgrade"], ",")), "h2c") {
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
			_ = conn.Close()
		})
		for _, upgrade := range []string{
			"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\n",
			"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
		} {
			if status := raw(t, f, asking(f, "GET /h2c", cookies)+upgrade+"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"); status == http.StatusSwitchingProtocols {
				t.Errorf("%q is let through", upgrade)
			}
		}
	})
}

// Attack: a path that the proxy takes for one of vippsauth's pages, and vippsauth for one of those that only proxies ask.
func TestSec_C020_C064_DotSegmentsAreRefusedAtAuthz(t *testing.T) {
	t.Parallel()
	everyFront(t, func(t *testing.T, f *front) {
		cookies := cookiesOf(f)
		for _, path := range []string{
			"ext-authz/default/../../../x", "ext-authz/default/%2e%2e/%2e%2e/%2e%2e/x", "ext-authz/default/..%2f..%2f..%2fx", "ext-authz/default/#/../../../../x",
			"forward-auth/../../x", "auth-request/../../x", "challenge/%2e%2e/../x",
		} {
			asked := asking(f, "GET /_vipps/authz/"+path, cookies) + "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /x\r\nX-Original-URL: " + f.origin + "/x\r\nX-Original-Method: GET\r\nConnection: close\r\n\r\n"
			if status := raw(t, f, asked); status != http.StatusNotFound && status != http.StatusBadRequest {
				t.Errorf("/_vipps/authz/%s is open: %d", path, status)
			}
		}
	})
}

// Of sessions that hosts share the application learns nothing either.
func TestSec_B046_SharedCookiesStayWithTheProxy(t *testing.T) {
	t.Parallel()
	everyFront(t, func(t *testing.T, f *front) {
		cookies := "a=1; " + cookiesOf(f) + "; __Secure-vippsauth=x; __Secure-vippsauth.1=y; b=2; __Secure-vippsauth-hint=z; __Secure-theirs=3"
		if status := raw(t, f, asking(f, "GET /cookies", cookies)+"Connection: close\r\n\r\n"); status != http.StatusOK {
			t.Fatal(status)
		}
		if got := strings.Join(f.app.last().Header["Cookie"], "|"); got != "a=1; b=2; __Secure-theirs=3" {
			t.Errorf("the app gets Cookie: %s", got)
		}
	})
}

// Attack: an alias of an identity header, hidden from a check that looks at one alias only.
func TestSec_B007_B022_AliasesBehindAliases(t *testing.T) {
	t.Parallel()
	everyFront(t, func(t *testing.T, f *front) {
		cookies := cookiesOf(f)
		for _, lines := range []string{
			"X.Vipps.Sub: evil\r\nX.Vipps.Foo:\r\n", "X.Vipps.Foo:\r\nX.Vipps.Sub: evil\r\n", "X_Vipps-Sub: evil\r\nX_Vipps-Sub_:\r\n", "X-Vipps_Sub: evil\r\nX.Vipps.Sub:\r\nx_vipps_sub:\r\n",
			"X-Vipps-Sub: evil\r\nX-Vipps-Sub:\r\n", "X-Vipps-Sub:\tevil\r\n", "X.Vipps.Proxy-Secret: evil\r\n", "X-Vipps-Foo: evil\r\nX.Vipps.Foo:\r\n",
		} {
			hits := f.app.hits()
			raw(t, f, asking(f, "GET /alias", cookies)+lines+"Connection: close\r\n\r\n")
			for _, got := range f.app.since(hits) {
				for name, values := range got.Header {
					if strings.Contains(strings.Join(values, ""), "evil") {
						t.Errorf("%q arrives as %s", lines, name)
					}
				}
			}
		}
	})
}

// Attack: TRACE shows a client what Apache has added to its request.
func TestSec_C051_ApacheTrace(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApache(t, f, "", "\tRequestHeader unset X-Vipps-Proxy-Secret early", "\tRequestHeader set X-Vipps-Proxy-Secret \"integration proxy secret\" early")
	for _, path := range []string{"/_vipps/login", "/_vipps_away", "/"} {
		for _, cookies := range []string{"a=1", cookiesOf(f)} {
			if status := raw(t, f, asking(f, "TRACE "+path, cookies)+"Max-Forwards: 0\r\nConnection: close\r\n\r\n"); status < 400 {
				t.Errorf("%s: %d", path, status)
			}
		}
	}
}

// An application that speaks gRPC-Web has its own answers: a client's Content-Type doesn't become that of a page.
func TestSecApacheContentType(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApache(t, f, "")
	b := f.loggedIn()
	f.app.handle("/grpc", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc-web")
		w.Header().Set("Grpc-Status", "5")
		w.Header().Set("X-Vipps-Login-Url", "x")
	})
	a := b.send(http.MethodPost, f.origin+"/grpc", with(fetching(), "Content-Type", "text/html"), strings.NewReader("x"))
	if got := a.Header["Content-Type"]; a.StatusCode != http.StatusOK || len(got) != 1 || got[0] != "application/grpc-web" {
		t.Errorf("%d %q", a.StatusCode, got)
	}
}

// Somebody of whom much is said gets in too: what nginx is told may be longer than a page of memory.
func TestSecNginxLongClaims(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	headers := "default"
	for i := range 60 {
		headers += fmt.Sprintf(",X-Vipps-%s-%d=name;percent", strings.Repeat("Long", 10), i)
	}
	f.serve("--trusted-proxies=loopback", "--headers="+headers)
	startNginx(t, f)
	f.loggedIn()
}
