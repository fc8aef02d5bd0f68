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

// Logins that people make come back while every silent attempt vanishes: they don't hide that silent login is broken.
func TestSilentPausesAlthoughOtherLoginsComeBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogNeverReturns)
	l.as(phoneAase)
	first, second := l.browser(), l.browser()
	first.visit("/")
	second.visit("/")
	for range 8 {
		l.browser().visit("/")
	}
	l.clock.advance(11 * time.Second)
	if a := first.visit("/"); first.asked(0).Has("requested_flow") || !strings.Contains(a.text, "name=Åse") {
		t.Fatalf("the login with a dialog ends with %d %s", a.StatusCode, a.text)
	}
	// Nor does a login with a dialog that loses its cookie, or a callback that anybody made up.
	l.browser().visit(second.begin("/"))
	l.browser().visit("/_vipps/callback?code=a&state=" + strings.Repeat("A", 43) + ".1AAAA")
	l.browser().visit("/")
	if l.log.FilterMessageSnippet("silent login pauses").Len() != 1 {
		t.Error("silent login doesn't pause")
	}
}

// A login with a dialog that fails says nothing of silent ones: the next of these is due when it was due before.
func TestFailedLoginIsNoSilentMiss(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogMiss)
	if err := l.vipps.Control().Deny("server_error"); err != nil {
		t.Fatal(err)
	}
	b := l.browser()
	callback := b.begin("/")
	b.onTheWay(b.send("GET", callback, navigation(), "")) // the miss, and then the login with a dialog
	l.clock.advance(10 * time.Minute)
	if a := b.visit("/"); a.StatusCode != http.StatusServiceUnavailable || b.passed("/oauth2/auth") != 1 || b.asked(0).Has("requested_flow") {
		t.Fatalf("the login with a dialog ends with %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
	l.clock.advance(6 * time.Minute) // silent_retry after the miss
	if b.visit("/"); b.asked(0).Get("requested_flow") != "no_dialog" {
		t.Errorf("no silent attempt:\n%s", strings.Join(b.trail, "\n"))
	}
}

// A silent attempt that showed pages after all, on a site that anybody may read: a person's own no is answered.
func TestAnonymousPersonSaysNo(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"access_denied", "wrong_challenge", "outdated_app_version"} {
		l := newLab(t, anonymous)
		l.silent(emulator.NoDialogIgnored)
		b := l.browser()
		b.visit("/read")
		callback := "/_vipps/callback?error=" + code + "&state=" + url.QueryEscape(b.asked(0).Get("state"))
		l.clock.advance(5 * time.Second) // as long as a person needs
		if a := b.visit(callback); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, offersLogin) {
			t.Errorf("%s: %d %s", code, a.StatusCode, a.text)
		}
	}
}

// D-09: the metadata can't be renewed while somebody is at the provider: the operator is told when they come back, and
// not when the next one leaves.
func TestSec_D09_StaleAtTheCallback(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	r.op.now = r.clock.now
	r.accepted()
	r.op.change(func() { r.op.metadata = func(m obj) { m["issuer"] = "https://evil.example/" } })
	r.clock.advance(50 * time.Minute)
	b := r.browser()
	callback := b.begin("/page?x=1")
	told := func() int {
		return r.log.FilterMessage("the provider's metadata or keys can't be renewed: older ones are in use").Len()
	}
	if told() != 0 {
		t.Fatal("the metadata was to be renewed too early for this test")
	}
	r.clock.advance(20 * time.Minute)
	if a := b.visit(callback); !strings.Contains(a.text, "auth=authenticated") || told() != 1 {
		t.Errorf("%d %s; the operator was told %d times", a.StatusCode, a.text, told())
	}
}

// What a silent attempt is answered with is a miss only if the provider says so: then a login with a dialog follows. What
// is wrong with the answer is told.
func TestSec_A125_SilentAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent("error:login_required")
	for answer, miss := range map[string]bool{
		"error=login_required": true, "error=what+is+this": true,
		"error=login_required&iss=https%3A%2F%2Fevil.example": false, "error=": false, "": false,
	} {
		b := l.browser()
		state := query(t, b.begin("/x")).Get("state")
		if a := b.visit("/_vipps/callback?" + answer + "&state=" + state); miss != (b.passed("/oauth2/auth") == 1) || !miss && a.StatusCode < 400 {
			t.Errorf("%q: %d\n%s", answer, a.StatusCode, strings.Join(b.trail, "\n"))
		}
	}
}

// After a miss the page with the button comes at once: the page asked for is not asked for again.
func TestMissLeadsToThePageAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.WithoutSession = forwardauth.WithoutSessionPage })
	l.silent(emulator.NoDialogMiss)
	b := l.browser()
	if a := b.visit("/x"); b.passed("/x") != 1 || b.passed("/_vipps/result") != 1 || !strings.Contains(a.text, offersLogin) {
		t.Errorf("%d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
}

// An attempt whose cookie doesn't open still knows where the person wanted to go: with a session they get there, without
// one the page offers it.
func TestUnopenableAttemptKnowsItsPage(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	value := l.loggedIn(phoneAase).cookie("vippsauth")
	l.silent(emulator.NoDialogHit)
	for _, session := range []string{"", value} {
		b := l.browser()
		callback := b.begin("/wanted?x")
		name, _ := b.attemptOf()
		b.setCookie(name, "1AAAA")
		b.setCookie("vippsauth", session)
		a := b.visit(callback)
		if session == "" && (a.StatusCode < 400 || !strings.Contains(a.text, "/wanted?x")) || session != "" && !strings.Contains(a.text, "app: GET /wanted?x auth=authenticated") {
			t.Errorf("session %t: %d %s", session != "", a.StatusCode, a.text)
		}
	}
}

// Attack: a tab sent its request before the logout, and the answers cross: the attempt that nobody asked for is younger
// than the logout, and the browser waits for a click. Nobody is logged in.
func TestSec_A132_AttemptThatCrossesTheLogout(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	before := l.loggedIn(phoneAase)
	before.click("/_vipps/logout", nil)
	l.silent(emulator.NoDialogHit)
	l.clock.advance(time.Second)
	b := l.browser()
	callback := b.begin("/x")
	b.setCookie("vippsauth-hint", before.cookie("vippsauth-hint"))
	if a := b.send("GET", callback, navigation(), ""); a.Header.Get("Location") != l.site.URL+"/x" || b.cookie("vippsauth") != "" {
		t.Errorf("%d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	// The attempt is older than the logout, and since then somebody clicked: theirs is another login.
	b = l.loggedIn(phonePer)
	tab := b.tab()
	tab.setCookie("vippsauth", "")
	callback = tab.begin("/x")
	l.clock.advance(time.Second)
	b.click("/_vipps/logout", nil)
	b.post("/_vipps/login", url.Values{"rd": {"/y"}})
	b.late(tab)
	if a := b.send("GET", callback, navigation(), ""); a.Header.Get("Location") != l.site.URL+"/x" || b.cookie("vippsauth") != "" {
		t.Errorf("after a click: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
}

// Two tabs of one person finish one after the other, and nobody is asked who continues. In the place of another person somebody is,
// also where the login was silent: they clicked.
func TestSec_A123_ClickedTabs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	per := l.loggedIn(phonePer).cookie("vippsauth")
	l.as(phoneAase)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	click := func(path string) string { return b.onTheWay(b.post("/_vipps/login", url.Values{"rd": {path}})) }
	one, two, three := click("/one"), click("/two"), click("/three")
	// The second was overtaken by the first: the result page looks at the cookies of now, which the callback may not have had,
	// and goes on without a question.
	for i, callback := range []string{one, two} {
		path := []string{"/one", "/two"}[i]
		if a := b.visit(callback); !strings.Contains(a.text, "app: GET "+path+" auth=authenticated name=Åse") || b.passed("/_vipps/result") != i {
			t.Errorf("%s: %d %s after %d result pages", path, a.StatusCode, a.text, b.passed("/_vipps/result"))
		}
	}
	b.setCookie("vippsauth", per)
	if a := b.visit(three); !strings.Contains(a.text, asksWho) {
		t.Errorf("over another person's session: %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
}
