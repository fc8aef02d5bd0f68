package forwardauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// from is a navigation that comes through the trusted proxy from a client with this address.
func from(client string) http.Header {
	h := navigation()
	h.Set("X-Forwarded-For", client)
	return h
}

// Attack: a script starts logins without end from one address, for a flood at the provider and on people's phones. From the
// limit on it gets 429, which says when to come again, and nothing is started; nobody else notices.
func TestSec_C073_LoginsOfOneClient(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	l := newLab(t, func(c *forwardauth.Config) { c.LoginLimit, c.Metrics = "6/1m", registry })
	l.clock.stop()
	in := l.loggedIn(phoneAase)
	start := func(client string) answer { return l.browser().send("GET", "/_vipps/login?rd=/a", from(client), "") }
	const attacker = "203.0.113.7"
	for i := range 6 {
		if a := start(attacker); a.StatusCode != http.StatusFound || !strings.HasPrefix(a.Header.Get("Location"), l.vipps.Issuer[:len("http://127.0.0.1:")]) {
			t.Fatalf("the %dth: %d", i+1, a.StatusCode)
		}
	}
	before := l.log.Len()
	for range 50 {
		a := start(attacker)
		if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "10" || a.Header.Get("Location") != "" || len(a.Header["Set-Cookie"]) != 0 {
			t.Fatalf("beyond the limit: %d %v", a.StatusCode, a.Header)
		}
		if a.Header.Get("Cache-Control") != "no-store" || !strings.Contains(a.text, "Try again in 10 seconds") || !strings.Contains(a.text, `href="/a"`) {
			t.Fatalf("the page: %v\n%s", a.Header, a.text)
		}
	}
	if lines := l.log.All()[before:]; len(lines) != 1 || !strings.Contains(lines[0].ContextMap()["cure"].(string), "login_limit ") {
		t.Errorf("50 refusals in one minute make %d lines: %v", len(lines), lines)
	}
	h := from(attacker)
	h.Set("Accept-Language", "nb")
	if a := l.browser().send("GET", "/_vipps/login?rd=/a", h, ""); !strings.Contains(a.text, "Mange logger inn") {
		t.Errorf("in Norwegian: %s", a.text)
	}
	script := http.Header{"X-Forwarded-For": {attacker}, "Accept": {"*/*"}}
	if a := l.browser().send("GET", "/_vipps/login?rd=/", script, ""); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || strings.TrimSpace(a.text) != `{"error":"too_many_logins"}` {
		t.Errorf("a script: %d %v %s", a.StatusCode, a.Header, a.text)
	}
	form := from(attacker)
	form.Set("Sec-Fetch-Site", "same-origin")
	form.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := l.browser().send("POST", "/_vipps/login", form, "rd=%2Fa"); a.StatusCode != http.StatusTooManyRequests || !strings.Contains(a.text, "<!doctype html>") && !strings.Contains(a.text, "<!DOCTYPE html>") {
		t.Errorf("a click: %d %s", a.StatusCode, a.text)
	}
	if got := counter(t, registry, "vippsauth_logins_limited_total", "client"); got != 53 {
		t.Errorf("the counter says %v", got)
	}

	// Others, a session at the same address, and every request that starts no login.
	if a := start("203.0.113.8"); a.StatusCode != http.StatusFound {
		t.Errorf("another client: %d", a.StatusCode)
	}
	for _, path := range []string{"/", "/_vipps/login?rd=/b", "/_vipps/me", "/_vipps/logout"} {
		if a := in.send("GET", path, from(attacker), ""); a.StatusCode >= 400 {
			t.Errorf("%s with a session: %d", path, a.StatusCode)
		}
	}
	for path, want := range map[string]int{"/": 302, "/_vipps/me": 401, "/_vipps/result?t=x": 400, "/_vipps/callback?code=x&state=x": 303} {
		if a := l.browser().send("GET", path, from(attacker), ""); a.StatusCode != want {
			t.Errorf("%s without a session: %d, want %d", path, a.StatusCode, want)
		}
	}

	l.clock.advance(10 * time.Second)
	if a, next := start(attacker), start(attacker); a.StatusCode != http.StatusFound || next.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after the time that it was told: %d, then %d", a.StatusCode, next.StatusCode)
	}
}

func counter(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s for %s", name, label)
	return 0
}

// A login under way is never cut off: its full attempt after the silent one counts, and the answer from the provider
// doesn't, so that whoever has approved in the app gets in.
func TestLimitLetsLoginsFinish(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.LoginLimit = "2/1h" })
	l.silent(emulator.NoDialogMiss)
	l.as(phoneAase)
	b := l.browser()
	a := b.follow(b.send("GET", "/", from("203.0.113.7"), ""), "/")
	if a.StatusCode != http.StatusOK || b.passed("/oauth2/auth") != 2 {
		t.Fatalf("%d after %d attempts", a.StatusCode, b.passed("/oauth2/auth"))
	}
}

// Attack: from many addresses at once. What all start together has a limit of its own, and whoever is logged in goes on.
func TestSec_C073_LoginsInTotal(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	l := newLab(t, func(c *forwardauth.Config) { c.LoginLimitTotal, c.Metrics = "20/1m", registry })
	in := l.loggedIn(phoneAase) // one
	refused := 0
	for i := range 40 {
		a := l.browser().send("GET", "/_vipps/login?rd=/", from("203.0.113."+strconv.Itoa(i)), "")
		if a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "" {
			refused++
		}
	}
	if refused < 20 || counter(t, registry, "vippsauth_logins_limited_total", "total") != float64(refused) || counter(t, registry, "vippsauth_logins_limited_total", "client") != 0 {
		t.Errorf("%d of 40 are refused, of 20", refused)
	}
	if a := in.visit("/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("who is logged in: %d", a.StatusCode)
	}
}

// A trusted proxy that doesn't say who its client is: only the total counts, which the log says once.
func TestLimitWithoutClients(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.LoginLimit, c.LoginLimitTotal = "1/1h", "5/1h" })
	for i := range 5 {
		if a := l.browser().send("GET", "/_vipps/login?rd=/", navigation(), ""); a.StatusCode != http.StatusFound {
			t.Fatalf("the %dth: %d", i+1, a.StatusCode)
		}
	}
	if a := l.browser().send("GET", "/_vipps/login?rd=/", navigation(), ""); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("beyond the total: %d", a.StatusCode)
	}
	if n := l.log.FilterMessageSnippet("nobody knows from which clients").Len(); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

func TestLimitOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.LoginLimit, c.LoginLimitTotal, c.TrustedProxies = forwardauth.LimitOff, forwardauth.LimitOff, nil
	})
	for range 3100 {
		r := httptest.NewRequest("GET", l.site.URL+"/_vipps/login?rd=/", nil)
		r.Header = navigation()
		w := httptest.NewRecorder()
		l.one.ServeHTTP(w, r)
		if w.Code != http.StatusFound {
			t.Fatal(w.Code)
		}
	}
	for _, bad := range []string{"60", "0/1m", "60/1y"} {
		cfg := l.config
		cfg.LoginLimit = bad
		if _, err := forwardauth.New(cfg); err == nil || !strings.Contains(err.Error(), "login_limit") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// On a site that anybody may read, a login that nobody asked for and that may not start is no reason to show nothing.
func TestLimitOfReaders(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.LoginLimit, c.WithoutSession = "1/1h", forwardauth.WithoutSessionAnonymous
	})
	l.silent(emulator.NoDialogMiss)
	const office = "203.0.113.7"
	var b *browser
	var a answer
	for range 2 {
		b = l.browser()
		a = b.send("GET", "/a", from(office), "")
		a = b.send("GET", a.Header.Get("Location"), from(office), "")
	}
	if to, err := url.Parse(a.Header.Get("Location")); err != nil || a.StatusCode != http.StatusFound || to.Path != "/a" {
		t.Fatalf("%d to %s", a.StatusCode, to)
	}
	if a := b.follow(a, "/_vipps/login"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "auth=anonymous") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	click := from(office)
	click.Set("Sec-Fetch-Site", "same-origin")
	click.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := l.browser().send("POST", "/_vipps/login", click, "rd=%2Fa"); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("who asks for a login is told: %d", a.StatusCode)
	}
}

// The counts are the process's: a new engine on the same state goes on with them, and so do all sites.
func TestLimitOutlivesAnEngine(t *testing.T) {
	t.Parallel()
	state := forwardauth.NewState()
	l := newLab(t, func(c *forwardauth.Config) { c.LoginLimit, c.State = "3/1h", state })
	for range 3 {
		l.browser().send("GET", "/_vipps/login?rd=/", from("203.0.113.7"), "")
	}
	cfg := l.config
	cfg.Sites = []forwardauth.Config{{
		Client: cfg.Client, Keys: cfg.Keys, PublicURLs: []string{"http://other.localhost"}, Scopes: cfg.Scopes, Emulator: true, LoginLimit: "1000/1s",
	}}
	again, err := forwardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{l.site.URL, "http://other.localhost"} {
		r := httptest.NewRequest("GET", site+"/_vipps/login?rd=/", nil)
		r.Header, r.RemoteAddr = from("203.0.113.7"), "127.0.0.1:5"
		w := httptest.NewRecorder()
		again.ForwardAuth().ServeHTTP(w, r)
		if w.Code != http.StatusTooManyRequests {
			t.Errorf("%s after a reload: %d", site, w.Code)
		}
	}
}
