package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// example reads an example with some of its texts replaced, each of which must be there.
func example(t *testing.T, path string, oldnew ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../examples", path))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("%s has no %q", path, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

func TestExampleCaddy(t *testing.T) {
	s := newServer(t)
	site, app, emulatorPort := freePort(t), freePort(t), freePort(t)
	config, failure := adapt(t, example(t, "caddy/Caddyfile",
		"persist_config off", "persist_config off\nstorage file_system "+s.dir+"/storage",
		"localhost:4180", fmt.Sprintf("localhost:%d", site), ":4181", fmt.Sprintf(":%d", app),
		"environment emulator", fmt.Sprintf("environment emulator\nemulator_listen 127.0.0.1:%d\nsilent off", emulatorPort)))
	if failure != "" {
		t.Fatal(failure)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	address := fmt.Sprintf("http://localhost:%d", site)
	b.once(address + "/")
	control(t, fmt.Sprintf("127.0.0.1:%d", emulatorPort), "auto-approve", `{"phone":"4790000001"}`)
	a := b.open(address + "/boats?harbour=7")
	for _, want := range []string{"Hei, Åse Ødegård", "<code>emulator-", "/boats?harbour=7"} {
		if a.StatusCode != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("the page has no %q: %d\n%s", want, a.StatusCode, a.body)
		}
	}
}

func TestExampleProduction(t *testing.T) {
	t.Parallel()
	if _, failure := adapt(t, example(t, "caddy/Caddyfile.production")); failure != "" {
		t.Error(failure)
	}
}

// The stock forward_auth in front of the standalone service's handler.
func TestExampleForwardAuth(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "name"}
	client, err := vipps.New(vipps.Config{Issuer: emu.Issuer, ClientID: "shop", ClientSecret: "shop-secret", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{site}, Scopes: scopes, Silent: "off", TrustedProxies: []string{"loopback"},
	})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(engine.ForwardAuth())
	t.Cleanup(service.Close)
	_, sites, _ := strings.Cut(example(t, "caddy-forward-auth/Caddyfile",
		"http://localhost:8000", site, "127.0.0.1:4190", strings.TrimPrefix(service.URL, "http://"), "127.0.0.1:8080", upstream(t)), "\n}\n") // the server here has options of its own
	s.load("", sites)

	b := newBrowser(t)
	a := b.open(site + "/boats?rd=https://evil.example&x=1")
	got := a.seen(t)
	sub := got.Header.Get("X-Vipps-Sub")
	if got.URI != "/boats?rd=https://evil.example&x=1" || sub == "" || got.Header.Get("X-Vipps-Name") != "Åse Ødegård" {
		t.Fatalf("the application gets %s %v", got.URI, got.Header)
	}
	t.Run("spoofed", func(t *testing.T) {
		req := b.navigation(site + "/")
		req.Header["X-Vipps-Sub"] = []string{"evil"}
		req.Header["X-Vipps-Email"] = []string{"evil"}
		req.Header["X-Vipps-Other"] = []string{"evil"}
		req.Header["X_vipps_sub"] = []string{"evil"}
		req.Header["X.Vipps.Sub"] = []string{"evil"}
		req.Header["Connection"] = []string{"close, X-Vipps-Sub, x-vipps-name"}
		req.Header["Cookie"] = []string{"theirs=1; __Host-vippsauth-hint=x; vippsauth.1=y; myvippsauth=2"}
		got := b.do(req).seen(t)
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, ","), "evil") {
				t.Errorf("%s arrives as %q", name, values)
			}
		}
		if got.Header.Get("X-Vipps-Sub") != sub || got.Header.Get("X-Vipps-Name") == "" {
			t.Errorf("Connection took identity headers away: %v", got.Header)
		}
		if cookie := got.Header.Get("Cookie"); cookie != "theirs=1; myvippsauth=2" {
			t.Errorf("the application gets the cookies %q", cookie)
		}
	})
	t.Run("browsers", func(t *testing.T) {
		if a := b.once(site + "/_vipps/authz/forward-auth"); a.StatusCode != http.StatusNotFound {
			t.Errorf("authz: %d", a.StatusCode)
		}
		if a := newBrowser(t).fetch(site + "/"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("fetch without a session: %d", a.StatusCode)
		}
	})
}
