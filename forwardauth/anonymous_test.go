package forwardauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The stories of this file: a site that anybody may read (without_session anonymous). Whatever goes wrong with a login
// that nobody asked for, the page is read; whatever a person asked for ends in a login or in a page that says why not.

func anonymous(c *forwardauth.Config) { c.WithoutSession = forwardauth.WithoutSessionAnonymous }

// readsOn visits a page and fails unless the app answers it for a stranger, within a few steps.
func (b *browser) readsOn(path string) answer {
	b.t.Helper()
	a := b.visit(path)
	if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.text, "app: GET "+strings.TrimSuffix(strings.TrimSuffix(path, "?_vipps=anonymous"), "&_vipps=anonymous")+" ") || !strings.Contains(a.text, " auth=anonymous name=") || len(b.trail) > 6 {
		b.t.Errorf("%s: %d %.200s\n%s", path, a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	return a
}

// Attack: a stranger reads a page with identity headers of their own. The answer that lets them pass has every one of them,
// empty, so that what a proxy copies clears what the client sent.
func TestSec_B007_AnonymousAnswerClearsEveryHeader(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	b := l.browser()
	for endpoint, h := range map[string]http.Header{"forward-auth": l.judged("/read"), "auth-request": l.original("/read")} {
		h["Sec-Fetch-Mode"] = []string{"no-cors"} // of what a page loads, which is never sent to log in
		h["X-Vipps-Sub"] = []string{"somebody"}
		a := b.send("GET", "/_vipps/authz/"+endpoint, h, "")
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", endpoint, a.StatusCode)
		}
		for _, name := range l.engine.HeaderNames() {
			want := ""
			if name == "X-Vipps-Auth" {
				want = "anonymous"
			}
			if got := a.Header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", endpoint, name, got)
			}
		}
	}
}

// A browser that refuses all cookies: no attempt can be remembered, so the address of the page says that one was made.
// Each page costs one attempt, and none goes round.
func TestAnonymousReaderRefusesCookies(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{emulator.NoDialogHit, emulator.NoDialogMiss} {
		l := newLab(t, anonymous)
		l.silent(mode)
		b := l.browser()
		b.deny = true
		for range 3 {
			for path, marked := range map[string]string{"/read": "/read?_vipps=anonymous", "/read?a=b&c": "/read?a=b&c&_vipps=anonymous"} {
				b.readsOn(path)
				if last := b.trail[len(b.trail)-1]; last != l.site.URL+marked || b.passed("/oauth2/auth") != 1 {
					t.Errorf("%s: ends at %s after %d attempts", mode, last, b.passed("/oauth2/auth"))
				}
				if b.readsOn(marked); len(b.trail) != 1 {
					t.Errorf("%s: a marked page goes through %v", mode, b.trail)
				}
			}
		}
	}
}

// The mark means something in its own place only, and to a reader without a session only.
func TestAnonymousMark(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	l.silent(emulator.NoDialogMiss)
	for _, path := range []string{"/read", "/_vipps=anonymous", "/read?x_vipps=anonymous", "/read?_vipps=anonymous&x", "/read?_vipps=anonymous2"} {
		b := l.browser()
		if b.readsOn(path); b.passed("/oauth2/auth") != 1 {
			t.Errorf("%s: %d silent attempts", path, b.passed("/oauth2/auth"))
		}
	}
	b := l.askedFor("/_vipps/login?rd=" + url.QueryEscape("/read?_vipps=anonymous"))
	if a := b.visit("/read?_vipps=anonymous"); !strings.Contains(a.text, "auth=authenticated name=Åse") {
		t.Errorf("with a session: %s", a.text)
	}
}

// askedFor is a browser in which Åse has asked to be logged in, where nobody has to be.
func (l *lab) askedFor(login string) *browser {
	l.t.Helper()
	l.as(phoneAase)
	b := l.browser()
	if a := b.visit(login); !strings.Contains(a.text, "auth=authenticated name=Åse") {
		l.t.Fatalf("%s ends with %d %s", login, a.StatusCode, a.text)
	}
	return b
}

// Vipps is away before we ever reached it: the site is read, the operator is told, and who asks for a login reads that
// Vipps is away.
func TestAnonymousWhileVippsIsAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	if err := l.vipps.Close(); err != nil {
		t.Fatal(err)
	}
	for _, deny := range []bool{false, true} {
		b := l.browser()
		b.deny = deny
		for range 3 {
			b.readsOn("/read")
		}
		if a := b.post("/_vipps/login", url.Values{"rd": {"/read"}}); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("a click: %d", a.StatusCode)
		}
	}
	if l.log.FilterMessage("login failed").Len() == 0 {
		t.Error("nothing in the log")
	}
}

// Vipps knows the browser and says so, and then its token endpoint is down: no page in a reader's way, one line in the
// log, and no second attempt at the next page.
func TestAnonymousSilentHitThatFails(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	l.silent(emulator.NoDialogHit)
	for _, endpoint := range []string{emulator.EndpointToken, emulator.EndpointUserinfo} {
		if err := l.vipps.Control().FailNext(endpoint, 1, http.StatusServiceUnavailable, ""); err != nil {
			t.Fatal(err)
		}
		before := l.log.FilterMessage("login failed").Len()
		b := l.browser()
		b.readsOn("/read")
		if n := l.log.FilterMessage("login failed").Len() - before; n != 1 || b.cookie("vippsauth") != "" {
			t.Errorf("%s: %d lines in the log, session %q", endpoint, n, b.cookie("vippsauth"))
		}
		if b.readsOn("/read"); len(b.trail) != 1 {
			t.Errorf("%s: the next page goes through %v", endpoint, b.trail)
		}
		l.clock.advance(16 * time.Minute)
		if a := b.visit("/read"); !strings.Contains(a.text, "auth=authenticated") {
			t.Errorf("%s: after silent_retry: %s", endpoint, a.text)
		}
	}
}

// Whoever clicked and comes back without the attempt's cookie, in another browser after the app or from an old tab, still
// ends logged in, and not on the page as a stranger. Nobody who hadn't clicked does.
func TestAnonymousClickThatLosesItsCookie(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	l.as(phoneAase)
	for name, start := range map[string]func(b *browser) answer{
		"link":   func(b *browser) answer { return b.send("GET", "/_vipps/login?rd=/a", navigation(), "") },
		"button": func(b *browser) answer { return b.post("/_vipps/login", url.Values{"rd": {"/a"}}) },
	} {
		b := l.browser()
		b.readsOn("/a") // a silent miss is remembered: the click goes to the full login
		callback := b.onTheWay(start(b))
		other := l.browser()
		if a := other.visit(callback); !strings.Contains(a.text, "app: GET /a auth=authenticated name=Åse") {
			t.Errorf("%s: ends with %d %s\n%s", name, a.StatusCode, a.text, strings.Join(other.trail, "\n"))
		}
	}
	other := l.browser()
	if a := other.visit(l.browser().begin("/a")); !strings.Contains(a.text, "app: GET /a auth=anonymous") || other.passed("/oauth2/auth") != 0 {
		t.Errorf("nobody clicked: %s\n%s", a.text, strings.Join(other.trail, "\n"))
	}
}

// A person who clicked and then says no, or whose login fails, reads why. A silent attempt whose person isn't allowed in
// is their business too: they are told who we take them for.
func TestAnonymousClickIsAnswered(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	b := l.browser()
	b.readsOn("/a")
	if err := l.vipps.Control().Deny("access_denied"); err != nil {
		t.Fatal(err)
	}
	if a := b.click("/_vipps/login", url.Values{"rd": {"/a"}}); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, offersLogin) {
		t.Errorf("a person's no: %d %s", a.StatusCode, a.text)
	}
	b.readsOn("/a")
}

// Crawlers, feed readers, link previews, prefetches and scripts read the page at once: no redirect, no cookie, nothing
// for a cache to keep, and no login started at Vipps.
func TestAnonymousCrawlers(t *testing.T) {
	t.Parallel()
	l := newLab(t, anonymous)
	l.silent(emulator.NoDialogHit)
	for name, h := range map[string]http.Header{
		"search engine": {"Accept": {"text/html,application/xhtml+xml,*/*"}, "User-Agent": {"Crawler/1.0 (+https://crawler.example/)"}},
		"curl":          {"Accept": {"*/*"}},
		"nothing said":  {},
		"fetch":         {"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}},
		"image":         {"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}, "Accept": {"image/*"}},
		"prefetch":      {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Purpose": {"prefetch"}, "Accept": {"text/html"}},
		"frame":         {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Accept": {"text/html"}},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			a := l.browser().send(method, "/read", h, "")
			if a.StatusCode != http.StatusOK || len(a.Header["Set-Cookie"]) != 0 || a.Header.Get("Location") != "" || l.last().Header.Get("X-Vipps-Auth") != "anonymous" {
				t.Errorf("%s, %s: %d %v", name, method, a.StatusCode, a.Header)
			}
		}
	}
	if calls := l.vipps.Control().Calls()[emulator.EndpointAuthorize]; calls != 0 {
		t.Errorf("%d logins were started", calls)
	}
}

// The login page remembers a miss, and whoever judges requests can't read it: another replica's key, or a proxy that asks
// without cookies. The page is read all the same, and nothing goes round.
func TestAnonymousWhereTheHintIsNotSeen(t *testing.T) {
	t.Parallel()
	other, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, anonymous)
	l.silent(emulator.NoDialogMiss)
	second := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = session.Keys{other} })
	l.takeTurns(func(path string) http.Handler {
		if strings.HasPrefix(path, "/_vipps/") {
			return l.one
		}
		return second
	})
	b := l.browser()
	for range 2 {
		if a := b.visit("/read"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "app: GET /read auth=anonymous") || len(b.trail) > 8 {
			t.Errorf("%d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
		}
	}
}
