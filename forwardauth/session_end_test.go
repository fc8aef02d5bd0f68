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

// The stories of this file are about cookies that somebody has kept: an end must hold for every value that ever stood for
// the session, wherever and whenever it is shown.

// Attack: session_idle renews the cookie, so several values stand for one session. Somebody has copied the first; she
// logs out with the last. All of them end: in the cache and out of it, at once and later, and in an engine that took over
// the State at a reload and had opened them before.
func TestSec_A132_LogoutEndsEveryCookieOfASession(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle, c.State = time.Hour, forwardauth.NewState() })
	other, err := forwardauth.New(l.config)
	if err != nil {
		t.Fatal(err)
	}
	b := l.loggedIn(phoneAase)
	values := []string{b.cookie("vippsauth")}
	for range 2 {
		l.clock.advance(40 * time.Minute)
		b.send("GET", "/_vipps/login?rd=/", navigation(), "")
		values = append(values, b.cookie("vippsauth"))
	}
	if values[0] == values[1] || values[1] == values[2] {
		t.Fatal("the cookie was not renewed")
	}
	judge := func(e *forwardauth.Engine, value string) bool {
		return e.Decide(forwardauth.Original{
			Method: "GET", Host: l.site.Listener.Addr().String(), URI: "/", Header: http.Header{"Cookie": {"vippsauth=" + value}},
		}).Authenticated()
	}
	// The first is past its idle end, the second is in both caches, the third in none.
	if !judge(l.engine, values[1]) || !judge(other, values[1]) {
		t.Fatal("a value that was renewed lives on to its own end")
	}
	b.post("/_vipps/logout", nil)
	for _, later := range []time.Duration{0, 10 * time.Minute, 12 * time.Minute, 30 * time.Minute} {
		l.clock.advance(later)
		for i, value := range values {
			if judge(l.engine, value) || judge(other, value) {
				t.Errorf("value %d, %s later: opens here %t, in the other engine %t", i, later, judge(l.engine, value), judge(other, value))
			}
		}
	}
	l.engine.ForgetOpened()
	if judge(l.engine, values[2]) {
		t.Error("it opens once the cache has forgotten it")
	}
}

// Attack, by accident: the renewal of one tab is on its way while the other tab logs out with the value before. The
// renewed cookie arrives last, and lives longer than the one that was logged out.
func TestRenewalThatArrivesAfterTheLogout(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{false, true} {
		l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
		b := l.loggedIn(phoneAase)
		old := b.cookie("vippsauth")
		l.clock.advance(40 * time.Minute)
		b.send("GET", "/_vipps/login?rd=/", navigation(), "")
		renewed := b.cookie("vippsauth")
		if renewed == old || used && !l.opens(renewed) {
			t.Fatal("not renewed")
		}
		b.setCookie("vippsauth", old)
		b.post("/_vipps/logout", nil)
		for _, later := range []time.Duration{0, 22 * time.Minute, 30 * time.Minute} {
			l.clock.advance(later)
			if l.opens(renewed) {
				t.Errorf("used before %t: opens %s later", used, later)
			}
		}
	}
}

// Attack: with garbage cookies of our name a neighbouring site makes it so many that none counts. The logout must end the
// good one among them all the same.
func TestLogoutWithManyCookiesOfTheName(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for _, garbage := range []string{"1aaaa", "vippsauth"} { // well-formed and not
		value := l.loggedIn(phoneAase).cookie("vippsauth")
		h := ownForm()
		h["Cookie"] = []string{"vippsauth=" + garbage + "a; vippsauth=" + garbage + "b; vippsauth=" + garbage + "c; vippsauth=" + value + "; vippsauth=" +
			garbage + "d; vippsauth=" + garbage + "e"}
		if a := l.browser().send("POST", "/_vipps/logout", h, ""); a.StatusCode != http.StatusSeeOther || l.opens(value) {
			t.Errorf("%d, the session still opens: %t", a.StatusCode, l.opens(value))
		}
	}
}

// Attack: at a shared computer Per goes on where Åse was, and somebody has her cookie. His login ends her session for
// good, also when her cookie was one of two of the name; his own other tabs go on.
func TestLoginEndsTheSessionOfThePersonBefore(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Silent, c.AppCookies = forwardauth.SilentOff, []string{"PHPSESSID"} })
	aase := l.loggedIn(phoneAase).cookie("vippsauth")
	per := l.loggedIn(phonePer).cookie("vippsauth")
	l.as(phonePer)
	b := l.browser()
	callback := b.begin("/")
	h := navigation()
	h["Cookie"] = []string{"vippsauth=" + aase + "; vippsauth=" + per}
	for name, value := range b.own() {
		h["Cookie"][0] += "; " + name + "=" + value
	}
	if a := l.browser().send("GET", callback, h, ""); !strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), "PHPSESSID=; Path=/; Max-Age=0") {
		t.Errorf("the app's cookies, hers or his, stay: %v", a.Header["Set-Cookie"])
	}
	if l.opens(aase) || !l.opens(per) {
		t.Errorf("Åse's cookie opens: %t; Per's: %t", l.opens(aase), l.opens(per))
	}
}

// Attack: she logged out, at another machine with a copy of the session. This browser still has its cookie and the app's.
// Whoever logs in here, were it herself, starts anew: a session that was ended says nothing about whose the app's is.
func TestRevokedSessionIsNobodysAppSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.AppCookies = []string{"PHPSESSID"} })
	b := l.loggedIn(phoneAase)
	b.setCookie("PHPSESSID", "hers")
	b.tab().post("/_vipps/logout", nil)
	if a := b.visit("/"); !strings.Contains(a.text, "name=Åse") || b.passed("/_vipps/callback") == 0 || b.cookie("PHPSESSID") != "" {
		t.Errorf("%s; the app still has %q", a.text, b.cookie("PHPSESSID"))
	}
}

// An operator shortens session_ttl after an incident: it holds for the sessions that there are, and not a minute sooner.
func TestShorterSessionTTLHoldsForOldSessions(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	value := b.cookie("vippsauth")
	shorter := newReplica(t, l, func(c *forwardauth.Config) { c.SessionTTL = time.Hour })
	for _, step := range []struct {
		wait time.Duration
		want bool
	}{{59 * time.Minute, true}, {2 * time.Minute, false}} {
		l.clock.advance(step.wait)
		l.takeTurns(func(string) http.Handler { return shorter })
		if got := l.opens(value); got != step.want {
			t.Errorf("another %s: opens %t", step.wait, got)
		}
		l.takeTurns(nil)
		if !l.opens(value) {
			t.Error("by its own end it is good for eight hours")
		}
	}
}

// Attack: a login attempt's cookie that was kept for a day is no attempt any more, whatever the browser thinks of Max-Age.
// The provider isn't even asked. One that we are to have begun in a future is none either.
func TestSec_A121_B014_C042_AttemptExpires(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{31 * time.Minute, -2 * time.Minute} {
		l := newLab(t, nil)
		l.silent(emulator.NoDialogHit)
		b := l.browser()
		callback := b.begin("/p")
		clear(b.ends) // it keeps everything
		l.clock.advance(wait)
		tokens := l.vipps.Control().Calls()[emulator.EndpointToken]
		a := b.visit(callback)
		if a.StatusCode != http.StatusBadRequest || b.cookie("vippsauth") != "" || l.vipps.Control().Calls()[emulator.EndpointToken] != tokens {
			t.Errorf("%s: %d, session %q", wait, a.StatusCode, b.cookie("vippsauth"))
		}
		if l.log.FilterField(zapString("code", "lost_state")).Len() != 1 || !strings.Contains(a.text, `name="rd" value="/p"`) {
			t.Errorf("%s: the log has %v, the page %s", wait, l.log.All(), a.text)
		}
	}
}

// Attack: a result page's address from the history or a chat starts nothing once it is old: neither a login nor a
// "Continue as Åse". Nor does one from the future.
func TestResultTokenExpires(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{11 * time.Minute, -2 * time.Minute} {
		l := newLab(t, nil)
		b := l.browser()
		full := b.send("GET", b.begin("/p"), navigation(), "").Header.Get("Location")
		if a := b.send("GET", full, navigation(), ""); a.StatusCode != http.StatusFound {
			t.Fatalf("at once: %d", a.StatusCode)
		}
		l.clock.advance(wait)
		if a := b.visit(full); a.StatusCode != http.StatusBadRequest || len(b.trail) != 1 {
			t.Errorf("%s: %d %v", wait, a.StatusCode, b.trail)
		}
	}
}

// A session that says it was issued in the future comes from a clock that was wrong, and would outlive a logout that is
// remembered until its end. It is refused.
func TestSec_C030_B130_SessionFromTheFutureIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	value := l.loggedIn(phoneAase).cookie("vippsauth")
	l.engine.ForgetOpened()
	l.clock.advance(-50 * time.Second)
	if !l.opens(value) {
		t.Error("refused by a clock that is less than a minute behind")
	}
	l.engine.ForgetOpened()
	l.clock.advance(-20 * time.Second)
	if l.opens(value) {
		t.Error("accepted by a clock that is more than a minute behind")
	}
}

// A key that is taken out of cookie_keys ends what it sealed.
func TestSec_C030_D18_RemovedKeyEndsItsSessions(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	value := l.loggedIn(phoneAase).cookie("vippsauth")
	fresh, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]session.Keys{"rotated": {fresh, labKey()}, "removed": {fresh}} {
		replica := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = keys })
		l.takeTurns(func(string) http.Handler { return replica })
		if got := l.opens(value); got != (name == "rotated") {
			t.Errorf("%s: opens %t", name, got)
		}
	}
}

// "Log in as someone else" ends the session before the login begins, also when that is never finished.
func TestSomeoneElseEndsTheSessionAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	value := b.cookie("vippsauth")
	a := b.post("/_vipps/logout", url.Values{"then": {"login"}, "rd": {"/p"}})
	if a.StatusCode != http.StatusSeeOther || !strings.Contains(a.Header.Get("Location"), "/oauth2/auth") || l.opens(value) || b.cookie("vippsauth") != "" {
		t.Errorf("%d to %s, the session still opens: %t", a.StatusCode, a.Header.Get("Location"), l.opens(value))
	}
}

// Two sites on one host name share the browser's cookies, which know no ports: each reads its own only, and a cookie of
// one carried to the other is nobody's.
func TestSec_C030_B077_SitesOnOneHostName(t *testing.T) {
	t.Parallel()
	var second string
	l := newLab(t, func(c *forwardauth.Config) {
		second = "127.0.0.1:1"
		c.PublicURLs = append(c.PublicURLs, "http://"+second)
	})
	b := l.loggedIn(phoneAase)
	value := b.cookie("vippsauth")
	for _, cookie := range []string{"vippsauth=" + value, "vippsauth-1=" + value} {
		h := l.judged("/")
		h.Set("X-Forwarded-Host", second)
		h.Set("Cookie", cookie)
		if a := l.browser().send("GET", "/_vipps/authz/forward-auth", h, ""); a.StatusCode != http.StatusFound || a.Header.Get("X-Vipps-Sub") != "" {
			t.Errorf("the second site with %.14s…: %d", cookie, a.StatusCode)
		}
	}
	h := navigation()
	h.Set("X-Forwarded-Host", second)
	h.Set("X-Forwarded-Proto", "http")
	a := b.send("GET", "/_vipps/login?rd=/", h, "")
	if a.StatusCode != http.StatusFound || b.cookie("vippsauth") != value {
		t.Fatalf("a login at the second site: %d", a.StatusCode)
	}
	for _, line := range a.Header["Set-Cookie"] {
		if !strings.HasPrefix(line, "vippsauth-1-") {
			t.Errorf("the second site sets %s", line)
		}
	}
	if a := b.visit("/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("the first site after that: %d %v", a.StatusCode, b.trail)
	}
}

// The login after a logout asks who continues even if what the browser remembers of the logout is lost on the way:
// another tab's answer may overwrite it.
func TestLoginAfterLogoutAsksWithoutTheHint(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	b.post("/_vipps/logout", nil)
	callback := b.onTheWay(b.post("/_vipps/login", nil))
	b.setCookie("vippsauth-hint", "")
	if a := b.visit(callback); b.cookie("vippsauth") != "" || !strings.Contains(a.text, `name="choice" value="continue"`) {
		t.Errorf("nobody is asked: %d %s", a.StatusCode, a.text)
	}
}
