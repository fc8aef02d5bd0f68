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

// A person who is nobody yet opens a page of an app that knows nothing of login, logs in, and is greeted by name
// on the page asked for. The silent attempt comes first and is not repeated.
func TestFirstLogin(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.as(phoneAase)
	b := l.browser()
	a := b.visit("/orders?page=2&q=%C3%A6")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, "app: GET /orders?page=2&q=%C3%A6 auth=authenticated name=Åse Ødegård") {
		t.Fatalf("got %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	silent, full := b.asked(0), b.asked(1)
	if silent.Get("requested_flow") != "no_dialog" || full.Has("requested_flow") {
		t.Errorf("requested_flow: first %q, then %q", silent["requested_flow"], full["requested_flow"])
	}
	for i, query := range []url.Values{silent, full} {
		if query.Get("code_challenge_method") != "S256" || len(query.Get("nonce")) < 43 || len(query.Get("state")) < 43 || len(query.Get("state")) > 512 {
			t.Errorf("request %d: %v", i, query)
		}
	}
	if silent.Get("state") == full.Get("state") || silent.Get("nonce") == full.Get("nonce") || silent.Get("code_challenge") == full.Get("code_challenge") {
		t.Error("the second attempt reuses state, nonce or challenge")
	}
	r := l.last()
	if sub := r.Header["X-Vipps-Sub"]; len(sub) != 1 || !strings.HasPrefix(sub[0], "emulator-") {
		t.Errorf("X-Vipps-Sub: %q", sub)
	}
	if got := r.Header.Get("X-Vipps-Phone-Number"); got != phoneAase {
		t.Errorf("phone number %q", got)
	}
	if cookie := r.Header.Get("Cookie"); cookie != "" {
		t.Errorf("the app sees cookies of ours: %q", cookie)
	}
	if a := b.visit("/next"); a.StatusCode != 200 || len(b.trail) != 1 {
		t.Errorf("the second page went through %v", b.trail)
	}
}

// Whom Vipps remembers in this browser is logged in without a click, and without a page in between.
func TestSilentHit(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	a := b.visit("/a")
	if a.StatusCode != 200 || b.passed("/oauth2/auth") != 1 || b.asked(0).Get("requested_flow") != "no_dialog" {
		t.Fatalf("got %d after\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
}

// Any error of a silent attempt is a miss; a full login follows, once, and nobody bounces twice.
func TestSec_A124_SilentMiss(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"interaction_required", "login_required", "consent_required", "server_error", "access_denied", "invalid_request", "never_seen_before"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil)
			l.silent("error:" + code)
			l.as(phoneAase)
			b := l.browser()
			if a := b.visit("/a?b=c"); a.StatusCode != 200 || !strings.Contains(a.text, "/a?b=c") || b.passed("/oauth2/auth") != 2 {
				t.Fatalf("got %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
			}
		})
	}
}

// A miss is remembered: while it is, the next login goes straight to the full dialog.
func TestSilentMissIsRemembered(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	b.visit("/") // ends at the emulator's login page
	b.visit("/")
	if b.passed("/oauth2/auth") != 1 || b.asked(0).Has("requested_flow") {
		t.Fatalf("after a miss:\n%s", strings.Join(b.trail, "\n"))
	}
	l.clock.advance(16 * time.Minute)
	b.visit("/")
	if b.asked(0).Get("requested_flow") != "no_dialog" {
		t.Fatalf("after silent_retry:\n%s", strings.Join(b.trail, "\n"))
	}
}

// A silent attempt that never comes back counts as a miss after ten seconds.
func TestSilentNeverReturns(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogNeverReturns)
	b := l.browser()
	b.visit("/")
	l.clock.advance(11 * time.Second)
	l.as(phoneAase)
	if a := b.visit("/"); a.StatusCode != 200 || b.asked(0).Has("requested_flow") || !strings.Contains(a.text, "app:") {
		t.Fatalf("got %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
}

// When silent attempts keep vanishing, silent login switches itself off for an hour.
func TestSilentPausesItself(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogNeverReturns)
	for range 10 {
		l.browser().visit("/")
	}
	l.clock.advance(11 * time.Second)
	l.browser().visit("/")
	if l.log.FilterMessageSnippet("silent login pauses").Len() != 1 {
		t.Fatal("the pause is not in the log")
	}
	b := l.browser()
	b.visit("/")
	if b.asked(0).Has("requested_flow") {
		t.Error("still silent")
	}
	l.clock.advance(time.Hour)
	b = l.browser()
	b.visit("/")
	if !b.asked(0).Has("requested_flow") {
		t.Error("not silent again after an hour")
	}
}

// A person's own no is an answer, to a silent attempt that showed pages as well, and no second login follows.
func TestPersonSaysNo(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"access_denied", "wrong_challenge", "outdated_app_version"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil)
			l.silent(emulator.NoDialogIgnored)
			b := l.browser()
			start := b.follow(b.send("GET", "/x?y", navigation(), ""), "/x?y")
			_ = start
			state := b.asked(0).Get("state")
			l.clock.advance(5 * time.Second) // as long as a person needs
			a := b.visit("/_vipps/callback?error=" + code + "&state=" + state)
			if a.StatusCode != http.StatusForbidden || b.passed("/oauth2/auth") != 0 || b.passed("/_vipps/result") != 1 {
				t.Fatalf("got %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
			}
			if !strings.Contains(a.text, `name="rd" value="/x?y"`) {
				t.Errorf("the page asked for is lost:\n%s", a.text)
			}
			l.as(phoneAase)
			if a := b.click("/_vipps/login", url.Values{"rd": {"/x?y"}}); !strings.Contains(a.text, "app: GET /x?y") {
				t.Errorf("trying again ends with %d %s", a.StatusCode, a.text)
			}
		})
	}
}

// without_session page: after a miss a page with a button, and whoever clicks gets the full login.
func TestWithoutSessionPage(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.WithoutSession = forwardauth.WithoutSessionPage })
	l.as(phoneAase)
	b := l.browser()
	a := b.visit("/a?b")
	if a.StatusCode != 200 || !strings.Contains(a.text, `action="/_vipps/login"`) || b.passed("/oauth2/auth") != 1 {
		t.Fatalf("got %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
	if a := b.visit("/a?b"); !strings.Contains(a.text, `action="/_vipps/login"`) || b.passed("/oauth2/auth") != 0 {
		t.Fatalf("the second visit:\n%s", strings.Join(b.trail, "\n"))
	}
	if a := b.click("/_vipps/login", url.Values{"rd": {"/a?b"}}); !strings.Contains(a.text, "app: GET /a?b") || b.asked(0).Has("requested_flow") {
		t.Fatalf("the click: %s\n%s", a.text, strings.Join(b.trail, "\n"))
	}
}

// without_session anonymous: the site can be read by anybody, and who is remembered is known.
func TestWithoutSessionAnonymous(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.WithoutSession = forwardauth.WithoutSessionAnonymous })
	l.as(phoneAase)
	b := l.browser()
	a := b.visit("/a")
	if a.StatusCode != 200 || !strings.Contains(a.text, "auth=anonymous name=") || b.passed("/oauth2/auth") != 1 {
		t.Fatalf("got %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	if a := b.visit("/a"); a.StatusCode != 200 || len(b.trail) != 1 {
		t.Errorf("a miss is not remembered: %v", b.trail)
	}
	crawler := l.browser().send("GET", "/a", http.Header{"Accept": {"text/html"}, "X-Vipps-Sub": {"evil"}, "X_vipps_name": {"evil"}}, "")
	if crawler.StatusCode != 200 || len(crawler.Header["Set-Cookie"]) != 0 || !strings.Contains(crawler.text, "auth=anonymous name=") {
		t.Errorf("a crawler gets %d %s %v", crawler.StatusCode, crawler.text, crawler.Header)
	}
	for name := range l.last().Header {
		if strings.Contains(strings.ToLower(name), "vipps") && name != "X-Vipps-Auth" {
			t.Errorf("an anonymous request reaches the app with %s", name)
		}
	}
	if a := b.visit("/_vipps/login?rd=/a"); !strings.Contains(a.text, "auth=authenticated name=Åse") {
		t.Errorf("a link to the login ends with %d %s", a.StatusCode, a.text)
	}
}
