package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: two providers in one process, staging and production say. The callback of a login that began with one is brought
// to the engine of the other, with its cookie: neither is sent the code (mix-up, RFC 9700 section 4.4).
func TestSec_A099_B077_AnotherIssuersCode(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	staging, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Spinner: -1, Now: l.clock.now,
		Clients: []emulator.Client{{ID: "shop", Secret: "shop secret+/=", RedirectURIs: []string{l.site.URL + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = staging.Close() })
	other, err := vipps.New(vipps.Config{Issuer: staging.Issuer, ClientID: "shop", ClientSecret: "shop secret+/=", Now: l.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	second := newReplica(t, l, func(c *forwardauth.Config) { c.Client = other })
	b := l.browser()
	callback := b.begin("/")
	l.takeTurns(func(string) http.Handler { return second })
	a := b.send("GET", callback, navigation(), "")
	if n := staging.Control().Calls()[emulator.EndpointToken] + l.tokenCalls(); n != 0 || b.cookie("vippsauth") != "" || a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d: the code was sent %d times", a.StatusCode, n)
	}
	l.takeTurns(nil)
	value := l.loggedIn(phoneAase).cookie("vippsauth")
	l.takeTurns(func(string) http.Handler { return second })
	if l.opens(value) {
		t.Error("a session of one provider passes at the engine of another")
	}
}

// A nonce of another login is noticed before anything is done with the tokens: userinfo isn't asked, and nobody is logged in.
func TestSec_A093_NonceBeforeUserinfo(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	for _, kind := range []string{emulator.BreakWrongNonce, emulator.BreakMissingNonce, emulator.BreakWrongAtHash, emulator.BreakWrongAud, emulator.BreakBadSignature} {
		if err := l.vipps.Control().Break(kind, 1); err != nil {
			t.Fatal(err)
		}
		asked := l.vipps.Control().Calls()[emulator.EndpointUserinfo]
		b := l.browser()
		if a := b.visit("/"); a.StatusCode != http.StatusBadGateway || b.cookie("vippsauth") != "" || l.vipps.Control().Calls()[emulator.EndpointUserinfo] != asked {
			t.Errorf("%s: %d, session %q, userinfo asked %t", kind, a.StatusCode, b.cookie("vippsauth"), l.vipps.Control().Calls()[emulator.EndpointUserinfo] != asked)
		}
	}
}

// Attack: somebody gives themselves an e-mail address, a name or a number that reads like one of the list. Only the sub and the
// phone number count, whole; there is no list of e-mail domains to be mistaken about.
func TestSec_B008_B010_OnlySubAndPhoneCount(t *testing.T) {
	t.Parallel()
	var sub string
	{
		l := newLab(t, nil)
		_, sub, _ = l.engine.SessionOf(l.loggedIn(phoneAase).cookie("vippsauth"))
	}
	for name, allow := range map[string][]string{"by phone": {"+47 900 00 001"}, "by sub": {sub}, "by both": {"+4790000001", sub}} {
		l := newLab(t, func(c *forwardauth.Config) {
			c.Allow, c.Headers = allow, []string{"default", "X-Vipps-Email=email", "X-Vipps-Phone-Number=phone_number"}
		})
		if a := l.loggedIn(phoneAase).visit("/"); a.StatusCode != http.StatusOK {
			t.Errorf("%s: who is listed gets %d", name, a.StatusCode)
		}
		for i, p := range []emulator.Person{
			{Email: "a@evil.example@app.example", EmailVerified: true},
			{Email: phoneAase + "@app.example", EmailVerified: true},
			{Email: sub, EmailVerified: true},
			{Name: sub},
			{Name: phoneAase},
			{GivenName: "+4790000001"},
			{Gender: sub},
			{},
		} {
			p.ID, p.Phone = "impostor", "47900000010"+string(rune('0'+i))
			if p.Name == "" {
				p.Name = "Impostor"
			}
			p.ID += p.Phone
			if err := l.vipps.Control().AddPerson(p); err != nil {
				t.Fatal(err)
			}
			l.as(p.Phone)
			b := l.browser()
			hits := l.hits()
			if a := b.visit("/"); a.StatusCode != http.StatusForbidden || l.hits() != hits {
				t.Errorf("%s: %+v gets %d", name, p, a.StatusCode)
			}
			if a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/"), ""); a.StatusCode != http.StatusForbidden || a.Header.Get("X-Vipps-Sub") != "" {
				t.Errorf("%s: %+v is judged with %d", name, p, a.StatusCode)
			}
		}
	}
	for _, entry := range []string{"app.example", "@app.example", "a@app.example", "*@app.example", "a@evil.example@app.example"} {
		_, err := forwardauth.New(forwardauth.Config{Allow: []string{entry}})
		if err == nil || !strings.Contains(err.Error(), "allow") && entry != "app.example" {
			t.Errorf("allow %q: %v", entry, err)
		}
	}
}

// Attack, by accident: our cookies, several kilobytes of them, are passed on until the application refuses the header. None of
// ours reaches it, and the others arrive byte for byte, in their lines.
func TestSec_B016_B106_CookiesOfTheApp(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	value := l.loggedIn(phoneAase).cookie("vippsauth")
	own := "vippsauth=" + value
	for _, tt := range []struct{ sent, want []string }{
		{[]string{own}, nil},
		{[]string{own + `; a=1; b="x y";  c=å;;d ; e=f=g`}, []string{`a=1; b="x y";  c=å;;d ; e=f=g`}},
		{[]string{`a=1; ` + own + `; vippsauth-hint=x; vippsauth.1=y; vippsauth-login-0000000AAAAAAAAAAAA=z; __Host-vippsauth=w; vippsauthor=kept`}, []string{"a=1; vippsauthor=kept"}},
		{[]string{"a=1", own, "b=2; vippsauth-1=other; c=3"}, []string{"a=1", "b=2; c=3"}},
		{[]string{own + "; " + strings.Repeat("x", 9000) + "=1"}, []string{strings.Repeat("x", 9000) + "=1"}},
		{[]string{own + "; ="}, []string{"="}},
		{[]string{";" + own + "; ;a"}, []string{"; ;a"}},
	} {
		h := navigation()
		h["Cookie"] = tt.sent
		r, err := http.NewRequestWithContext(t.Context(), "GET", l.site.URL+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h // and not by way of a browser, which joins its lines
		w, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = w.Body.Close(); w.StatusCode != http.StatusOK {
			t.Fatalf("%.80q: %d", tt.sent, w.StatusCode)
		}
		if diff := cmp.Diff(tt.want, l.last().Header["Cookie"]); diff != "" {
			t.Errorf("%.80q: %s", tt.sent, diff)
		}
	}
}

// Attack: claims with line ends, other line separators, NUL and DEL, to begin a header of one's own. Each header stands once,
// on one line, and holds no control character, whatever its encoding.
func TestSec_B114_ControlCharactersInClaims(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"utf-8", "percent", "latin1", "ascii", "base64url"} {
		l := newLab(t, func(c *forwardauth.Config) { c.HeaderEncoding = encoding })
		for i, evil := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029", "\x00", "\x7f", "\x1b[2J", "\v\f", "\u202e", "\ufeff", "\xff\xfe"} {
			name := "Ola" + evil + "X-Vipps-Sub: admin" + evil
			p := emulator.Person{ID: "evil" + string(rune('a'+i)), Phone: "4791100" + string(rune('1'+i/10)) + string(rune('0'+i%10)) + "0", Name: name, GivenName: name, FamilyName: evil}
			if err := l.vipps.Control().AddPerson(p); err != nil {
				t.Fatal(err)
			}
			l.as(p.Phone)
			b := l.browser()
			if a := b.visit("/"); a.StatusCode != http.StatusOK {
				t.Fatalf("%s, %q: %d %s", encoding, evil, a.StatusCode, a.text)
			}
			answer := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/"), "")
			for where, h := range map[string]http.Header{"the app": l.last().Header, "the proxy": answer.Header} {
				_, sub, _ := l.engine.SessionOf(b.cookie("vippsauth"))
				if encoding != "base64url" && encoding != "percent" && !cmp.Equal(h["X-Vipps-Sub"], []string{sub}) || len(h["X-Vipps-Sub"]) != 1 {
					t.Errorf("%s, %q: %s reads %q", encoding, evil, where, h["X-Vipps-Sub"])
				}
				for header, values := range h {
					if !strings.HasPrefix(header, "X-Vipps-") {
						continue
					}
					for _, v := range values {
						if strings.ContainsFunc(v, unicode.IsControl) && encoding != "latin1" || strings.ContainsAny(v, "\r\n\x00\x7f\u0085\u2028\u2029") {
							t.Errorf("%s, %q: %s gets %s: %q", encoding, evil, where, header, v)
						}
					}
				}
			}
		}
	}
}

// Attack: another site's page, a sandboxed frame, or a page of plain http sends our forms. None is taken, and the session
// stays.
func TestSec_B132_OriginsOfForms(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	value := b.cookie("vippsauth")
	own := l.site.URL
	port := own[strings.LastIndexByte(own, ':'):]
	for _, h := range []http.Header{
		{"Origin": {"https://evil.example"}},
		{"Origin": {"null"}},
		{"Origin": {"https://127.0.0.1" + port}},
		{"Origin": {"http://127.0.0.1"}},
		{"Origin": {own + ".evil.example"}},
		{"Origin": {own + "@evil.example"}},
		{"Origin": {"http://evil.example/" + own}},
		{"Origin": {own, "https://evil.example"}},
		{"Referer": {own + ".evil.example/"}},
		{"Referer": {"https://evil.example/?" + own}},
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {own}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {own}},
		{"Sec-Fetch-Site": {"none"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-origin", "same-origin"}},
	} {
		h["Content-Type"] = []string{"application/x-www-form-urlencoded"}
		for _, path := range []string{"/_vipps/logout", "/_vipps/login", "/_vipps/result"} {
			a := b.send("POST", path, h.Clone(), "rd=/&then=login&choice=continue&token=x")
			if a.StatusCode != http.StatusForbidden || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s with %v: %d %v", path, h, a.StatusCode, a.Header["Set-Cookie"])
			}
		}
	}
	if !l.opens(value) || b.cookie("vippsauth") != value {
		t.Error("she was logged out by one of them")
	}
	if a := b.post("/_vipps/logout", nil); a.StatusCode != http.StatusSeeOther || l.opens(value) {
		t.Errorf("her own form: %d", a.StatusCode)
	}
}

// A key is replaced while people are logged in, as the operator's manual has it: the new one is added, put first, and the old
// one goes when its sessions are over. Nobody notices. Whoever takes it out sooner logs people out once, without a loop.
func TestSec_D18_RotationThroughTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionTTL = 8 * time.Hour })
	l.silent(emulator.NoDialogHit)
	old := labKey()
	fresh, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	run := func(keys ...session.Key) {
		handler := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = keys })
		l.takeTurns(func(string) http.Handler { return handler })
	}
	straight := func(what string, b *browser) {
		t.Helper()
		if a := b.visit("/p"); !strings.Contains(a.text, "app: GET /p auth=authenticated name=Åse") || len(b.trail) != 1 {
			t.Errorf("%s: %d after %v", what, a.StatusCode, b.trail)
		}
	}
	early, left := l.loggedIn(phoneAase), l.loggedIn(phoneAase)
	left.post("/_vipps/logout", nil)
	onTheWay := l.browser()
	callback := onTheWay.begin("/way")
	l.clock.advance(30 * time.Second)
	run(old, fresh)
	straight("the new key added", early)
	l.clock.advance(30 * time.Second)
	run(fresh, old)
	straight("the new key first", early)
	if a := onTheWay.visit(callback); !strings.Contains(a.text, "app: GET /way auth=authenticated") {
		t.Errorf("a login that was on its way: %d %s", a.StatusCode, a.text)
	}
	if a := left.visit("/"); !strings.Contains(a.text, offersLogin) || left.passed("/oauth2/auth") != 0 {
		t.Errorf("who logged out before is logged in without a click: %d %v", a.StatusCode, left.trail)
	}
	late := l.browser()
	late.visit("/")
	l.clock.advance(7 * time.Hour)
	run(fresh)
	straight("sealed by the new key, the old one gone", late)
	if a := early.visit("/p?q"); !strings.Contains(a.text, "app: GET /p?q auth=authenticated") || early.passed("/oauth2/auth") != 1 || len(early.trail) > 6 {
		t.Errorf("sealed by the old key, which has gone: %d after\n%s", a.StatusCode, strings.Join(early.trail, "\n"))
	}
	straight("logged in anew", early)
	run(old) // and the operator goes back by mistake: again one login, and no loop
	if a := early.visit("/p"); !strings.Contains(a.text, "auth=authenticated") || early.passed("/oauth2/auth") != 1 {
		t.Errorf("back to the old key: %d after\n%s", a.StatusCode, strings.Join(early.trail, "\n"))
	}
	if l.log.FilterField(zapString("likely_cause", "other-key")).Len() > 0 {
		t.Error("the log calls a rotation a loop")
	}
}
