package forwardauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const landingPath = "/_vipps/callback/merchant"

// landings stand in for the exchange of codes, which package vipps tests: each code is good once, and says who.
type landings struct {
	mu    sync.Mutex
	codes map[string]landed
	calls int
	hook  func() // while a code is redeemed
}

type landed struct {
	login *vipps.Login
	to    string
	err   error
}

func (l *landings) finish(ctx context.Context, query url.Values) (*vipps.Login, string, error) {
	l.mu.Lock()
	l.calls++
	found, ok := l.codes[query.Get("code")]
	delete(l.codes, query.Get("code"))
	hook := l.hook
	l.mu.Unlock()
	if hook != nil {
		hook()
	}
	if !ok || ctx.Err() != nil {
		return nil, "", &vipps.Error{Stage: vipps.StageToken, Code: "invalid_grant"}
	}
	return found.login, found.to, found.err
}

func (l *landings) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// put makes a code good for a login.
func (l *landings) put(code string, found landed) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.codes[code] = found
	return landingPath + "?code=" + code
}

func personCalled(sub, given, family string) *vipps.Login {
	return &vipps.Login{User: vipps.User{Sub: sub, Name: given + " " + family, GivenName: given, FamilyName: family, PhoneNumber: "4799999999"}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
}

func ola() *vipps.Login {
	return personCalled("5f0c7e2a-0000-4000-8000-0000000001a0", "Ola", "Nordmann")
}

// newLanding is a lab with a landing.
func newLanding(t *testing.T, change func(*forwardauth.Config)) (*lab, *landings) {
	t.Helper()
	l := &landings{codes: map[string]landed{}}
	return newLab(t, func(c *forwardauth.Config) {
		c.Landings = []forwardauth.Landing{{Path: landingPath, Finish: l.finish}}
		if change != nil {
			change(c)
		}
	}), l
}

// answering is the form of a page that asks who continues, as a browser sends it.
func answering(a answer, choice string) url.Values {
	form := saying(tokenOf(a), choice)
	if instead := between(a.text, `name="instead" value="`, `"`); instead != "" {
		form.Set("instead", instead)
	}
	return form
}

func (b *browser) whoIsIn() string {
	a := b.send("GET", "/who", http.Header{}, "")
	if a.StatusCode != http.StatusOK {
		return ""
	}
	_, name, _ := strings.Cut(a.text, "name=")
	return name
}

// Attack: a link to somebody else's finished login is sent to a person, who opens it and from then on works in that name
// (login CSRF; these logins have no state). The link alone makes no session, whatever confirm_person says; a page asks, and
// only its own button, in this browser, does.
func TestSec_A151_A156_A166_TheLinkAloneLogsNobodyIn(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmNever, forwardauth.ConfirmAfterLogout} {
		l, ends := newLanding(t, func(c *forwardauth.Config) { c.ConfirmPerson = confirm })
		link := ends.put("code1", landed{login: ola(), to: "/till?no=4"})
		b := l.browser()
		first := b.send("GET", link, navigation(), "")
		if first.StatusCode != http.StatusSeeOther || len(first.text) > 0 || !strings.HasPrefix(first.Header.Get("Location"), l.site.URL+"/_vipps/result?t=") || strings.Contains(first.Header.Get("Location"), "code1") {
			t.Fatalf("the landing: %d %s %q", first.StatusCode, first.Header, first.text)
		}
		a := b.follow(first, link)
		if !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Ola N.") || !strings.Contains(a.text, "Not me") || b.cookie("vippsauth") != "" || l.hits() != 0 {
			t.Fatalf("%s: the page: %d %s; session %q", confirm, a.StatusCode, a.text, b.cookie("vippsauth"))
		}
		for _, warned := range []string{"has approved a login, which was then opened in this browser", "Go on only if you approved it yourself just now", "somebody may have sent you the link"} {
			if !strings.Contains(a.text, warned) {
				t.Errorf("%s: the page doesn't say %q", confirm, warned)
			}
		}
		other := l.browser() // without the cookie the address of the page is worth nothing
		if a := other.visit(b.trail[1]); strings.Contains(a.text, asksWho) {
			t.Errorf("the page in another browser: %s", a.text)
		}
		if other.post("/_vipps/result", answering(a, "continue")); other.cookie("vippsauth") != "" {
			t.Error("another browser's click made a session")
		}
		h := ownForm()
		h.Set("Sec-Fetch-Site", "cross-site")
		if w := b.send("POST", "/_vipps/result", h, answering(a, "continue").Encode()); w.StatusCode != http.StatusForbidden || b.cookie("vippsauth") != "" {
			t.Errorf("another site's form: %d", w.StatusCode)
		}
		done := b.post("/_vipps/result", answering(a, "continue"))
		if done.StatusCode != http.StatusSeeOther || done.Header.Get("Location") != l.site.URL+"/till?no=4" || b.whoIsIn() != "Ola Nordmann" {
			t.Errorf("%s: the click: %d %q, in: %q", confirm, done.StatusCode, done.Header.Get("Location"), b.whoIsIn())
		}
		if again := l.browser().visit(link); again.StatusCode != http.StatusBadRequest || strings.Contains(again.text, asksWho) || ends.asked() != 2 {
			t.Errorf("the link a second time: %d %s", again.StatusCode, again.text)
		}
	}
}

// Attack: the link is opened in a browser where somebody is logged in, whose session it is to replace: by its redirect, by
// the page, or by a click of a person who was told about somebody else, or about nobody.
func TestSec_A151_ALandingReplacesNobodyUnasked(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmNever })
	b := l.loggedIn(phoneAase)
	before := b.cookie("vippsauth")
	a := b.visit(ends.put("c1", landed{login: ola(), to: "/x"}))
	if !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Åse") || !strings.Contains(a.text, "Ola N.") || b.cookie("vippsauth") != before {
		t.Fatalf("over Åse's session: %d %s", a.StatusCode, a.text)
	}
	if end := b.click("/_vipps/result", answering(a, "other")); b.cookie("vippsauth") != before || b.whoIsIn() == "" {
		t.Errorf("not me: %d %s, in: %q", end.StatusCode, end.text, b.whoIsIn())
	}

	a = b.visit(ends.put("c2", landed{login: ola(), to: "/x"}))
	told := answering(a, "continue")
	b.setCookie("vippsauth", l.loggedIn(phonePer).cookie("vippsauth")) // in another tab, since
	if again := b.click("/_vipps/result", told); !strings.Contains(again.text, asksWho) || !strings.Contains(again.text, "Per") || !strings.HasPrefix(b.whoIsIn(), "Per") {
		t.Fatalf("the page named Åse, and Per is in: %d %s, in: %q", again.StatusCode, again.text, b.whoIsIn())
	} else {
		per := b.cookie("vippsauth")
		if b.click("/_vipps/result", answering(again, "continue")); b.whoIsIn() != "Ola Nordmann" || l.opens(per) {
			t.Errorf("after the click in: %q; Per's session opens: %t", b.whoIsIn(), l.opens(per))
		}
	}

	b = l.browser() // the page named nobody, and somebody has come since
	told = answering(b.visit(ends.put("c3", landed{login: ola(), to: "/x"})), "continue")
	b.setCookie("vippsauth", l.loggedIn(phonePer).cookie("vippsauth"))
	if a := b.click("/_vipps/result", told); !strings.Contains(a.text, asksWho) || !strings.HasPrefix(b.whoIsIn(), "Per") {
		t.Errorf("the page named nobody: %d %s, in: %q", a.StatusCode, a.text, b.whoIsIn())
	}

	b = l.browser() // the same person is asked as well
	b.click("/_vipps/result", answering(b.visit(ends.put("c4", landed{login: ola(), to: "/x"})), "continue"))
	if a := b.visit(ends.put("c5", landed{login: ola(), to: "/y"})); !strings.Contains(a.text, asksWho) || strings.Contains(a.text, `name="instead"`) {
		t.Errorf("the same person: %s", a.text)
	}
}

// Attack: what is no person's visit burns the code of a link that is on its way: a preview, a prefetch, a script, a frame, an image.
// Nor may a query that says two things, or that of a login that a browser began, reach the exchange.
func TestSec_A151_A166_OnlyAVisitRedeemsTheCode(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, nil)
	link := ends.put("good", landed{login: ola(), to: "/x"})
	b := l.browser()
	for _, method := range []string{"HEAD", "POST", "PUT", "OPTIONS", "DELETE", "get"} {
		if a := b.send(method, link, navigation(), ""); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET" {
			t.Errorf("%s: %d", method, a.StatusCode)
		}
	}
	prefetch, frame := navigation(), navigation()
	prefetch.Set("Sec-Purpose", "prefetch;prerender")
	frame.Set("Sec-Fetch-Dest", "iframe")
	for name, h := range map[string]http.Header{
		"prefetch": prefetch, "frame": frame, "image": {"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, "fetch": {"Sec-Fetch-Mode": {"cors"}},
		"preview": {"Accept": {"*/*"}, "User-Agent": {"facebookexternalhit/1.1"}}, "curl": {}, "two modes": {"Sec-Fetch-Mode": {"navigate", "cors"}, "Sec-Fetch-Dest": {"document"}},
	} {
		if a := b.send("GET", link, h, ""); a.StatusCode != http.StatusForbidden || a.Header.Get("Location") != "" || strings.Contains(a.text, "<") {
			t.Errorf("%s: %d %q %s", name, a.StatusCode, a.Header.Get("Location"), a.text)
		}
	}
	for _, query := range []string{
		"", "code=", "code", "code=good&code=good", "code=good&code=other", "code=good&state=x", "code=good&state=", "code=good&scope=a&scope=b", "code=good&error=access_denied", "code=good&error=", "code=good&error_code=access_denied",
		"code=go%00od", "code=good;x=1", "code=good&%zz", "code=" + strings.Repeat("g", 9000), "CODE=good", "error=&error=", "iss=a&iss=b&code=good",
	} {
		if a := b.visit(landingPath + "?" + query); a.StatusCode != http.StatusBadRequest || b.cookie("vippsauth") != "" || len(b.own()) != 0 {
			t.Errorf("?%.40s: %d, cookies %v", query, a.StatusCode, sortedNames(b.own()))
		}
	}
	for query, want := range map[string]string{"error=access_denied&error_description=%3Cb%3E": "access_denied", "error=lost_state": "", "error=%3Cscript%3E": "", "error=server_error": "server_error", "error_code=access_denied": "access_denied"} {
		if a := b.visit(landingPath + "?" + query); a.StatusCode/100 == 2 || strings.Contains(a.text, "<b>") || strings.Contains(a.text, "<script>") || len(b.own()) != 0 || b.passed("/_vipps/result") != 1 {
			t.Errorf("?%s (%s): %d %s", query, want, a.StatusCode, a.text)
		}
	}
	for _, path := range []string{"/_vipps/callback/merchant/", "/_vipps/callback//merchant", "/_vipps/Callback/merchant", "/_vipps/callback/merchant%2f", "/_vipps/callback/%6derchant"} {
		if a := b.visit(path + "?code=good"); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	// Such a code is none for the callback of a browser's login, and the code of such a login is none here.
	if a := b.visit("/_vipps/callback?code=good"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the callback: %d", a.StatusCode)
	}
	l.as(phonePer)
	callback := b.onTheWay(b.send("POST", "/_vipps/login", ownForm(), "rd=%2F"))
	if a := b.visit(strings.Replace(callback, "/_vipps/callback", landingPath, 1)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a browser's login at the landing: %d", a.StatusCode)
	}
	if ends.asked() != 0 {
		t.Fatalf("%d exchanges", ends.asked())
	}
	if a := b.visit(link); !strings.Contains(a.text, asksWho) || ends.asked() != 1 {
		t.Errorf("the person's own visit: %d %s", a.StatusCode, a.text)
	}
}

// Attack: the page stands open while the person logs out, is thrown out, or the site loses its trust in their sessions;
// then whoever comes next clicks. And the same while the code is still being redeemed, when no cookie of it exists.
func TestSec_A151_ALandingEndsWithALogout(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(l *lab, b *browser){
		"logout": func(_ *lab, b *browser) { b.post("/_vipps/logout", nil) },
		"revoked": func(l *lab, _ *browser) {
			l.clock.advance(time.Second)
			if err := l.engine.EndSessions(ola().User.Sub, l.clock.now()); err != nil {
				t.Error(err)
			}
		},
		"too late": func(l *lab, _ *browser) { l.clock.advance(11 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			l, ends := newLanding(t, nil)
			b := l.browser()
			a := b.visit(ends.put("c1", landed{login: ola(), to: "/x"}))
			kept := b.tab()
			l.clock.advance(10 * time.Millisecond) // nobody is faster
			between(l, b)
			for name, value := range kept.own() {
				if b.cookie(name) == "" {
					b.setCookie(name, value) // what came late, after the logout cleared it
				}
			}
			if a := b.click("/_vipps/result", answering(a, "continue")); b.cookie("vippsauth") != "" || strings.Contains(a.text, "app:") {
				t.Errorf("while the page stood open: %d %s", a.StatusCode, a.text)
			}
			if name == "too late" {
				return
			}
			b = l.browser()
			link := ends.put("c2", landed{login: ola(), to: "/x"})
			var once atomic.Bool
			meanwhile := b.tab()
			ends.hook = func() {
				if once.CompareAndSwap(false, true) {
					l.clock.advance(time.Second)
					between(l, meanwhile)
				}
			}
			a = b.send("GET", link, navigation(), "")
			for name, value := range meanwhile.own() {
				b.setCookie(name, value)
			}
			a = b.follow(a, link)
			if b.click("/_vipps/result", answering(a, "continue")); b.cookie("vippsauth") != "" {
				t.Error("while the code was redeemed")
			}
		})
	}
}

// The click works once, and what follows is judged as for anybody: who may not pass gets the page that says so, and the
// session ends with a logout.
func TestSec_A151_ALandedLoginIsLikeAnyOther(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, func(c *forwardauth.Config) {
		c.Allow = []string{"4799999998"}
		c.AppCookies = []string{"PHPSESSID"}
	})
	b := l.browser()
	a := b.visit(ends.put("c1", landed{login: ola(), to: "/x"}))
	twin := b.tab()
	b.setCookie("PHPSESSID", "of the person before")
	if a := b.click("/_vipps/result", answering(a, "continue")); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, "Ola N.") || l.hits() != 0 || b.cookie("PHPSESSID") != "" {
		t.Errorf("who isn't on the list: %d %s", a.StatusCode, a.text)
	}
	if w := twin.post("/_vipps/result", answering(a, "continue")); twin.cookie("vippsauth") != "" || w.StatusCode != http.StatusBadRequest {
		t.Errorf("a copy of the cookies: %d", w.StatusCode)
	}
	session := b.cookie("vippsauth")
	b.post("/_vipps/logout", nil)
	b.setCookie("vippsauth", session)
	if a := b.send("GET", "/x", http.Header{}, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", a.StatusCode)
	}
}

// Attack: a login that proves less than the site asks of its browsers' logins comes in by the side door; so does one that is
// nobody's, and a return address that leads away.
func TestSec_A151_C001_WhatALandingMustProve(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, func(c *forwardauth.Config) {
		client, err := vipps.New(vipps.Config{Issuer: c.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: c.Scopes, ACRValues: "urn:vipps:acr:app_auth urn:x"})
		if err != nil {
			t.Fatal(err)
		}
		c.Client = client
	})
	proved := func(acr string) *vipps.Login {
		login := ola()
		login.ACR = acr
		return login
	}
	b := l.browser()
	for name, found := range map[string]landed{
		"no acr": {login: proved("")}, "another acr": {login: proved("urn:vipps:acr")}, "both at once": {login: proved("urn:vipps:acr:app_auth urn:x")},
		"nobody": {}, "no sub": {login: &vipps.Login{ACR: "urn:x"}}, "not ours": {err: errors.New("unknown")}, "away": {err: &vipps.Error{Stage: vipps.StageToken, Status: 503}},
		"a no": {err: vipps.ErrDenied}, "not eligible": {err: vipps.ErrNotEligible}, "over": {err: vipps.ErrExpired},
	} {
		if a := b.visit(ends.put("c", found)); a.StatusCode/100 < 4 || len(b.own()) != 0 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.text)
		}
	}
	for to, want := range map[string]string{
		"": "/", "/a?b=c": "/a?b=c", l.site.URL + "/a?b=c": "/a?b=c", l.site.URL: "/", "https://evil.example/a": "/", "//evil.example": "/", l.site.URL + ".evil.example/": "/",
		l.site.URL + "//evil.example": "/", "/_vipps/logout": "/", l.site.URL + "@evil.example/": "/", `/\evil.example`: "/", "javascript:alert(1)": "/",
	} {
		b := l.browser()
		a := b.visit(ends.put("c", landed{login: proved("urn:x"), to: to}))
		if done := b.post("/_vipps/result", answering(a, "continue")); done.Header.Get("Location") != l.site.URL+want {
			t.Errorf("%q leads to %q", to, done.Header.Get("Location"))
		}
	}
}

// Attack: links with made-up codes, thousands of them, so that we knock at the provider's door for somebody. Landings count
// with the logins that are started, and what is refused burns no code.
func TestSec_A151_C073_LandingsAreLimited(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, func(c *forwardauth.Config) { c.LoginLimit = "3/10m" })
	b := l.browser()
	land := func(link string) answer { return b.follow(b.send("GET", link, from("203.0.113.7"), ""), link) }
	for range 3 {
		land(landingPath + "?code=made-up")
	}
	link := ends.put("good", landed{login: ola(), to: "/x"})
	if a := land(link); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || b.passed("/_vipps/result") != 1 || ends.asked() != 3 {
		t.Errorf("the fourth: %d %v, %d exchanges", a.StatusCode, a.Header, ends.asked())
	}
	l.clock.advance(4 * time.Minute)
	if a := land(link); !strings.Contains(a.text, asksWho) {
		t.Errorf("later: %d %s", a.StatusCode, a.text)
	}
}

func TestLandingsAreChecked(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	finish := (&landings{}).finish
	for _, landings := range [][]forwardauth.Landing{
		{{Path: "", Finish: finish}},
		{{Path: "/app", Finish: finish}},
		{{Path: "/_vipps/", Finish: finish}},
		{{Path: "/_vipps/callback", Finish: finish}},
		{{Path: "/_vipps/me", Finish: finish}},
		{{Path: "/_vipps/authz/x", Finish: finish}},
		{{Path: "/_vipps/a//b", Finish: finish}},
		{{Path: "/_vipps/a%2fb", Finish: finish}},
		{{Path: "/_vipps/A", Finish: finish}},
		{{Path: landingPath}},
		{{Path: landingPath, Finish: finish}, {Path: landingPath, Finish: finish}},
	} {
		cfg := l.config
		cfg.Landings = landings
		if _, err := forwardauth.New(cfg); err == nil {
			t.Errorf("%q is taken", landings[0].Path)
		}
	}
	cfg := l.config
	cfg.Landings = []forwardauth.Landing{{Path: landingPath, Finish: finish}, {Path: "/_vipps/callback/qr", Finish: finish}}
	if _, err := forwardauth.New(cfg); err != nil {
		t.Error(err)
	}
}

// A login on its way in the same browser goes on beside a landing.
func TestLandingBesideALogin(t *testing.T) {
	t.Parallel()
	l, ends := newLanding(t, nil)
	l.silent(emulator.NoDialogMiss)
	b := l.browser()
	l.as(phonePer)
	callback := b.onTheWay(b.send("POST", "/_vipps/login", ownForm(), "rd=%2Fmine"))
	page := b.visit(ends.put("c1", landed{login: ola(), to: "/x"}))
	if a := b.visit(callback); !strings.Contains(a.text, "name=Per") {
		t.Fatalf("the login: %d %s", a.StatusCode, a.text)
	}
	if a := b.click("/_vipps/result", answering(page, "continue")); !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Per") {
		t.Errorf("the page of before: %d %s", a.StatusCode, a.text)
	}
}
