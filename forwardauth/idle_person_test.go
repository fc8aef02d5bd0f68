package forwardauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: a counter where people take turns, with a short session_idle. Per has logged in there; Vipps remembers Åse, who
// was there before him. He comes back from lunch and clicks on: his session is over, the silent login finds her, and he works
// on as somebody else without noticing. The browser still has his session: who is found silently in its place is asked about.
func TestSec_D35_SilentLoginAfterAnIdleSessionOfAnother(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmAlways} {
		l := newLab(t, func(c *forwardauth.Config) {
			c.SessionIdle, c.SilentRetry, c.ConfirmPerson = time.Hour, time.Minute, confirm
		})
		l.silent("error:login_required")
		l.as(phonePer)
		b := l.browser()
		a := b.visit("/")
		if confirm == forwardauth.ConfirmAlways {
			a = b.click("/_vipps/result", saying(tokenOf(a), "continue"))
		}
		if !strings.Contains(a.text, "name=Per") {
			t.Fatalf("Per's login: %s", a.text)
		}
		l.as(phoneAase)
		l.silent(emulator.NoDialogHit)
		l.clock.advance(61 * time.Minute)
		if a = b.visit("/cash"); !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Åse Ø.") {
			t.Fatalf("%s: nobody is asked: %d %s", confirm, a.StatusCode, a.text)
		}
		if a = b.click("/_vipps/result", saying(tokenOf(a), "other")); !strings.Contains(a.text, offersLogin) {
			t.Errorf("%s: not me: %s", confirm, a.text)
		}
	}

	// It is no bother to those who come back as themselves.
	l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	b.visit("/")
	l.clock.advance(61 * time.Minute)
	if a := b.visit("/cash"); !strings.Contains(a.text, "app: GET /cash auth=authenticated name=Åse") || b.passed("/oauth2/auth") != 1 {
		t.Errorf("the same person: %d %v", a.StatusCode, b.trail)
	}
}

// An operator sets session_idle after an incident: it holds for the sessions that there are, which knew no such limit. Those
// in use go on.
func TestSec_D17_SessionIdleHoldsForOldSessions(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	unused, used := l.loggedIn(phoneAase), l.loggedIn(phonePer)
	value := unused.cookie("vippsauth")
	idle := newReplica(t, l, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
	l.takeTurns(func(string) http.Handler { return idle })
	l.clock.advance(40 * time.Minute)
	if !l.opens(value) {
		t.Error("it ends before its time")
	}
	if a := used.visit("/x"); !strings.Contains(a.text, "GET /x auth=authenticated name=Per") || used.passed("/_vipps/login") != 1 || used.passed("/oauth2/auth") != 0 {
		t.Errorf("a session in use isn't renewed: %v", used.trail)
	}
	l.clock.advance(21 * time.Minute)
	if l.opens(value) {
		t.Error("a session that nobody used for an hour passes")
	}
	if !l.opens(used.cookie("vippsauth")) {
		t.Error("a session in use ends")
	}
}

// Attack: the same where Per's session was ended from outside: by whoever runs the site, or at another replica, of which this
// browser knows nothing.
func TestSec_D35_SilentLoginAfterAnEndedSessionOfAnother(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phonePer)
	elsewhere := l.browser()
	elsewhere.setCookie("vippsauth", b.cookie("vippsauth"))
	elsewhere.post("/_vipps/logout", nil)
	l.as(phoneAase)
	l.silent(emulator.NoDialogHit)
	if a := b.visit("/cash"); !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Åse Ø.") {
		t.Errorf("nobody is asked: %d %s", a.StatusCode, a.text)
	}
}

// Attack: while somebody is at Vipps, a session comes into the browser of which this process knows nothing, by a login at
// another replica. Who continues is asked when it is another person's, and isn't when it is their own.
func TestSec_D35_SessionOfAnotherReplica(t *testing.T) {
	t.Parallel()
	for _, silent := range []string{forwardauth.SilentFirst, forwardauth.SilentOff} {
		for phone, asked := range map[string]bool{phonePer: true, phoneAase: false} {
			l := newLab(t, func(c *forwardauth.Config) { c.Silent = silent })
			other := l.loggedIn(phone).cookie("vippsauth")
			l.as(phoneAase)
			l.silent(emulator.NoDialogHit)
			b := l.browser()
			callback := b.onTheWay(b.post("/_vipps/login", url.Values{"rd": {"/one"}}))
			b.setCookie("vippsauth", other)
			a := b.visit(callback)
			if strings.Contains(a.text, asksWho) != asked || !asked && (b.passed("/_vipps/result") != 0 || !strings.Contains(a.text, "app: GET /one auth=authenticated name=Åse")) {
				t.Errorf("silent %s, over a session of %s: %d %s\n%v", silent, phone, a.StatusCode, a.text, b.trail)
			}
		}
	}
}
