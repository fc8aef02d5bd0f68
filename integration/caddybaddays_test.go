package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: a Caddy that lets other spellings of a header through, as earlier ones did and as one can be told to.
func TestSec_C010_B020_B022_CaddyForwardAuthWithAliases(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddy(t, f, aliasesPass, example(t, "caddy-forward-auth/Caddyfile",
		"http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr()))
	f.loggedIn().send(http.MethodGet, f.origin+"/", with(fetching(), "x_other_thing", "arrives"), nil)
	if f.app.last().Header.Get("X_other_thing") == "" {
		t.Fatal("this Caddy takes aliases out itself, so nothing was tried")
	}
	spoofedIdentity(t, f)
}

const aliasesPass = "\tservers {\n\t\texpected_underscore_headers x_*\n\t\texpected_dot_headers x.*\n\t}\n"

// With the module, too, a provider that is away takes no session with it, and those without one see a page.
func TestSec_D03_CaddyModuleProviderAway(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.checkLog(startCaddy(t, f, "", moduleSite(f, "")))
	in := f.loggedIn()
	if err := f.closeVipps(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a := in.open(f.origin + "/still"); a.StatusCode != http.StatusOK || len(in.trail) != 1 || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
			t.Errorf("a session: %d at %v", a.StatusCode, in.trail)
		}
	}
	hits := f.app.hits()
	b := f.browser()
	// Metadata is at hand, so a browser may still be sent to the provider, which is nobody's to mend: ask as one does
	// who comes back from there.
	a := b.send(http.MethodGet, f.origin+"/new", navigation(), nil)
	for a.StatusCode == http.StatusFound || a.StatusCode == http.StatusSeeOther {
		to, err := a.Location()
		if err != nil {
			t.Fatal(err)
		}
		if to.Host != "localhost:"+f.port() {
			to.Path, to.Host, to.RawQuery = "/_vipps/callback", "localhost:"+f.port(), "code=never-redeemed&state="+to.Query().Get("state")
			f.secrets.add("code", "never-redeemed")
		}
		a = b.send(http.MethodGet, to.String(), navigation(), nil)
	}
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Request.URL.Query().Has("code") {
		t.Errorf("a login: %d at %s: %s", a.StatusCode, a.Request.URL, a.words())
	}
	if f.app.hits() != hits {
		t.Error("the app was asked")
	}
	// A configuration that is loaded now is served all the same, and finds the provider when it is back.
	v, err := emulator.Start(strings.TrimPrefix(f.vipps.URL, "http://"), emulator.Config{
		Spinner: -1,
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	f.vipps = v
	f.as(phoneAase)
	if page := b.press(a, "^Try again$"); page.StatusCode != http.StatusOK || f.app.last().URI != "/new" {
		t.Errorf("\"Try again\" when it is back: %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
}

// Reloads of Caddy's configuration, by `caddy reload` as an operator does it, while people ask over HTTP/1, 2 or 3.
func TestSec_D15_CaddyModuleReloadUnderLoad(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("HTTP %d", version), func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.http3 = version == 3
			tls := ""
			if version > 1 {
				f.overTLS()
				f.tls, tls = moduleTLS(), "\ttls internal\n"
			}
			admin := freeAddr(t)
			config := func(n int) string {
				return caddyfile(t, "\tadmin "+admin+"\n"+ownTLS, strings.Replace(moduleSite(f, fmt.Sprintf("session_ttl %dh", n+1)), "log\n", "log\n"+tls, 1))
			}
			text := config(1)
			file := write(t, "Caddyfile", text)
			caddy := runCaddy(t, f, file)
			f.checkLog(caddy)
			in := f.loggedIn()
			ended := f.loggedIn()
			old := ended.cookies(f.origin)
			ended.press(ended.open(f.origin+"/_vipps/logout"), "^Log out$")
			l := underLoad(f, in)
			for n := range 8 {
				l.more()
				// The storage stays where it is: only the setting changes.
				next := strings.Replace(text, "session_ttl 2h", fmt.Sprintf("session_ttl %dh", n+3), 1)
				if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
					t.Fatal(err)
				}
				reload := start(t, caddyProgram(t), command{name: "caddy reload", args: []string{"reload", "--config", file, "--adapter", "caddyfile", "--address", admin}})
				<-reload.done
				if code := reload.cmd.ProcessState.ExitCode(); code != 0 {
					t.Fatalf("caddy reload: %d: %s", code, tail(reload.out.String(), 2000))
				}
			}
			l.more()
			l.end([]int{http.StatusOK}, []int{http.StatusUnauthorized})
			if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
				t.Errorf("the session after the reloads: %d at %v", a.StatusCode, in.trail)
			}
			thief := f.browser()
			h := fetching()
			for _, c := range old {
				h = with(h, "Cookie", c.Name+"="+c.Value)
			}
			if a := thief.send(http.MethodGet, f.origin+"/", h, nil); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("a session that was logged out before the reloads: %d", a.StatusCode)
			}
			// A configuration with a fault changes nothing.
			if err := os.WriteFile(file, []byte(strings.Replace(text, "site_name", "sit_name", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			reload := start(t, caddyProgram(t), command{name: "caddy reload", args: []string{"reload", "--config", file, "--adapter", "caddyfile", "--address", admin}})
			<-reload.done
			if code := reload.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(reload.out.String(), "did you mean site_name?") {
				t.Errorf("a faulty configuration: %d: %s", code, tail(reload.out.String(), 1000))
			}
			if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK {
				t.Errorf("the session after the faulty one: %d", a.StatusCode)
			}
		})
	}
}
