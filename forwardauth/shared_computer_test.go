package forwardauth_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The stories of this file happen at one browser that several people use: a library's, a club's, a family's.

const (
	asksToLogOut  = `action="/_vipps/logout"`
	offersLogin   = `action="/_vipps/login"`
	saysLoggedOut = "<h1>You are logged out</h1>"
	asksWho       = `name="choice" value="continue"`
)

// onTheWay follows an answer as far as the callback that the provider answers with, and doesn't go there.
func (b *browser) onTheWay(a answer) (callback string) {
	b.t.Helper()
	for range 6 {
		location, err := a.Request.URL.Parse(a.Header.Get("Location"))
		if err != nil || a.Header.Get("Location") == "" {
			b.t.Fatalf("%s: %d %v", a.Request.URL, a.StatusCode, err)
		}
		if location.Path == "/_vipps/callback" {
			return location.String()
		}
		a = b.send("GET", location.String(), navigation(), "")
	}
	b.t.Fatal("no callback came")
	return ""
}

// tab is the same browser in another tab, as it was when that tab sent its request: it gets what the browser has by
// then, and late hands over what came for it later than everything else.
func (b *browser) tab() *browser {
	other := b.lab.browser()
	for host := range b.cookies {
		other.cookies[host] = maps.Clone(b.jar(host))
	}
	return other
}

// late hands the attempts of another tab over: their answers came after the answer to a logout, which could not clear
// what the browser did not have yet.
func (b *browser) late(from *browser) {
	for name, value := range from.own() {
		if strings.HasPrefix(name, "vippsauth-login-") {
			b.setCookie(name, value)
		}
	}
}

// opens reports whether this value of the session cookie lets a request pass, for whoever has it.
func (l *lab) opens(value string) bool {
	l.t.Helper()
	thief := l.browser()
	thief.setCookie("vippsauth", value)
	return thief.send("GET", "/", http.Header{}, "").StatusCode == http.StatusOK
}

func tokenOf(a answer) string { return between(a.text, `name="token" value="`, `"`) }

func saying(token, choice string) url.Values {
	return url.Values{"token": {token}, "choice": {choice}}
}

// both is a request with the session cookies of two people.
func both(h http.Header, one, two string) http.Header {
	h["Cookie"] = []string{"vippsauth=" + one + "; vippsauth=" + two}
	return h
}

func ownForm() http.Header {
	h := navigation()
	h.Set("Sec-Fetch-Site", "same-origin")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return h
}

// Attack: somebody sends the person before to the logout page when there is nothing to log out, it says "You are logged
// out", and Vipps and the app still know them. Only a logout earns that page.
func TestLoggedOutPageOnlyAfterALogout(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	if a := l.browser().visit("/_vipps/logout"); strings.Contains(a.text, saysLoggedOut) || !strings.Contains(a.text, asksToLogOut) {
		t.Errorf("a stranger reads: %s", a.text)
	}
	b := l.loggedIn(phoneAase)
	if a := b.click("/_vipps/logout", nil); !strings.Contains(a.text, saysLoggedOut) {
		t.Errorf("after the logout: %s", a.text)
	}
	a := b.click("/_vipps/login", nil)
	b.click("/_vipps/result", saying(tokenOf(a), "continue"))
	l.clock.advance(9 * time.Hour)
	if a := b.visit("/_vipps/logout"); b.cookie("vippsauth") != "" || strings.Contains(a.text, saysLoggedOut) || !strings.Contains(a.text, asksToLogOut) {
		t.Errorf("with a session that just ended: %s", a.text)
	}
}

// Attack: her session with us is over by itself, the app's is not. She clicks the app's logout link and walks away; who
// sits down next is still her to the app, or is logged in as her silently.
func TestLogoutAfterTheSessionEnded(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{forwardauth.WithoutSessionLogin, forwardauth.WithoutSessionAnonymous} {
		for _, path := range []string{"/logout.php?x=1", "/_vipps/logout"} {
			l := newLab(t, func(c *forwardauth.Config) {
				c.AppCookies, c.SessionTTL, c.LogoutPaths = []string{"PHPSESSID"}, time.Hour, []string{"/logout.php"}
				c.WithoutSession = mode
			})
			l.silent(emulator.NoDialogHit)
			b := l.browser()
			b.visit("/_vipps/login?rd=/")
			b.setCookie("PHPSESSID", "hers")
			l.clock.advance(61 * time.Minute)
			hits := l.hits()
			if a := b.visit(path); b.cookie("vippsauth") != "" || !strings.Contains(a.text, asksToLogOut) || strings.Contains(a.text, saysLoggedOut) || l.hits() != hits {
				t.Fatalf("%s %s: %d %s", mode, path, a.StatusCode, a.text)
			}
			if a := b.click("/_vipps/logout", nil); b.cookie("PHPSESSID") != "" || !strings.Contains(a.text, saysLoggedOut) {
				t.Errorf("%s %s: the app keeps %q", mode, path, b.cookie("PHPSESSID"))
			}
			if a := b.visit("/"); strings.Contains(a.text, "auth=authenticated") || b.passed("/oauth2/auth") != 0 {
				t.Errorf("%s %s: the next visit: %s %v", mode, path, a.text, b.trail)
			}
			if a := b.visit("/_vipps/login"); !strings.Contains(a.text, offersLogin) || b.passed("/oauth2/auth") != 0 {
				t.Errorf("%s %s: the next login: %s %v", mode, path, a.text, b.trail)
			}
		}
	}
}

// Attack: a neighbouring site plants a second cookie of the name, so that a person works in the session of another.
// Two people at once are nobody; a login starts clean, and a logout ends both.
func TestSec_C031_TwoPeopleAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	aase, per := l.loggedIn(phoneAase).cookie("vippsauth"), l.loggedIn(phonePer).cookie("vippsauth")
	b := l.browser()
	hits := l.hits()
	if a := b.send("GET", "/", both(http.Header{}, aase, per), ""); a.StatusCode != http.StatusUnauthorized || l.hits() != hits {
		t.Errorf("two people: %d %s", a.StatusCode, a.text)
	}
	if a := b.send("GET", "/_vipps/me", both(http.Header{}, aase, per), ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("/_vipps/me: %d %s", a.StatusCode, a.text)
	}
	cleared := func(a answer) bool {
		return strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), "vippsauth=; Path=/; Max-Age=0")
	}
	if a := b.send("GET", "/_vipps/login?rd=/", both(navigation(), aase, per), ""); !cleared(a) {
		t.Errorf("a login keeps both: %v", a.Header["Set-Cookie"])
	}
	if !l.opens(aase) || !l.opens(per) {
		t.Fatal("neither asked to be logged out so far")
	}
	if a := b.send("GET", "/_vipps/logout", both(navigation(), aase, per), ""); !strings.Contains(a.text, asksToLogOut) {
		t.Errorf("the logout page: %s", a.text)
	}
	if a := b.send("POST", "/_vipps/logout", both(ownForm(), aase, per), ""); !cleared(a) || l.opens(aase) || l.opens(per) {
		t.Errorf("after the logout Åse's cookie opens: %t, Per's: %t; set %v", l.opens(aase), l.opens(per), a.Header["Set-Cookie"])
	}
}

// Attack: "Continue as Åse" stands open in a second tab. She logs out, or says "not me", in the first one and leaves;
// whoever comes next clicks the button in the second. It makes nobody's session, even when the cookie of the waiting
// login reaches the browser after the logout has cleared it.
func TestPendingConfirmationEndsAtLogout(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(b *browser, token string){
		"logout": func(b *browser, token string) {
			b.click("/_vipps/result", saying(token, "continue"))
			b.post("/_vipps/logout", nil)
		},
		"not me": func(b *browser, token string) { b.click("/_vipps/result", saying(token, "other")) },
	} {
		for _, late := range []bool{false, true} {
			l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmAlways })
			l.as(phoneAase)
			b := l.browser()
			first := tokenOf(b.visit("/p"))
			waiting := b.tab()
			second := tokenOf(b.visit("/q"))
			leave(b, second)
			for cookie := range b.own() {
				if strings.HasPrefix(cookie, "vippsauth-login-") {
					t.Errorf("%s: the browser keeps %s", name, cookie)
				}
			}
			if late {
				b.late(waiting)
			}
			l.silent(emulator.NoDialogHit)
			a := b.click("/_vipps/result", saying(first, "continue"))
			if b.cookie("vippsauth") != "" || b.passed("/oauth2/auth") != 0 || strings.Contains(a.text, "app:") {
				t.Errorf("%s, late %t: the button ends with %d %s", name, late, a.StatusCode, a.text)
			}
		}
	}
}

// Attack: a silent attempt of a restored tab is on its way while she logs out, and its answer logs her in again behind
// her back. Nobody clicked, so the logout wins, whatever confirm_person says and whichever request came first.
func TestSilentAttemptGivesWayToALogout(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmNever, forwardauth.ConfirmAlways} {
		for _, late := range []bool{false, true} {
			l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = confirm })
			l.silent(emulator.NoDialogHit)
			b := l.browser()
			callback := b.begin("/tab1")
			restored := b.tab()
			b.visit("/tab2")
			b.post("/_vipps/logout", nil)
			if late {
				b.late(restored)
			}
			a := b.visit(callback)
			if b.cookie("vippsauth") != "" || !strings.Contains(a.text, offersLogin) || b.passed("/oauth2/auth") != 0 {
				t.Errorf("confirm_person %s, late %t: %d %s", confirm, late, a.StatusCode, a.text)
			}
		}
	}
}

// Attack: the same with a login that she did click before the logout in another tab: the one who comes back from the
// provider may be the next person at the keyboard. A page asks, also when a login since has ended the waiting.
func TestClickedLoginAcrossALogoutAsks(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		l := newLab(t, func(c *forwardauth.Config) { c.Silent = forwardauth.SilentOff })
		l.as(phoneAase)
		b := l.browser()
		callback := b.onTheWay(b.post("/_vipps/login", url.Values{"rd": {"/tab1"}}))
		clicked := b.tab()
		b.visit("/tab2")
		l.clock.advance(time.Second)
		b.post("/_vipps/logout", nil)
		if again {
			a := b.click("/_vipps/login", nil)
			b.click("/_vipps/result", saying(tokenOf(a), "continue"))
		}
		b.late(clicked)
		before := b.cookie("vippsauth")
		a := b.send("GET", callback, navigation(), "")
		if !strings.Contains(a.Header.Get("Location"), "/_vipps/result?t=") || b.cookie("vippsauth") != before {
			t.Errorf("logged in again %t: the callback goes on to %s, session changed %t", again, a.Header.Get("Location"), b.cookie("vippsauth") != before)
		}
		if a = b.follow(a, callback); !again && (!strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Åse Ø.")) {
			t.Errorf("no page asks who continues: %s", a.text)
		}
	}
}

// The start of the login reached us just after the logout, from a tab that did not know of it yet. A click is still asked
// about; what nobody clicked makes no session by itself.
func TestLoginThatStartsWhileLoggingOut(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Silent = forwardauth.SilentOff })
	l.as(phoneAase)
	b := l.loggedIn(phoneAase)
	other := l.browser() // knows nothing of the logout
	b.post("/_vipps/logout", nil)
	l.clock.advance(time.Second)
	callback := other.onTheWay(other.post("/_vipps/login", url.Values{"rd": {"/tab1"}}))
	b.late(other)
	if a := b.visit(callback); b.cookie("vippsauth") != "" || !strings.Contains(a.text, asksWho) {
		t.Errorf("ends with %d %s", a.StatusCode, a.text)
	}
}

// Attack: Per logs in while a silent attempt of the tab before him is on its way, and works on as Åse without noticing.
func TestSilentAttemptNeverReplacesAnotherPerson(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab1")
	l.silent("error:login_required")
	l.as(phonePer)
	if a := b.click("/_vipps/login", url.Values{"rd": {"/tab2"}}); !strings.Contains(a.text, "name=Per") {
		t.Fatalf("Per's login: %s", a.text)
	}
	per := b.cookie("vippsauth")
	if a := b.visit(callback); !strings.Contains(a.text, "app: GET /tab1 auth=authenticated name=Per") || b.cookie("vippsauth") != per || b.passed("/_vipps/result") != 0 {
		t.Errorf("the silent attempt ends with %s after %v", a.text, b.trail)
	}
	if !l.opens(per) {
		t.Error("Per was logged out by it")
	}
}

// Attack: a full login of another person, begun before Åse's, comes back over her live session. It asks first; "not me"
// leaves her session as it is; "continue" ends it for good.
func TestFullLoginOverAnotherPersonAsks(t *testing.T) {
	t.Parallel()
	for _, choice := range []string{"other", "continue"} {
		l := newLab(t, func(c *forwardauth.Config) {
			c.Silent, c.ConfirmPerson = forwardauth.SilentOff, forwardauth.ConfirmAfterLogout
		})
		l.as(phonePer)
		b := l.browser()
		callback := b.begin("/tab1")
		l.as(phoneAase)
		b.visit("/tab2")
		aase := b.cookie("vippsauth")
		a := b.visit(callback)
		if !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Per Uten A.") || b.cookie("vippsauth") != aase {
			t.Fatalf("no page asks: %d %s", a.StatusCode, a.text)
		}
		a = b.click("/_vipps/result", saying(tokenOf(a), choice))
		if choice == "other" && (!strings.Contains(a.text, "app: GET /tab1 auth=authenticated name=Åse") || b.cookie("vippsauth") != aase || !l.opens(aase)) {
			t.Errorf("not me: %s, her session %t", a.text, l.opens(aase))
		}
		if choice == "other" { // and nobody was logged out by it
			l.clock.advance(9 * time.Hour)
			if a := b.visit("/_vipps/logout"); !strings.Contains(a.text, asksToLogOut) {
				t.Errorf("not me counts as her logout: %s", a.text)
			}
			continue
		}
		if !strings.Contains(a.text, "name=Per") || l.opens(aase) {
			t.Errorf("continue: %s, her session is still good: %t", a.text, l.opens(aase))
		}
	}
}

// A tab waits on one of our pages that goes on by itself, and is reloaded when somebody else has logged in since, or
// when everybody has been logged out. It starts no login over the one, nor behind the other's back.
func TestWaitingTabRespectsWhatHappenedSince(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	a := b.send("GET", b.begin("/tab1"), navigation(), "") // a silent miss
	full := a.Header.Get("Location")
	lost := l.browser().send("GET", l.browser().begin("/tab0"), navigation(), "").Header.Get("Location")
	l.as(phonePer)
	b.click("/_vipps/login", url.Values{"rd": {"/tab2"}})
	for _, waiting := range []string{full, full, lost} {
		if a := b.visit(waiting); !strings.Contains(a.text, "name=Per") || b.passed("/oauth2/auth") != 0 {
			t.Errorf("over Per's session: %d %s %v", a.StatusCode, a.text, b.trail)
		}
	}
	b.post("/_vipps/logout", nil)
	l.silent(emulator.NoDialogHit)
	for _, waiting := range []string{full, full, lost} {
		if a := b.visit(waiting); !strings.Contains(a.text, offersLogin) || b.passed("/oauth2/auth") != 0 || b.cookie("vippsauth") != "" {
			t.Errorf("after the logout: %d %s %v", a.StatusCode, a.text, b.trail)
		}
	}
}

// "Continue as Åse" works once, also for a copy of the browser's cookies, and for ten minutes.
func TestConfirmationWorksOnceAndNotForLong(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmAlways })
	l.as(phoneAase)
	b := l.browser()
	token := tokenOf(b.visit("/p"))
	copied := b.tab()
	if a := b.click("/_vipps/result", saying(token, "continue")); !strings.Contains(a.text, "app: GET /p") {
		t.Fatalf("continuing: %s", a.text)
	}
	if a := copied.post("/_vipps/result", saying(token, "continue")); a.StatusCode != http.StatusBadRequest || copied.cookie("vippsauth") != "" {
		t.Errorf("the second answer: %d, session %q", a.StatusCode, copied.cookie("vippsauth"))
	}

	b = l.browser()
	token = tokenOf(b.visit("/p"))
	l.clock.advance(11 * time.Minute)
	if a := b.post("/_vipps/result", saying(token, "continue")); a.StatusCode != http.StatusBadRequest || b.cookie("vippsauth") != "" {
		t.Errorf("eleven minutes later: %d, session %q", a.StatusCode, b.cookie("vippsauth"))
	}
}

// Attack: after a logout somebody clicks, gives up at the provider, and comes back: from the click until there is a
// session nothing is silent, or Vipps' memory of the person before would log them in.
func TestNothingIsSilentBetweenLogoutAndSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	l.clock.advance(time.Hour) // no silent miss is remembered any more
	b.post("/_vipps/logout", nil)
	l.silent(emulator.NoDialogHit)
	b.post("/_vipps/login", url.Values{"rd": {"/p"}})
	a := b.visit("/p")
	if b.asked(0).Has("requested_flow") || !strings.Contains(a.text, asksWho) || b.cookie("vippsauth") != "" {
		t.Errorf("silent %t, ends with %d %s", b.asked(0).Has("requested_flow"), a.StatusCode, a.text)
	}
}
