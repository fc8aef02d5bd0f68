package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A reload keeps sessions, what was logged out, and the requests that come meanwhile.
func TestSec_D15_Reload(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	app := upstream(t)
	load := func(n int) {
		s.load("", fmt.Sprintf("%s {\n vipps_auth {\n %s\n site_name \"Shop %d\"\n }\n reverse_proxy %s\n}", site, clientSettings(emu), n, app))
	}
	load(0)
	b, gone := newBrowser(t), newBrowser(t)
	b.open(site + "/").seen(t)
	gone.open(site + "/").seen(t)
	ended := gone.cookies(site)
	gone.logout(site)

	stop := make(chan struct{})
	var asking sync.WaitGroup
	var answered, failed atomic.Int64
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := b.client.Do(b.navigation(site + "/"))
				if err != nil {
					continue // Caddy resets some connections while its listeners change hands, with or without this module
				}
				_ = resp.Body.Close()
				answered.Add(1)
				if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/" {
					failed.Add(1)
				}
			}
		})
	}
	for n := range 20 {
		load(n + 1)
		if n%2 == 0 {
			continue // and is replaced before it has answered anybody: who comes late to it is served all the same
		}
		before := answered.Load()
		for deadline := time.Now().Add(30 * time.Second); answered.Load() == before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // this one answers somebody before the next one comes
		}
	}
	close(stop)
	asking.Wait()
	if failed.Load() > 0 || answered.Load() < 20 {
		t.Errorf("%d of %d answers aren't those of a session", failed.Load(), answered.Load())
	}
	if logins := emu.Control().Calls()[emulator.EndpointToken]; logins != 2 {
		t.Errorf("%d logins in all, want the 2 from before the reloads", logins)
	}
	if discoveries := emu.Control().Calls()[emulator.EndpointDiscovery]; discoveries != 1 {
		t.Errorf("the provider's metadata was fetched %d times: the client doesn't outlive a reload", discoveries)
	}
	t.Logf("%d answers over 20 reloads", answered.Load())
	req := b.navigation(site + "/")
	for _, c := range ended {
		req.AddCookie(c)
	}
	if a := newBrowser(t).withoutRedirects().do(req); a.StatusCode != http.StatusFound {
		t.Errorf("a session that was logged out before the reload: %d", a.StatusCode)
	}
	if page := b.open(site + "/_vipps/logout"); !strings.Contains(page.body, "Shop 20") {
		t.Error("the last configuration isn't in use")
	}
}

// The emulator goes on over a reload, with the browsers that it remembers, and ends with the last site.
func TestEmulatorOutlivesReload(t *testing.T) {
	s := newServer(t)
	emulatorAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	one, two := fmt.Sprintf("http://localhost:%d", freePort(t)), fmt.Sprintf("http://localhost:%d", freePort(t))
	load := func(sites ...string) {
		var all strings.Builder
		for _, site := range sites {
			fmt.Fprintf(&all, "%s {\n vipps_auth {\n environment emulator\n emulator_listen %s\n silent off\n }\n respond {http.auth.user.id}\n}\n", site, emulatorAddr)
		}
		s.load("", all.String())
	}
	load(one, two)
	newBrowser(t).once(one + "/")
	newBrowser(t).once(two + "/")
	control(t, emulatorAddr, "auto-approve", `{"phone":"4790000001"}`)
	load(two, one)
	load(one)
	for _, site := range []string{one, two} {
		b := newBrowser(t)
		if site == two {
			load(one, two)
		}
		if a := b.open(site + "/"); !strings.HasPrefix(a.body, "emulator-") {
			t.Errorf("%s: %d %s", site, a.StatusCode, a.body)
		}
	}
	s.load("", one+" {\n respond open\n}")
	if conn, err := net.DialTimeout("tcp", emulatorAddr, time.Second); err == nil {
		_ = conn.Close()
		t.Error("the emulator runs on without a site")
	}
}

// With the provider away a configuration loads at once and other sites are served; logins have to wait.
func TestSec_D02_ProviderAway(t *testing.T) {
	s := newServer(t)
	blackhole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blackhole.Close() }()
	away, other := fmt.Sprintf("http://localhost:%d", freePort(t)), fmt.Sprintf("http://localhost:%d", freePort(t))
	sites := fmt.Sprintf("%s {\n vipps_auth {\n issuer http://%s/\n client_id a\n client_secret b\n }\n respond in\n}\n%s {\n respond open\n}\n", away, blackhole.Addr(), other)
	start := time.Now()
	s.load("", sites)
	if took := time.Since(start); took > 3*time.Second { // who waited for the provider would wait four
		t.Errorf("loading took %s", took)
	}
	b := newBrowser(t)
	if a := b.open(other + "/"); a.body != "open" {
		t.Errorf("the other site: %d %s", a.StatusCode, a.body)
	}
	if a := b.once(away + "/"); a.StatusCode != http.StatusFound {
		t.Errorf("a navigation: %d", a.StatusCode)
	}
	_ = blackhole.Close()
	a := b.open(away + "/")
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a login: %d %v", a.StatusCode, a.Header)
	}
}

// Storage that fails is 503 until it is mended, and never a key that nobody else knows.
func TestStorageAway(t *testing.T) {
	s := newServer(t)
	dir := filepath.Join(s.dir, "storage")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(dir, "vippsauth")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	s.load("", site+" {\n vipps_auth {\n environment test\n client_id a\n client_secret b\n }\n respond in\n}")
	b := newBrowser(t)
	for _, path := range []string{"/", "/_vipps/login", "/_vipps/callback?code=canary&state=x"} {
		if a := b.once(site + path); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || strings.Contains(a.body, "storage") {
			t.Errorf("%s: %d %v %s", path, a.StatusCode, a.Header, a.body)
		}
	}
	if log := s.logs(); !strings.Contains(log, "cookie key") || strings.Contains(log, "canary") {
		t.Errorf("the log:\n%s", log)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for b.once(site+"/").StatusCode != http.StatusFound {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't mend itself")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A stored key that can't be read stays where it is: another one would end every session.
func TestStoredKeyBroken(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(s.dir, "storage/vippsauth/cookie_keys.txt")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	s.load("", site+" {\n vipps_auth {\n environment test\n client_id a\n client_secret b\n }\n respond in\n}")
	if a := newBrowser(t).once(site + "/"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", a.StatusCode)
	}
	if log := s.logs(); !strings.Contains(log, "is all zero bytes") {
		t.Errorf("the log doesn't say why:\n%s", log)
	}
}

// Sites have their own settings; what one sets wins over the global option, and a session of one is none on another.
func TestSeveralSites(t *testing.T) {
	s := newServer(t)
	one, two := fmt.Sprintf("http://localhost:%d", freePort(t)), fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, one, two)
	app := upstream(t)
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VIPPSAUTH_TEST_SECRET", "shop-secret")
	t.Setenv("VIPPSAUTH_TEST_KEYS", key.Encode())
	s.load(fmt.Sprintf(`vipps_auth {
		issuer %s
		client_id shop
		client_secret {env.VIPPSAUTH_TEST_SECRET}
		scopes openid name
		silent off
		cookie_keys {env.VIPPSAUTH_TEST_KEYS}
	}`, emu.Issuer), fmt.Sprintf(`%s {
		vipps_auth
		reverse_proxy %s
	}
	%s {
		vipps_auth {
			scopes openid email phoneNumber
			allow 4790000009
			site_name Two
		}
		reverse_proxy %s
	}`, one, app, two, app))
	b := newBrowser(t)
	got := b.open(one + "/").seen(t)
	if got.Header.Get("X-Vipps-Name") == "" || got.Header.Get("X-Vipps-Email") != "" {
		t.Errorf("the first site: %v", got.Header)
	}
	// Loopback cookies ignore ports, so the second site gets the first one's.
	if a := b.fetch(two + "/"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the first site's session on the second: %d", a.StatusCode)
	}
	if a := newBrowser(t).open(two + "/"); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "Two") {
		t.Errorf("a person whom the second site doesn't list: %d", a.StatusCode)
	}
	if entries, err := os.ReadDir(filepath.Join(s.dir, "storage/vippsauth")); err == nil {
		t.Errorf("there are keys in the storage though the configuration has one: %v", entries)
	}
}

// Forwarded headers count if Caddy trusts who sends them.
func TestTrustedProxies(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		t.Run(fmt.Sprintf("trusted %t", trusted), func(t *testing.T) {
			s := newServer(t)
			port := freePort(t)
			options := ""
			if trusted {
				options = "servers {\n trusted_proxies static 127.0.0.0/8 ::1\n}"
			}
			s.load(options, fmt.Sprintf(`http://:%d {
				vipps_auth {
					environment test
					client_id a
					client_secret b
					public_url https://app.example.com
				}
				respond in
			}`, port))
			ask := func(host string, header http.Header) int {
				b := newBrowser(t).withoutRedirects()
				req := b.navigation(fmt.Sprintf("http://127.0.0.1:%d/", port))
				req.Host = host
				for name, values := range header {
					req.Header[name] = values
				}
				return b.do(req).StatusCode
			}
			want := map[bool]int{false: http.StatusMisdirectedRequest, true: http.StatusFound}[trusted]
			if got := ask("10.0.0.5:8080", http.Header{"X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"}}); got != want {
				t.Errorf("X-Forwarded-Host: %d, want %d", got, want)
			}
			for _, hosts := range [][]string{{"evil.example"}, {"app.example.com", "evil.example"}, {"app.example.com, evil.example"}, {""}} {
				if got := ask("10.0.0.5:8080", http.Header{"X-Forwarded-Host": hosts}); got != http.StatusMisdirectedRequest {
					t.Errorf("X-Forwarded-Host %q: %d", hosts, got)
				}
				if got := ask("app.example.com", http.Header{"X-Forwarded-Host": hosts, "X-Forwarded-Proto": {"javascript"}}); got != http.StatusFound {
					t.Errorf("X-Forwarded-Host %q beside a good Host: %d", hosts, got)
				}
			}
		})
	}
}

// With auth_url logins come back to one address, which is the only one to register; every site is one behind a proxy.
func TestAuthURLBehindAProxy(t *testing.T) {
	s := newServer(t)
	port := freePort(t)
	s.load("servers {\n trusted_proxies static 127.0.0.0/8 ::1\n}", fmt.Sprintf(`http://:%d {
		vipps_auth {
			environment test
			client_id a
			client_secret b
			public_url https://www.club.example https://login.club.example
			cookie_domain club.example
			auth_url https://login.club.example
		}
		respond in
	}`, port))
	for host, want := range map[string]int{"www.club.example": http.StatusFound, "login.club.example": http.StatusFound, "shop.club.example": http.StatusMisdirectedRequest} {
		b := newBrowser(t).withoutRedirects()
		req := b.navigation(fmt.Sprintf("http://127.0.0.1:%d/", port))
		req.Header["X-Forwarded-Host"], req.Header["X-Forwarded-Proto"] = []string{host}, []string{"https"}
		if got := b.do(req).StatusCode; got != want {
			t.Errorf("X-Forwarded-Host %s: %d, want %d", host, got, want)
		}
	}
	log := s.logs()
	if strings.Count(log, "redirect URI to register") != 1 || !strings.Contains(log, "https://login.club.example/_vipps/callback") {
		t.Errorf("what to register: %s", log)
	}
}

// The faults of a configuration that only a running server can know are named all at once, without values.
func TestProvisionNamesEveryFault(t *testing.T) {
	t.Setenv("VIPPSAUTH_TEST_EMPTY", "")
	t.Setenv("VIPPSAUTH_TEST_KEYS", "c2VjcmV0LWtleS1vZi1hLXRlc3Q=")
	handler := map[string]any{
		"handler": "vipps_auth", "environment": "test", "client_id": "{env.VIPPSAUTH_TEST_EMPTY}", "client_secret": "very-secret-indeed\n",
		"public_url": []string{"https://app.example.com"}, "cookie_keys": []string{"{env.VIPPSAUTH_TEST_KEYS}"},
		"silent": "{nonsense}", "allow": []string{"@/nonexistent/members.txt"},
	}
	config := map[string]any{
		"admin": map[string]any{"disabled": true},
		"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"srv": map[string]any{
			"listen": []string{"127.0.0.1:0"}, "routes": []any{map[string]any{"handle": []any{handler}}},
		}}}},
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(data, &cfg); err != nil {
		t.Fatal(err)
	}
	err = caddy.Validate(&cfg)
	if err == nil {
		t.Fatal("the configuration passes")
	}
	for _, want := range []string{
		"https://app.example.com", "client_id: evaluated placeholder {env.VIPPSAUTH_TEST_EMPTY} is empty", "client_secret: begins or ends with white space",
		"cookie_keys: key 1: holds 20 bytes", "silent: unrecognized placeholder {nonsense}", "allow:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error has no %q", want)
		}
	}
	for _, secret := range []string{"very-secret", "c2VjcmV0"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds %q", secret)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

// A handler in a block of its site is warned about, with the way out.
func TestNestedIsWarnedAbout(t *testing.T) {
	s := newServer(t)
	s.load("", fmt.Sprintf("http://localhost:%d {\n respond ok\n}", freePort(t))) // from here on Caddy logs to the file
	const settings = "{\n environment test\n client_id a\n client_secret b\n }"
	tests := []struct{ name, body, want string }{
		{"handle", "handle {\n vipps_auth " + settings + "\n}", "vipps_auth inside handle never sees /_vipps/"},
		{"handle with a matcher", "handle /app/* {\n vipps_auth " + settings + "\n}", "vipps_auth <matcher> { … }"},
		{"handle_path", "handle_path /app/* {\n vipps_auth " + settings + "\n}", "vipps_auth inside handle_path"},
		{"handle in handle", "handle {\n handle /app/* {\n vipps_auth " + settings + "\n}\n}", "vipps_auth inside handle never"},
		{"handle in route", "route {\n handle /app/* {\n vipps_auth " + settings + "\n}\n}", "the matcher of what is protected: vipps_auth /app/* { … }"},
		{"route with a matcher", "route /app/* {\n vipps_auth " + settings + "\n}", "vipps_auth inside route <matcher>"},
		{"route", "route {\n vipps_auth " + settings + "\n}", ""},
		{"the site", "vipps_auth /app/* " + settings, ""},
	}
	for _, tt := range tests {
		before := len(s.logs())
		if _, failure := adapt(t, "example.com {\n"+tt.body+"\n}\n"); failure != "" {
			t.Errorf("%s: %s", tt.name, failure)
		}
		log := s.logs()[before:]
		switch {
		case tt.want == "" && strings.Contains(log, "vipps_auth"):
			t.Errorf("%s: warned: %s", tt.name, log)
		case tt.want != "" && (!strings.Contains(log, tt.want) || !strings.Contains(log, `"file":"Caddyfile"`) || !strings.Contains(log, `"line":`)):
			t.Errorf("%s: no warning with %q: %s", tt.name, tt.want, log)
		}
	}
}
