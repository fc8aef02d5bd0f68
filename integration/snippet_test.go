package integration_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

const proxySecret = "a secret of the proxy's own"

// snippetSettings are settings that the examples don't have: a secret of the proxy's, a header of the site's own, and few
// scopes, in a file that serve and snippet read.
func snippetSettings(t *testing.T, f *front, more string) string {
	t.Helper()
	f.secrets.add("proxy secret", proxySecret)
	return write(t, "vippsauth.yaml", "proxy_secret: "+proxySecret+`
trusted_proxies: loopback
headers: [default, Remote-User=sub, X-Vipps-Host=given_name, X-Vipps-Remote-User=name]
public_url: `+f.origin+more)
}

// snippetOf prints the configuration of a proxy for these settings.
func snippetOf(t *testing.T, f *front, proxy, config string, flags ...string) string {
	t.Helper()
	args := append([]string{"snippet", proxy, "--config", config, "--scopes=openid name phoneNumber email", "--listen=" + f.addr, "--app=" + f.app.addr()}, flags...)
	out := t.TempDir() + "/out"
	p := start(t, vippsauthProgram(t), command{name: "vippsauth snippet", args: append(args, "--output", out)})
	<-p.done
	text, err := os.ReadFile(out)
	if err != nil || p.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("%v: %s", err, p.out.String())
	}
	if strings.Contains(string(text)+p.out.String(), proxySecret) || !strings.Contains(p.out.String(), "proxy_secret: isn't printed") {
		t.Errorf("the secret is printed, or nothing is said of it: %s", p.out.String())
	}
	return string(text)
}

// asPrinted is what holds for every configuration that was printed for these settings.
func asPrinted(t *testing.T, f *front) {
	t.Helper()
	firstLogin(t, f)
	in := f.loggedIn()
	a := in.send(http.MethodGet, f.origin+"/x", with(fetching(), "Remote-User", "evil"), nil)
	got := f.app.last().Header
	sub := got.Get("X-Vipps-Sub")
	if a.StatusCode != http.StatusOK || sub == "" || !slices.Equal(got["Remote-User"], []string{sub}) {
		t.Errorf("%d, the app gets Remote-User %q and X-Vipps-Sub %q", a.StatusCode, got["Remote-User"], sub)
	}
	if got.Get("X-Vipps-Host") != "Åse" || got.Get("X-Vipps-Remote-User") != nameAase || got.Get("X-Vipps-Proxy-Secret") != "" {
		t.Errorf("the app gets %v", got)
	}
	hits := f.app.hits()
	if a := f.browser().send(http.MethodGet, f.origin+"/x", with(fetching(), "Remote-User", "evil", "X-Vipps-Proxy-Secret", proxySecret), nil); a.StatusCode < 400 || f.app.hits() != hits {
		t.Errorf("a header of the client's own opens the app: %d", a.StatusCode)
	}
	authzClosed(t, f)
}

// What the command prints runs as it is, but for the secret and the place of the log.
func TestSnippetNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	config := snippetSettings(t, f, "\npolicies: {board: {allow: nobody-yet}}\n")
	f.serve("--config=" + config)
	text := snippetOf(t, f, "nginx", config)
	if strings.Count(text, "PUT-THE-PROXY-SECRET-HERE") != 1 {
		t.Fatal("there isn't one place for the secret")
	}
	runNginx(t, f, strings.NewReplacer("PUT-THE-PROXY-SECRET-HERE", proxySecret, "\t#location ^~ /board/", "\tlocation ^~ /board/").Replace(text))
	asPrinted(t, f)

	t.Run("a part with another policy", func(t *testing.T) {
		b, hits := f.loggedIn(), f.app.hits()
		if a := b.open(f.origin + "/board/x"); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, "styret@example.com") {
			t.Errorf("%d %s", a.StatusCode, a.words())
		}
		if a := f.browser().send(http.MethodGet, f.origin+"/board/x", navigation(), nil); a.StatusCode != http.StatusFound {
			t.Errorf("without a session: %d", a.StatusCode)
		}
		if f.app.hits() != hits {
			t.Error("the app was asked")
		}
	})
}

func TestSnippetCaddyForwardAuth(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	config := snippetSettings(t, f, "")
	f.serve("--config=" + config)
	runCaddySnippet(t, f, snippetOf(t, f, "caddy-forward-auth", config))
	asPrinted(t, f)
}

// Two sites, in one file and behind one service: a session of one is none of the other's, and each has its own headers.
func twoSites(t *testing.T, proxy string, run func(t *testing.T, f *front, text string)) {
	t.Helper()
	f, other := newFront(t), newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	if err := f.vipps.Control().AddRedirectURI(clientID, other.origin+"/_vipps/callback"); err != nil {
		t.Fatal(err)
	}
	config := snippetSettings(t, f, "\nsites:\n  "+other.origin+":\n    headers: [default, X-Second=sub]\n")
	f.serve("--config=" + config)
	run(t, f, snippetOf(t, f, proxy, config, "--authz-listen="+f.addr, "--app="+other.app.addr()))
	b := f.loggedIn()
	if a := b.send(http.MethodGet, other.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session of the first site at the second: %d", a.StatusCode)
	}
	if a := b.open(other.origin + "/second?x=1"); a.StatusCode != http.StatusOK || a.Request.URL.Host != strings.TrimPrefix(other.origin, "http://") || other.app.last().Host != a.Request.URL.Host {
		t.Errorf("a login at the second site: %d at %v", a.StatusCode, b.trail)
	}
	b.send(http.MethodGet, other.origin+"/x", with(fetching(), "X-Second", "evil"), nil)
	if got := other.app.last().Header; got.Get("X-Second") == "" || got.Get("X-Second") != got.Get("X-Vipps-Sub") || len(got["X-Second"]) != 1 || got.Get("Remote-User") != "" {
		t.Errorf("the app of the second site gets %v", got)
	}
	if uri := f.app.last().URI; uri != "/" {
		t.Errorf("the app of the first site gets %s", uri)
	}
}

func TestSnippetNginxTwoSites(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	twoSites(t, "nginx", func(t *testing.T, f *front, text string) {
		t.Helper()
		runNginx(t, f, strings.ReplaceAll(text, "PUT-THE-PROXY-SECRET-HERE", proxySecret))
	})
}

func TestSnippetCaddyForwardAuthTwoSites(t *testing.T) {
	t.Parallel()
	twoSites(t, "caddy-forward-auth", runCaddySnippet)
}

func TestSnippetHAProxyTwoSites(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	twoSites(t, "haproxy", runHAProxySnippet)
}

func TestSnippetHAProxy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	config := snippetSettings(t, f, "")
	f.serve("--config=" + config)
	runHAProxySnippet(t, f, snippetOf(t, f, "haproxy", config))
	asPrinted(t, f)
}

// runHAProxySnippet runs what is printed: only the place of the Lua file and the account are this test's.
func runHAProxySnippet(t *testing.T, f *front, text string) {
	t.Helper()
	lua := write(t, "vippsauth.lua", example(t, "haproxy/vippsauth.lua"))
	cfg := write(t, "haproxy.cfg", strings.NewReplacer("/etc/haproxy/vippsauth.lua", lua, "\tuser haproxy ", "\t# ", "\tgroup haproxy\n", "").Replace(text))
	p := start(t, need(t, "haproxy"), command{name: "haproxy", args: []string{"-db", "-f", cfg}, env: []string{"VIPPSAUTH_PROXY_SECRET=" + proxySecret}})
	p.answers(f.origin + "/_vipps/authz/")
}

func runCaddySnippet(t *testing.T, f *front, text string) {
	t.Helper()
	file := write(t, "Caddyfile", strings.Replace(text, "\n{\n", "\n{\n\tadmin off\n\tpersist_config off\n\tstorage file_system "+t.TempDir()+"\n", 1))
	p := start(t, caddyProgram(t), command{
		name: "caddy", args: []string{"run", "--config", file, "--adapter", "caddyfile"}, env: []string{"VIPPSAUTH_PROXY_SECRET=" + proxySecret},
	})
	p.answers(f.origin + "/_vipps/authz/")
}

// The module's Caddyfile for settings of the standalone program, with text that means something to Caddy elsewhere.
func TestSnippetCaddyModule(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	const name = `Kari's "boats" # 1 \o/`
	out := t.TempDir() + "/out"
	p := start(t, vippsauthProgram(t), command{name: "vippsauth snippet", args: []string{
		"snippet", "caddy", "--environment=emulator", "--public-url=" + f.origin, "--emulator-listen=" + freeAddr(t), "--scopes=openid name",
		"--site-name=" + name, "--app=" + f.app.addr(), "--output", out,
	}})
	<-p.done
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v: %s", err, p.out.String())
	}
	runCaddySnippet(t, f, string(text))
	b := f.browser()
	page := b.press(b.open(f.origin+"/x?y=1"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || f.app.last().URI != "/x?y=1" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Errorf("%d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	if page = b.open(f.origin + "/_vipps/logout"); !strings.Contains(page.words(), name) {
		t.Errorf("the page doesn't name the site: %s", page.words())
	}
}

// A site in public: TLS ends in nginx, and cookies have the __Host- prefix.
func TestSnippetNginxTLS(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.overTLS()
	own := certificateFor(t, 90)
	f.tls = own.trusted
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	config := snippetSettings(t, f, "")
	f.serve("--config=" + config)
	runNginx(t, f, strings.NewReplacer("PUT-THE-PROXY-SECRET-HERE", proxySecret,
		"/etc/ssl/localhost.crt", own.cert, "/etc/ssl/localhost.key", own.key,
	).Replace(snippetOf(t, f, "nginx", config)))
	asPrinted(t, f)
	cookieAttributes(t, f.loggedIn(), true)
	cookiesForApp(t, f, true)
}
