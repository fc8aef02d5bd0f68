package forwardauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: a request with thousands of cookies that are named like login attempts, to the login page, the callback and
// the logout. Each of them was looked up in all of them, and each cleared in the answer: one request of Caddy's megabyte
// cost more than a minute of a processor.
func TestSec_B012_C030_ThousandsOfAttemptCookies(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	var different, same strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&different, "vippsauth-login-%07dAAAAAAAAAAA%c=1; ", i, 'A'+i%26)
		fmt.Fprintf(&same, "vippsauth-login-%07dAAAAAAAAAAAA=x; ", i)
	}
	begun := time.Now()
	for _, cookies := range []string{different.String(), same.String()} {
		for _, target := range []struct{ method, path string }{
			{"GET", "/_vipps/login?rd=/"},
			{"GET", "/_vipps/callback?code=a&state=" + strings.Repeat("A", 43)},
			{"POST", "/_vipps/logout"},
			{"GET", "/"},
		} {
			r := httptest.NewRequest(target.method, l.site.URL+target.path, http.NoBody)
			r.Header = ownForm()
			r.Header.Set("Cookie", cookies+"z=z")
			w := httptest.NewRecorder()
			l.one.ServeHTTP(w, r)
			if n := len(w.Header()["Set-Cookie"]); w.Code >= 400 || n > 30 {
				t.Errorf("%s: %d, sets %d cookies", target.path, w.Code, n)
			}
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("eight requests took %s", took)
	}
}

// Whatever a silent attempt is answered with, and whatever the full login after it, there is one full login and then a
// page: no loop. The provider's own malformed error redirect, with a second question mark before the state, is one too.
func TestSec_A124_A126_OneFullLoginAndThenAPage(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for _, code := range []string{
		"interaction_required", "login_required", "consent_required", "server_error", "access_denied", "temporarily_unavailable",
		"outdated_app_version", "wrong_challenge", "unknown_reject_reason", "never_seen_before",
	} {
		for _, malformed := range []bool{false, true} {
			l.vipps.Control().Reset()
			l.silent("error:" + code)
			if err := l.vipps.Control().Deny(code); err != nil {
				t.Fatal(err)
			}
			if malformed {
				if err := l.vipps.Control().Break(emulator.BreakMalformedRedirect, -1); err != nil {
					t.Fatal(err)
				}
			}
			b := l.browser()
			a := b.visit("/wanted")
			if a.StatusCode < 400 || b.passed("/oauth2/auth") > 2 || b.cookie("vippsauth") != "" || !strings.Contains(a.text, "/_vipps/login") && !strings.Contains(a.text, "/wanted") {
				t.Errorf("%s, malformed %t: %d after\n%s", code, malformed, a.StatusCode, strings.Join(b.trail, "\n"))
			}
			l.clock.advance(time.Hour)
		}
	}
}

// Attack: what isn't a navigation is sent to the provider, and a page of two hundred fetches fills the browser with
// attempts until its Cookie header is refused everywhere.
func TestSec_A128_B012_NoAttemptsForScripts(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	kinds := []http.Header{
		{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}},
		{"Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}},
		{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}, "Accept": {"image/*"}},
		{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"script"}},
		{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Accept": {"text/html"}},
		{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"embed"}, "Accept": {"text/html"}},
		{"Sec-Fetch-Mode": {"websocket"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}},
		{"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html"}},
		{"Accept": {"application/json"}},
		{"Accept": {"image/avif,*/*"}},
		{"Purpose": {"prefetch"}, "Sec-Purpose": {"prefetch"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}},
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			h := kinds[i%len(kinds)]
			for _, path := range []string{"/api", "/_vipps/login?rd=/", "/_vipps/callback?state=x", "/_vipps/result?t=x"} {
				a := l.browser().send("GET", path, h.Clone(), "")
				if a.StatusCode != http.StatusUnauthorized || len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Location") != "" {
					t.Errorf("%s as %v: %d %v", path, h, a.StatusCode, a.Header)
				}
			}
		})
	}
	wg.Wait()
	if l.hits() != 0 || l.vipps.Control().Calls()[emulator.EndpointAuthorize] != 0 {
		t.Error("somebody was asked")
	}
}

// A login begun before a restart is finished after it, and by another replica, also while keys are being rotated; what
// the process remembers is not needed.
func TestSec_C044_RestartAndReplica(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	fresh, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]session.Keys{"the same keys": {labKey()}, "a new key before": {fresh, labKey()}, "a new key behind": {labKey(), fresh}} {
		for _, confirm := range []string{forwardauth.ConfirmNever, forwardauth.ConfirmAlways} {
			b := l.browser()
			callback := b.begin("/p?q")
			other := newReplica(t, l, func(c *forwardauth.Config) { c.Keys, c.ConfirmPerson = keys, confirm })
			third := newReplica(t, l, func(c *forwardauth.Config) { c.Keys, c.ConfirmPerson = keys, confirm })
			l.takeTurns(func(string) http.Handler { return other })
			a := b.visit(callback)
			l.takeTurns(func(string) http.Handler { return third })
			if confirm == forwardauth.ConfirmAlways {
				a = b.click("/_vipps/result", saying(tokenOf(a), "continue"))
			}
			if !strings.Contains(a.text, "app: GET /p?q auth=authenticated name=Åse") {
				t.Errorf("%s, confirm %s: %d %s", name, confirm, a.StatusCode, a.text)
			}
			l.takeTurns(nil)
		}
	}
}

// Attack: a session that was planted in the browser before the login is still there after it, and somebody has its copy
// (session fixation). A login makes a new session with a new id, always, and over somebody else's ends that.
func TestSec_A123_LoginMakesANewSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Silent, c.ConfirmPerson = forwardauth.SilentOff, forwardauth.ConfirmNever
	})
	ids := map[string]bool{}
	for _, planted := range []string{l.loggedIn(phonePer).cookie("vippsauth"), l.loggedIn(phoneAase).cookie("vippsauth"), "1AAAA"} {
		l.as(phoneAase)
		b := l.browser()
		callback := b.begin("/")
		b.setCookie("vippsauth", planted)
		b.visit(callback)
		value := b.cookie("vippsauth")
		id, sub, ok := l.engine.SessionOf(value)
		if !ok || value == planted || len(id) < 22 || ids[id] { // 22 characters of base64url: 132 bits
			t.Fatalf("the session after the login: %q of %q", id, sub)
		}
		ids[id] = true
		if before, owner, ok := l.engine.SessionOf(planted); ok {
			if before == id {
				t.Error("the id is the planted one's")
			}
			if owner != sub && l.opens(planted) {
				t.Error("the planted session still opens")
			}
		}
	}
}

// Attack: the person goes away in the middle: the browser closes the connection while the provider is slow. No session
// that is there ends for it, and the next request is served as before.
func TestSec_B013_ClientsThatGoAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Silent = forwardauth.SilentOff })
	b := l.loggedIn(phoneAase)
	value := b.cookie("vippsauth")
	b.setCookie("vippsauth", "")
	callback := b.begin("/")
	b.setCookie("vippsauth", value)
	if err := l.vipps.Control().Delay(emulator.EndpointToken, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{callback, callback, l.site.URL + "/", l.site.URL + "/_vipps/me"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, "GET", path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = navigation()
		for name, v := range b.own() {
			r.Header.Add("Cookie", name+"="+v)
		}
		// Straight to the handler: the recorder shows what it would have set.
		w := httptest.NewRecorder()
		gone := r.Clone(ctx)
		gone.RequestURI = gone.URL.RequestURI()
		l.one.ServeHTTP(w, gone)
		cancel()
		if set := strings.Join(w.Header()["Set-Cookie"], "\n"); strings.Contains(set, "vippsauth=") || !l.opens(value) {
			t.Errorf("%s: sets %q, the session opens %t", path, set, l.opens(value))
		}
	}
	if a := b.visit("/"); !strings.Contains(a.text, "name=Åse") || b.cookie("vippsauth") != value {
		t.Errorf("the next request: %d %s", a.StatusCode, a.text)
	}
}

// A person whose claims fit into no cookies gets a page and no half of a session, whether a page asks who continues or not, and
// the operator reads which claim it is, not what is in it.
func TestSec_C032_C033_SessionThatFitsNoCookie(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmNever, forwardauth.ConfirmAlways} {
		l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = confirm })
		long := strings.Repeat("Ødegård ", 2000)
		if err := l.vipps.Control().AddPerson(emulator.Person{ID: "long", Phone: "4791200001", Name: long, GivenName: "Åse", FamilyName: "Ødegård"}); err != nil {
			t.Fatal(err)
		}
		l.as("4791200001")
		b := l.browser()
		a := b.visit("/")
		if a.StatusCode != http.StatusBadRequest || b.cookie("vippsauth") != "" || l.hits() > 0 || strings.Contains(a.text, asksWho) {
			t.Errorf("%s: %d, session %q", confirm, a.StatusCode, b.cookie("vippsauth"))
		}
		if n := l.log.FilterField(zapString("largest_claim", "name")).Len(); n != 1 || l.log.FilterField(zapString("code", "cookie-too-big")).Len() != 1 {
			t.Errorf("%s: the log has %d lines of it: %v", confirm, n, l.log.All())
		}
		for _, entry := range l.log.All() {
			if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), "Ødegård") {
				t.Errorf("%s: the claim is told: %v", confirm, entry)
			}
		}
		for name := range b.own() {
			if strings.HasPrefix(name, "vippsauth.") || strings.HasPrefix(name, "vippsauth-login") {
				t.Errorf("%s: the browser keeps %s", confirm, name)
			}
		}
	}
}
