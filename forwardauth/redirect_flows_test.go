package forwardauth_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: somebody without a session follows a link to the site whose path is another host's for whoever reads it loosely.
// The login that begins there ends on the site.
func TestSec_C003_B028_RequestPaths(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.silent(emulator.NoDialogHit)
	for target, want := range map[string]string{
		"//evil.example/x":                         "/",
		"//evil.example/%2e%2e":                    "/",
		"///evil.example":                          "/",
		`/\evil.example`:                           "/",
		`/\/evil.example`:                          "/",
		"/.//evil.example":                         "/",
		"/x/..//evil.example":                      "/",
		"/%2fevil.example":                         "/",
		"/%5cevil.example":                         "/",
		"/%09/evil.example":                        "/",
		"/%0d%0aLocation:%20https://evil.example/": "/",
		"https://evil.example/x":                   "", // 421
		"http://evil.example//x":                   "",
		crossSite + "//evil.example":               "/",
		crossSite + "/x":                           "/x",
		"http://someone@" + crossHost + "/x":       "/x",
		"http://" + crossHost + ":99999/x":         "",
		"/a//evil.example?x=//evil.example":        "/a//evil.example?x=//evil.example",
		"/redirect?to=//evil.example":              "/redirect?to=//evil.example",
		"*":                                        "", // 400
		"evil.example:443":                         "",
		"/" + strings.Repeat("a", 3000):            "/",
		"/%5fvipps/logout":                         "/",
		"/a/../_vipps/logout":                      "/",
	} {
		p := x.person()
		a := p.open(t, crossHost, target)
		if want == "" {
			if len(p.trail) > 1 && p.at() != crossSite+"/" || strings.HasPrefix(a.body, "app:") && p.at() != crossSite+"/" {
				t.Errorf("%.80q leads through %q to %d", target, p.trail, a.status)
			}
			continue
		}
		if p.at() != crossSite+want || !strings.HasPrefix(a.body, "app: GET "+want+" auth=authenticated") {
			t.Errorf("%.80q leads through %.300q to %d %.80q, want %q", target, p.trail, a.status, a.body, want)
		}
	}
}

// Attack: while a login is on its way, the operator takes a site out of those that share their sessions. The login that
// began there doesn't go back: where it may end is asked again when it does.
func TestSec_C004_NarrowedWhileOnTheWay(t *testing.T) {
	t.Parallel()
	const a, b, login = "a.club.localhost", "b.club.localhost", "login.club.localhost"
	for narrowed, want := range map[bool]string{false: "https://" + b + "/x?y", true: "https://" + login + "/"} {
		x := newCrossroads(t, func(c *forwardauth.Config) {
			c.PublicURLs, c.CookieDomain, c.AuthURL = []string{"https://" + a, "https://" + b}, "club.localhost", "https://"+login
		})
		x.silent(emulator.NoDialogHit)
		p := x.person()
		first := p.ask(t, b, "/x?y")
		if first.header.Get("Location") != "https://"+b+"/_vipps/login?rd=%2Fx%3Fy" {
			t.Fatalf("%d to %q", first.status, first.header["Location"])
		}
		there := p.ask(t, b, "/_vipps/login?rd=%2Fx%3Fy").header.Get("Location")
		if !strings.HasPrefix(there, "https://"+login+"/_vipps/login?rd="+url.QueryEscape("https://"+b+"/x?y")) {
			t.Fatalf("the login is made at %q", there)
		}
		provider := p.ask(t, login, strings.TrimPrefix(there, "https://"+login)).header.Get("Location")
		callback := strings.TrimPrefix(atProvider(t, provider).header.Get("Location"), "https://"+login)
		if narrowed {
			c := x.config
			c.PublicURLs = []string{"https://" + a}
			engine, err := forwardauth.New(c)
			if err != nil {
				t.Fatal(err)
			}
			x.serve("protect", engine.Protect(http.HandlerFunc(x.app)))
		}
		done := p.ask(t, login, callback)
		if got := done.header.Get("Location"); done.status != http.StatusSeeOther || got != want {
			t.Errorf("narrowed %t: %d to %q, want %q", narrowed, done.status, got, want)
		}
	}
}

// A return URL is a person's: it may say what they are ill with. The provider isn't told, and no log is, whatever the login
// comes to; nor is the callback's address, which the provider and the browser's history have, more than an id and a seal.
func TestSec_E10_A098_ReturnURLsAreNobodysBusiness(t *testing.T) {
	t.Parallel()
	const marker = "diagnose-7Q4w9Z"
	target := "/" + marker + "?" + marker + "=" + marker
	x := newCrossroads(t, nil)
	var told []string
	visit := func(p *person, target string) reply {
		a := p.open(t, crossHost, target)
		for _, step := range p.trail {
			if strings.HasPrefix(step, x.vipps.Issuer) || strings.Contains(step, "/_vipps/callback") || strings.Contains(step, "/_vipps/result") {
				told = append(told, step)
			}
		}
		return a
	}
	x.as(phoneAase)
	if a := visit(x.person(), target); a.status != http.StatusOK || !strings.Contains(a.body, marker) {
		t.Fatalf("the login ends with %d", a.status)
	}
	x.silent(emulator.NoDialogHit)
	visit(x.person(), target)
	for _, code := range []string{"access_denied", "server_error", "invalid_scope"} {
		x.silent("error:" + code)
		p := x.person()
		visit(p, target)
		visit(p, "/_vipps/login?mode=page&rd="+url.QueryEscape(target))
		visit(p, target) // the full login, since a miss is remembered
	}
	x.silent(emulator.NoDialogHit)
	for _, lines := range [][]string{{"Sec-Fetch-Mode: cors", "Referer: " + crossSite + target}, {"Host: evil.example"}, {"Referer: https://evil.example" + target}, {"Cookie: __Host-vippsauth=" + marker + "; __Host-vippsauth=" + marker + "2"}} {
		for _, over := range byAll {
			for _, path := range []string{target, "/_vipps/login?rd=" + url.QueryEscape(target), "/_vipps/callback?state=" + marker, "/_vipps/result?t=" + marker, "/_vipps/" + marker} {
				if _, err := x.wires[over].ask(crossRequest(http.MethodGet, path, "", lines...)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	lost := x.person() // a callback whose cookie is lost, which goes by what the state carries
	lost.open(t, crossHost, target)
	for _, step := range lost.trail {
		if path, ok := strings.CutPrefix(step, crossSite+"/_vipps/callback"); ok {
			for range 2 {
				if a := x.person().open(t, crossHost, "/_vipps/callback"+path); a.status != http.StatusOK {
					t.Errorf("a lost login ends with %d", a.status)
				}
			}
		}
	}
	if len(told) < 12 {
		t.Fatalf("only %q", told)
	}
	for _, step := range told {
		if form := holds(step, marker); form != "" {
			t.Errorf("%s holds the return URL, %s", step, form)
		}
	}
	entries := x.log.All()
	if len(entries) < 10 {
		t.Fatalf("the log has %d lines", len(entries))
	}
	for _, entry := range entries {
		if form := holds(fmt.Sprint(entry.Message, entry.ContextMap()), marker); form != "" {
			t.Errorf("the log holds the return URL, %s: %s %v", form, entry.Message, entry.ContextMap())
		}
	}
}

// holds names the form in which a text holds a marker: as it is, or encoded as a whole or from within.
func holds(text, marker string) string {
	forms := map[string]string{"plain": marker, "in hexadecimal": hex.EncodeToString([]byte(marker))}
	for shift := range 3 { // base64 depends on where in a group of three the marker begins
		encoded := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("/", shift) + marker))
		forms[fmt.Sprint("in base64, ", shift)] = encoded[4 : len(encoded)-4]
	}
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		if strings.Contains(text, forms[name]) || strings.Contains(strings.ToLower(text), strings.ToLower(forms[name])) && !strings.HasPrefix(name, "in base64") {
			return name
		}
	}
	return ""
}

// Attack: a link to our login with parameters of the provider's, so that it asks for more, for another client, or comes back
// to somebody else.
func TestSec_B111_NoParameterReachesTheProvider(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	const evil = "scope=openid%20nin&requested_flow=no_dialog&redirect_uri=https%3A%2F%2Fevil.example%2F&prompt=none&nonce=1&client_id=z&state=1&code_challenge=x&code_challenge_method=plain&response_type=token" +
		"&response_mode=form_post&request=x&request_uri=x&acr_values=x&login_hint=x&app_callback_uri=x&iss=x&max_age=0&ui_locales=xx&claims=x&resource=x&display=touch"
	plain := x.person().ask(t, crossHost, "/_vipps/login?rd=/x").header.Get("Location")
	usual, err := url.Parse(plain)
	if err != nil || !strings.HasPrefix(plain, x.provider()+"?") {
		t.Fatalf("a login goes to %q", plain)
	}
	requests := map[string]string{
		"in a link":      crossRequest(http.MethodGet, "/_vipps/login?rd=/x&"+evil, ""),
		"before rd":      crossRequest(http.MethodGet, "/_vipps/login?"+evil+"&rd=/x", ""),
		"in rd":          crossRequest(http.MethodGet, "/_vipps/login?rd="+url.QueryEscape("/x?"+evil), ""),
		"in a form":      crossRequest(http.MethodPost, "/_vipps/login", "rd=/x&"+evil),
		"after a logout": crossRequest(http.MethodPost, "/_vipps/logout", "then=login&rd=/x&"+evil),
		"in both":        crossRequest(http.MethodPost, "/_vipps/login?"+evil, "rd=/x&"+evil),
	}
	for how, request := range requests {
		a := x.ask(t, how, "protect", request)
		got, err := url.Parse(a.header.Get("Location"))
		if err != nil || !strings.HasPrefix(got.String(), x.provider()+"?") {
			t.Errorf("%s: %d to %q", how, a.status, got)
			continue
		}
		asked, want := got.Query(), usual.Query()
		for _, own := range []string{"state", "nonce", "code_challenge"} {
			if len(asked[own]) != 1 || len(asked.Get(own)) < 43 {
				t.Errorf("%s: %s is %q", how, own, asked[own])
			}
			asked.Del(own)
			want.Del(own)
		}
		asked.Del("requested_flow") // silent first, but for who has logged out
		want.Del("requested_flow")
		if asked.Encode() != want.Encode() {
			t.Errorf("%s: asks with %v, want %v", how, asked, want)
		}
	}
}

// The callback's address holds a code: whatever comes of it, nothing is shown there, nothing of it goes on, and the browser
// tells nobody where it was.
func TestSec_A095_NothingIsShownWhereACodeIs(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.logIn(t)
	x.silent(emulator.NoDialogHit)
	begun := x.person()
	begun.open(t, crossHost, "/x")
	at := slices.IndexFunc(begun.trail, func(step string) bool { return strings.HasPrefix(step, crossSite+"/_vipps/callback?") })
	if at < 0 {
		t.Fatalf("%q", begun.trail)
	}
	used := strings.TrimPrefix(begun.trail[at], crossSite)
	for _, target := range []string{used, "/_vipps/callback?code=secretcode&state=secretstate", "/_vipps/callback?error=access_denied&state=secretstate", "/_vipps/callback", "/_vipps/callback?code=secretcode&code=secretcode", "/_vipps/callback?%zz"} {
		for _, cookies := range []string{"", x.session, begun.cookieLine()} {
			a := x.ask(t, target, "service", crossRequest(http.MethodGet, target, "", "Cookie: "+cookies))
			to := a.header.Get("Location")
			if a.status != http.StatusSeeOther || a.body != "" || a.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%.60s: %d, Referrer-Policy %q, shows %q", target, a.status, a.header["Referrer-Policy"], a.body)
			}
			if strings.Contains(to, "code=") || strings.Contains(to, "state=") || strings.Contains(to, "secret") {
				t.Errorf("%.60s: goes on to %q", target, to)
			}
		}
	}
}

// Attack: a redirect that asks the browser to send its form again, to wherever the redirect leads. A POST is answered with
// 303 or not redirected at all; none of ours is 307 or 308.
func TestSec_A096_NoFormIsSentOn(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.logIn(t)
	for _, tt := range []struct {
		target, form string
		session      bool
		status       int
	}{
		{"/_vipps/login", "rd=/x", false, http.StatusSeeOther},
		{"/_vipps/login", "rd=/x", true, http.StatusSeeOther},
		{"/_vipps/logout", "rd=/x", false, http.StatusSeeOther},
		{"/_vipps/logout", "", false, http.StatusSeeOther},
		{"/_vipps/logout", "then=login&rd=/x", false, http.StatusSeeOther},
		{"/_vipps/result", "token=x&choice=continue", true, http.StatusSeeOther},
		{"/_vipps/callback?code=x&state=x", "a=b", false, http.StatusMethodNotAllowed},
		{"/logout.php", "a=b", true, http.StatusSeeOther},
		{"/order", "a=b", false, http.StatusUnauthorized},
	} {
		lines := []string{"Origin: " + crossSite}
		if tt.session {
			lines = append(lines, "Cookie: "+x.session)
		}
		a := x.ask(t, tt.target, "protect", crossRequest(http.MethodPost, tt.target, tt.form, lines...))
		if a.status != tt.status || (a.status == http.StatusSeeOther) != (a.header["Location"] != nil) {
			t.Errorf("%s %s: %d to %q, want %d", tt.target, tt.form, a.status, a.header["Location"], tt.status)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, uri := range []string{"/x", "/logout.php"} {
			a := x.ask(t, method+" "+uri, "service", crossRequest(http.MethodGet, "/_vipps/authz/forward-auth", "",
				"X-Forwarded-Method: "+method, "X-Forwarded-Proto: https", "X-Forwarded-Host: "+crossHost, "X-Forwarded-Uri: "+uri))
			want := http.StatusUnauthorized
			if uri == "/logout.php" {
				want = http.StatusSeeOther
			}
			if a.status != want {
				t.Errorf("a proxy asks about %s %s: %d to %q, want %d", method, uri, a.status, a.header["Location"], want)
			}
		}
	}
}
