package forwardauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// begin sends a browser as far as the provider and returns the callback that the provider answers with.
func (b *browser) begin(path string) (callback string) {
	b.t.Helper()
	return b.onTheWay(b.send("GET", path, navigation(), ""))
}

// A browser that restores several tabs sends each of them through a login of its own. All of them finish.
func TestSec_A122_SeveralTabs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	var callbacks []string
	for _, path := range []string{"/one", "/two", "/three"} {
		callbacks = append(callbacks, b.begin(path))
	}
	for i, path := range []string{"/one", "/two", "/three"} {
		if a := b.visit(callbacks[2-i]); !strings.Contains(a.text, "app: GET "+[]string{"/three", "/two", "/one"}[i]) {
			t.Errorf("tab %s ends with %d %s", path, a.StatusCode, a.text)
		}
	}
}

// No more than five attempts are kept; the oldest go. A tab whose attempt is gone just goes on with the session.
func TestSec_B012_AttemptsArePruned(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	first := b.begin("/first")
	var last string
	for range 8 {
		l.clock.advance(time.Second)
		last = b.begin("/last")
	}
	attempts := 0
	for name := range b.cookies[strings.TrimPrefix(l.site.URL, "http://")] {
		if strings.HasPrefix(name, "vippsauth-login-") {
			attempts++
		}
	}
	if attempts != 5 {
		t.Errorf("%d attempts are kept", attempts)
	}
	if a := b.visit(last); !strings.Contains(a.text, "app: GET /last") {
		t.Fatalf("the last tab ends with %d %s", a.StatusCode, a.text)
	}
	if a := b.visit(first); !strings.Contains(a.text, "app: GET /first") || b.passed("/oauth2/auth") != 0 {
		t.Errorf("the pruned tab ends with %d %s", a.StatusCode, a.text)
	}
}

// A person who comes back in another browser has no cookie there. The login starts again, once, and ends on the
// page asked for: nothing is accepted by the state alone.
func TestSec_A127_A091_C042_AnotherBrowser(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	callback := l.browser().begin("/deep?x=1")
	other := l.browser()
	tokens := l.vipps.Control().Calls()[emulator.EndpointToken]
	a := other.send("GET", callback, navigation(), "")
	if a.StatusCode != http.StatusSeeOther || l.vipps.Control().Calls()[emulator.EndpointToken] != tokens || other.cookie("vippsauth") != "" {
		t.Fatalf("a callback without its cookie: %d, cookies %v", a.StatusCode, other.cookies)
	}
	if a = other.follow(a, callback); !strings.Contains(a.text, "app: GET /deep?x=1") || other.passed("/oauth2/auth") != 1 {
		t.Errorf("ends with %d %s\n%s", a.StatusCode, a.text, strings.Join(other.trail, "\n"))
	}
}

// Whatever is wrong with a callback, no session comes of it, no code leaves the process, and a session that is
// there stays. The page that follows offers to start again.
func TestSec_C040_B110_BadCallbacks(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for name, change := range map[string]func(q url.Values, b *browser) string{
		"C040_TwoCodes":     func(q url.Values, _ *browser) string { return q.Encode() + "&code=x" },
		"C040_TwoStates":    func(q url.Values, _ *browser) string { return q.Encode() + "&state=" + q.Get("state") },
		"C040_CodeAndError": func(q url.Values, _ *browser) string { return q.Encode() + "&error=access_denied" },
		"C040_TwoIss":       func(q url.Values, _ *browser) string { return q.Encode() + "&iss=a&iss=b" },
		"A111_OtherIss":     func(q url.Values, _ *browser) string { return q.Encode() + "&iss=https%3A%2F%2Fevil.example" },
		"A126_StateInError": func(url.Values, *browser) string { return "error=access_denied&error_description=no?state=abc" },
		"B011_NoState":      func(q url.Values, _ *browser) string { return "code=" + q.Get("code") },
		"B011_EmptyState":   func(q url.Values, _ *browser) string { return "state=&code=" + q.Get("code") },
		"B011_ShortState":   func(q url.Values, _ *browser) string { return "state=x&code=" + q.Get("code") },
		"B011_LongState": func(q url.Values, _ *browser) string {
			return "state=" + strings.Repeat("a", 5000) + "&code=" + q.Get("code")
		},
		"A166_QRCode":    func(url.Values, *browser) string { return "code=from-a-qr-redirect" },
		"C040_Semicolon": func(q url.Values, _ *browser) string { return "code=a;state=" + q.Get("state") },
		"C040_Nothing":   func(url.Values, *browser) string { return "" },
		"A050_ChangedState": func(q url.Values, _ *browser) string {
			return "code=" + q.Get("code") + "&state=" + otherEnd(q.Get("state"))
		},
		"B030_ScriptInErrors": func(url.Values, *browser) string {
			return "error=%3Csvg/onload=alert(1)%3E&state=x&error_description=%22%3E%3Cimg%20src=x%3E"
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, loggedIn := range []bool{false, true} {
				b := l.browser()
				if loggedIn {
					b = l.loggedIn(phoneAase)
				}
				l.silent(emulator.NoDialogHit)
				probe := l.browser()
				callback, err := url.Parse(probe.begin("/wanted"))
				if err != nil {
					t.Fatal(err)
				}
				for cookie, value := range probe.cookies[callback.Host] {
					b.setCookie(cookie, value)
				}
				session, tokens := b.cookie("vippsauth"), l.vipps.Control().Calls()[emulator.EndpointToken]
				a := b.visit("/_vipps/callback?" + change(callback.Query(), b))
				if a.StatusCode >= 500 {
					t.Errorf("%s: status %d", name, a.StatusCode)
				}
				if b.cookie("vippsauth") != session {
					t.Errorf("%s: the session changed", name)
				}
				if got := l.vipps.Control().Calls()[emulator.EndpointToken]; got != tokens {
					t.Errorf("%s: %d calls of the token endpoint", name, got-tokens)
				}
				if strings.Contains(a.text, "app:") && !loggedIn {
					t.Errorf("%s: reached the app", name)
				}
				if !loggedIn && !strings.Contains(a.text, `action="/_vipps/login"`) {
					t.Errorf("%s: the page offers no way on:\n%s", name, a.text)
				}
				if strings.Contains(a.text, "<svg") || strings.Contains(a.text, "<img") || strings.Contains(a.text, "alert(1)") {
					t.Errorf("%s: the query is on the page", name)
				}
				for _, step := range b.trail[1:] {
					if strings.Contains(step, "code=") || strings.Contains(step, "state=") {
						t.Errorf("%s: code or state go on to %s", name, step)
					}
				}
			}
		})
	}
}

// otherEnd is a text with another last character.
func otherEnd(s string) string {
	if strings.HasSuffix(s, "A") {
		return s[:len(s)-1] + "B"
	}
	return s[:len(s)-1] + "A"
}

// The same callback twice makes one session and asks the provider once; fifty at a time as well.
func TestSec_C041_CallbackReplay(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/")
	before := l.vipps.Control().Calls()[emulator.EndpointToken]
	var sessions, others int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 50 {
		one := l.browser()
		for host, jar := range b.cookies {
			for name, value := range jar {
				one.store(host, []string{name + "=" + value})
			}
		}
		wg.Go(func() {
			one.send("GET", callback, navigation(), "")
			mu.Lock()
			defer mu.Unlock()
			if one.cookie("vippsauth") != "" {
				sessions++
			} else {
				others++
			}
		})
	}
	wg.Wait()
	if calls := l.vipps.Control().Calls()[emulator.EndpointToken] - before; sessions != 1 || others != 49 || calls != 1 {
		t.Errorf("%d sessions, %d refusals, %d token calls", sessions, others, calls)
	}
}

// A link scanner's HEAD must not burn the code.
func TestSec_C043_HeadOfCallback(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/")
	if a := b.send("HEAD", callback, navigation(), ""); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	if a := b.send("GET", callback, http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("as an image: %d", a.StatusCode)
	}
	if a := b.visit(callback); !strings.Contains(a.text, "auth=authenticated") {
		t.Errorf("the code is gone: %d %s", a.StatusCode, a.text)
	}
}

// Cookies refused: no session can come of it, and after one restart a page says why.
func TestSec_D24_CookiesRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	b.deny = true
	a := b.visit("/")
	if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text, "cookie") || b.passed("/oauth2/auth") != 2 {
		t.Fatalf("got %d\n%s\n%s", a.StatusCode, strings.Join(b.trail, "\n"), a.text)
	}
	if l.log.FilterField(zapString("code", "cookies-refused")).Len() != 1 {
		t.Errorf("the log: %v", l.log.All())
	}
}

// A session cookie that never sticks: the third round in a minute is a page.
func TestSec_D24_SessionIsLost(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	for round := range 3 {
		b.setCookie("vippsauth", "")
		a := b.send("GET", "/_vipps/login?rd=/", navigation(), "")
		if round < 2 {
			b.visit(b.begin("/"))
			continue
		}
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text, "<h1") {
			t.Errorf("round 3: %d %s", a.StatusCode, a.text)
		}
	}
	// A click is no round of a loop.
	if a := b.click("/_vipps/login", url.Values{"rd": {"/"}}); !strings.Contains(a.text, "app:") {
		t.Errorf("the button of the page leads to %d %s", a.StatusCode, a.text)
	}
}

// Two replicas with different keys take turns: neither opens what the other sealed. It ends in a page that names
// the cause.
func TestSec_D24_ReplicasWithDifferentKeys(t *testing.T) {
	t.Parallel()
	other, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	second := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = session.Keys{other} })
	handlers := []http.Handler{l.one, second}
	turn := 0
	l.takeTurns(func(path string) http.Handler {
		if path == "/" { // a login stays with one replica, the page after it is the other's
			turn++
		}
		return handlers[turn%2]
	})
	a := b.visit("/")
	if a.StatusCode != http.StatusBadRequest || b.passed("/oauth2/auth") > 3 {
		t.Fatalf("got %d after\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
	if l.log.FilterField(zapString("likely_cause", "other-key")).Len() == 0 {
		t.Errorf("the log does not name the cause: %v", l.log.All())
	}
}

// The login page sees a live session, and whoever judges requests sees none: a balancer that sends /_vipps/ to a replica
// with one key and the rest to one with another; or a proxy that asks without the Cookie header (Traefik's
// authRequestHeaders, when it doesn't list Cookie). A page that names the cause, and not a browser's "too many redirects".
func TestSec_D24_LiveSessionIsNotSeen(t *testing.T) {
	t.Parallel()
	other, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	second := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = session.Keys{other} })
	l.takeTurns(func(path string) http.Handler {
		if strings.HasPrefix(path, "/_vipps/") {
			return l.one
		}
		return second
	})
	if a := b.visit("/"); a.StatusCode != http.StatusBadRequest || l.log.FilterField(zapString("likely_cause", "session-not-seen")).Len() != 1 {
		t.Errorf("got %d after\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
	if a := b.visit("/x"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d after\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
}
