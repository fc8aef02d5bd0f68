package integration_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// startCaddy runs our build of Caddy with a Caddyfile, on loopback and with nothing kept.
func startCaddy(t *testing.T, f *front, options, sites string) *process {
	t.Helper()
	return runCaddy(t, f, write(t, "Caddyfile", caddyfile(t, "\tadmin off\n"+options, sites)))
}

func caddyfile(t *testing.T, options, sites string) string {
	t.Helper()
	if begin := strings.Index(sites, "\n{\n"); begin >= 0 { // the example's own options
		theirs, rest, _ := strings.Cut(sites[begin+3:], "\n}\n")
		options, sites = options+theirs+"\n", sites[:begin+1]+rest
	}
	return fmt.Sprintf("{\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tstorage file_system %s\n\tgrace_period 1s\n%s}\n%s", t.TempDir(), options, sites)
}

func runCaddy(t *testing.T, f *front, file string) *process {
	t.Helper()
	p := start(t, caddyProgram(t), command{name: "caddy", args: []string{"run", "--config", file, "--adapter", "caddyfile"}})
	p.answers(f.origin + "/_vipps/authz/")
	return p
}

// startCaddyForwardAuth runs examples/caddy-forward-auth/Caddyfile.
func startCaddyForwardAuth(t *testing.T, f *front) {
	t.Helper()
	f.checkLog(startCaddy(t, f, "", example(t, "caddy-forward-auth/Caddyfile",
		"http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(), "\tlog_skip", "\tlog\n\tlog_skip")))
}

// A stock Caddy has forward_auth and not the module. Ours is the same but for the module, which this file doesn't use.
func TestSec_D25_CaddyForwardAuth(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	conforms(t, f, differs{name: "Caddy forward_auth", tellsScripts: true})
}

func TestCaddyForwardAuthAppDown(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	appDown(t, f)
}

// forwardAuthOverTLS is the same with Caddy's own TLS.
func forwardAuthOverTLS(t *testing.T, f *front) {
	t.Helper()
	f.overTLS()
	f.tls = moduleTLS()
	f.serve("--trusted-proxies=loopback")
	f.checkLog(startCaddy(t, f, ownTLS, example(t, "caddy-forward-auth/Caddyfile",
		"http://localhost:8000 {", f.origin+" {\n\tlog\n\ttls internal", "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr())))
}

func TestCaddyForwardAuthHTTP3(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.http3 = true
	forwardAuthOverTLS(t, f)
	cookieAttributes(t, f.loggedIn(), true)
	conforms(t, f, differs{name: "Caddy forward_auth, HTTP/3", tellsScripts: true})
}

// moduleSite is a site with the module in front of the app, with the options of examples/caddy/Caddyfile.production. Settings
// may be added.
func moduleSite(f *front, settings string) string {
	shipped := example(f.t, "caddy/Caddyfile.production")
	_, options, _ := strings.Cut(shipped, "\n{\n")
	options, _, _ = strings.Cut(options, "\n}\n")
	return "\n{\n" + options + "\n}\n" + fmt.Sprintf("%s {\n\tlog\n\t%s\n\treverse_proxy %s\n}\n", f.origin, moduleBlock(f, "", settings), f.app.addr())
}

func TestCaddyModule(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.secrets.add("client secret", clientSecret)
	f.judge = startCaddy(t, f, "", moduleSite(f, ""))
	f.checkLog(f.judge)
	conforms(t, f, differs{name: "Caddy module", inProcess: true})
}

// moduleOverTLS runs the module with Caddy's own TLS, and gives the options of such a server.
func moduleOverTLS(t *testing.T, f *front) {
	t.Helper()
	f.overTLS()
	f.tls = moduleTLS()
	f.secrets.add("client secret", clientSecret)
	f.judge = startCaddy(t, f, ownTLS, strings.Replace(moduleSite(f, ""), "log\n", "log\n\ttls internal\n", 1))
	f.checkLog(f.judge)
}

// moduleTLS trusts Caddy's own authority, which is made for each test, as it trusts anybody.
func moduleTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

const ownTLS = "\tauto_https disable_redirects\n\tskip_install_trust\n"

// The module with Caddy's own TLS, over HTTP/2: lower-case names on the wire, and cookies with the __Host- prefix.
func TestCaddyModuleHTTP2(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	moduleOverTLS(t, f)
	b := f.loggedIn()
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.ProtoMajor != 2 {
		t.Errorf("this was HTTP/%d", a.ProtoMajor)
	}
	cookieAttributes(t, b, true)
	conforms(t, f, differs{name: "Caddy module, HTTP/2", inProcess: true})
}

// The same over HTTP/3: the host is in :authority alone, and there is no connection to upgrade.
func TestCaddyModuleHTTP3(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.http3 = true
	moduleOverTLS(t, f)
	b := f.loggedIn()
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.ProtoMajor != 3 {
		t.Errorf("this was HTTP/%d", a.ProtoMajor)
	}
	cookieAttributes(t, b, true)
	conforms(t, f, differs{name: "Caddy module, HTTP/3", inProcess: true})
}

// The example as a newcomer runs it: only its ports are this test's, and the emulator is the one inside of it.
func TestCaddyExample(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	emu, app := freeAddr(t), freePort(t)
	file := write(t, "Caddyfile", example(t, "caddy/Caddyfile",
		"4180", f.port(), "4181", fmt.Sprint(app), "environment emulator", "environment emulator\n\t\temulator_listen "+emu))
	f.checkLog(runCaddy(t, f, file))

	b := f.browser()
	page := b.open(f.origin + "/boats?harbour=7")
	if q := b.asked(); len(q) != 2 || q[0].Get("requested_flow") != "no_dialog" {
		t.Fatalf("came by %v", b.trail)
	}
	page = b.press(page, nameAase, "remember", "on")
	page = b.chooseNumber(page)
	page = b.press(page, "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || page.Request.URL.RequestURI() != "/boats?harbour=7" {
		t.Fatalf("the login ended with %d at %s", page.StatusCode, page.Request.URL)
	}
	if !strings.Contains(page.text, "Hei, "+nameAase) || !strings.Contains(page.text, "<code>emulator-") {
		t.Errorf("the app says %s", page.text)
	}
	if n := b.forget(f.origin, `^vippsauth$`); n != 1 {
		t.Errorf("%d session cookies", n)
	}
	if page = b.open(f.origin + "/"); !strings.Contains(page.text, "Hei, "+nameAase) || len(b.asked()) != 1 {
		t.Errorf("the second visit isn't silent: %d, %v", page.StatusCode, b.trail)
	}
	b.press(b.open(f.origin+"/_vipps/logout"), "^Log out$")
	if page = b.open(f.origin + "/"); !strings.Contains(page.text, "Someone logged out") {
		t.Errorf("after the logout: %s", page.words())
	}
}
