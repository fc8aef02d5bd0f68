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

// The stories of this file end in a page that says something, and never in a browser's "too many redirects".

// A browser that has a session and stores no cookies any more (a full disk, a private window that was restored) is sent
// to renew it once a minute, and reads on in between.
func TestSec_D24_RenewalThatTheBrowserDoesNotKeep(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
	b := l.loggedIn(phoneAase)
	l.clock.advance(40 * time.Minute)
	b.deny = true
	for minute := range 3 {
		for visit := range 4 {
			a := b.visit("/x")
			if !strings.Contains(a.text, "app: GET /x auth=authenticated") || b.passed("/oauth2/auth") != 0 || b.passed("/_vipps/login") > 1 {
				t.Fatalf("minute %d, visit %d: %d\n%s", minute, visit, a.StatusCode, strings.Join(b.trail, "\n"))
			}
			if asked := b.passed("/_vipps/login") == 1; asked != (visit == 0) {
				t.Errorf("minute %d, visit %d: sent to renew %t", minute, visit, asked)
			}
		}
		l.clock.advance(time.Minute)
	}
}

// A tab that waited at the provider for 45 minutes comes back when the browser has dropped the attempt's cookie: the
// login starts again, once, and ends on the page asked for. A second loss is a page.
func TestOldTabRestartsOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab?x=1")
	l.clock.advance(45 * time.Minute)
	if len(b.own()) != 0 {
		t.Fatalf("the browser keeps %v", b.own())
	}
	if a := b.visit(callback); !strings.Contains(a.text, "app: GET /tab?x=1 auth=authenticated") || b.passed("/oauth2/auth") != 1 {
		t.Errorf("ends with %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}

	b = l.browser()
	callback = b.begin("/tab")
	b.deny = true
	clear(b.own())
	if a := b.visit(callback); a.StatusCode != http.StatusBadRequest || b.passed("/oauth2/auth") != 1 || !strings.Contains(a.text, "going in circles") {
		t.Errorf("a second loss ends with %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
}

// Searches and saved filters make long addresses. Every one that we accept is one that we come back to, through a silent
// miss, the full login and "Continue as …" as well.
func TestLongReturnURLs(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmAlways} {
		l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = confirm })
		l.as(phoneAase)
		for _, length := range []int{170, 190, 1000, 1500, 1900, 1999, 2000, 2040, 2048} {
			uri := "/p?q=" + strings.Repeat("a", length-5)
			b := l.browser()
			a := b.visit(uri)
			if confirm == forwardauth.ConfirmAlways {
				if !strings.Contains(a.text, asksWho) {
					t.Errorf("%d bytes, confirm_person %s: %d %.200s", length, confirm, a.StatusCode, a.text)
					continue
				}
				a = b.click("/_vipps/result", saying(tokenOf(a), "continue"))
			}
			if !strings.HasPrefix(a.text, "app: GET "+uri+" auth=authenticated") {
				t.Errorf("%d bytes, confirm_person %s: %d %.200s", length, confirm, a.StatusCode, a.text)
			}
		}
	}
}

// Attack: a page with five images or links to our login, each with as long a return URL as we take, stuffs the browser
// with attempts until a proxy refuses its Cookie header, 8 KiB in most, and the site is gone for this person.
func TestSec_B012_C033_LinksLeaveRoomForCookies(t *testing.T) {
	t.Parallel()
	for _, length := range []int{10, 600, 1500, 2048} {
		l := newLab(t, nil)
		l.silent(emulator.NoDialogHit)
		b := l.browser()
		rd := url.QueryEscape("/p?q=" + strings.Repeat("a", length-5))
		for range 5 {
			l.clock.advance(time.Second)
			if a := b.send("GET", "/_vipps/login?rd="+rd, navigation(), ""); a.StatusCode != http.StatusFound {
				t.Fatalf("%d: %d", length, a.StatusCode)
			}
		}
		size := 0
		for name, value := range b.own() {
			size += len(name) + len(value) + len("=; ")
		}
		if size >= 7<<10 {
			t.Errorf("five links of %d bytes leave %d bytes of cookies", length, size)
		}
		if a := b.visit("/"); a.StatusCode != http.StatusOK {
			t.Errorf("%d: the site itself: %d", length, a.StatusCode)
		}
	}
}

// A person with long claims has a session of two cookies. After a logout "Continue as …" holds it in one of its own, and
// works, beside a long return URL too, every time.
func TestBigSessionIsConfirmed(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	if err := l.vipps.Control().AddPerson(emulator.Person{
		ID: "kari-big", Phone: "4790000077", Name: "Kari N", GivenName: "Kari", FamilyName: strings.Repeat("N", 3000),
	}); err != nil {
		t.Fatal(err)
	}
	b := l.loggedIn("4790000077")
	if b.cookie("vippsauth.1") == "" {
		t.Fatalf("the session is in one cookie of %d bytes", len(b.cookie("vippsauth")))
	}
	for round := range 3 {
		first, second := b.cookie("vippsauth"), b.cookie("vippsauth.1")
		b.post("/_vipps/logout", nil)
		if b.cookie("vippsauth") != "" || b.cookie("vippsauth.1") != "" {
			t.Errorf("a logout leaves %v", b.own())
		}
		b.setCookie("vippsauth", first)
		b.setCookie("vippsauth.1", second)
		if a := b.send("GET", "/", http.Header{}, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("the cookies that were logged out: %d", a.StatusCode)
		}
		a := b.click("/_vipps/login", url.Values{"rd": {"/?q=" + strings.Repeat("a", 900)}})
		if !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Kari N.") {
			t.Fatalf("round %d: %d %.300s", round, a.StatusCode, a.text)
		}
		if a = b.click("/_vipps/result", saying(tokenOf(a), "continue")); !strings.Contains(a.text, "auth=authenticated name=Kari N") || b.cookie("vippsauth.1") == "" {
			t.Fatalf("round %d: continuing ends with %d %.300s", round, a.StatusCode, a.text)
		}
	}
}

// The loop page has a button. Whoever clicks it, looks at the provider's page and comes back by the address bar is at no
// third round: the click has begun the count anew.
func TestClickResetsTheRounds(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	for range 2 {
		b.setCookie("vippsauth", "")
		b.visit(b.begin("/"))
	}
	b.setCookie("vippsauth", "")
	if a := b.visit("/"); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.text, "going in circles") {
		t.Fatalf("the third round: %d %s", a.StatusCode, a.text)
	}
	b.post("/_vipps/login", url.Values{"rd": {"/"}})
	if a := b.visit("/"); !strings.Contains(a.text, "auth=authenticated") {
		t.Errorf("after the click: %d %s", a.StatusCode, a.text)
	}
}

// One round that is lost and mended is no loop: within a minute people close windows and clear cookies.
func TestTwoLoginsInAMinuteAreNoLoop(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	for visit := range 6 {
		b.setCookie("vippsauth", "")
		if a := b.visit("/"); a.StatusCode != http.StatusOK {
			t.Fatalf("visit %d: %d %v", visit, a.StatusCode, b.trail)
		}
		l.clock.advance(31 * time.Second)
	}
}

// nginx asks twice about one navigation: auth-request says 401, and challenge, a moment later, where to go. A renewal
// that is due must not be spent on the first of them.
func TestSec_D26_RenewalBehindNginx(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
	b := l.loggedIn(phoneAase)
	l.clock.advance(40 * time.Minute)
	if a := b.send("GET", "/_vipps/authz/auth-request", l.original("/x"), ""); a.StatusCode != http.StatusUnauthorized {
		t.Fatalf("auth-request: %d", a.StatusCode)
	}
	a := b.send("GET", "/_vipps/authz/challenge", l.original("/x"), "")
	if want := l.site.URL + "/_vipps/login?rd=%2Fx"; a.StatusCode != http.StatusFound || a.Header.Get("Location") != want {
		t.Fatalf("challenge: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	old := b.cookie("vippsauth")
	if a = b.visit(a.Header.Get("Location")); !strings.Contains(a.text, "app: GET /x") || b.cookie("vippsauth") == old {
		t.Errorf("ends with %d %s; renewed: %t", a.StatusCode, a.text, b.cookie("vippsauth") != old)
	}
}

// On a site that is read anonymously the app itself may send people to the login page. When the session doesn't stick,
// that goes round like any other login.
func TestSec_D24_AppThatSendsToTheLogin(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.WithoutSession = forwardauth.WithoutSessionAnonymous })
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	for range 6 {
		b.setCookie("vippsauth", "")
		if a := b.visit("/_vipps/login?rd=/account"); a.StatusCode == http.StatusBadRequest {
			return
		}
	}
	t.Error("six logins in a minute, and no page says why")
}
