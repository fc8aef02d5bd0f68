package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// shared is an engine of two sites that share their session and log in at a third host; change may change the second site.
func shared(t testing.TB, change func(first, second *Config)) *Engine {
	t.Helper()
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "a", ClientSecret: "b"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	first := Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://a.club.example"}, CookieDomain: "club.example", AuthURL: "https://login.club.example",
	}
	second := first
	second.PublicURLs = []string{"https://b.club.example"}
	change(&first, &second)
	first.Sites = []Config{second}
	e, err := New(first)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sessionOf is the cookie of a session of this person.
func (e *Engine) sessionOf(t *testing.T, host, sub string) string {
	t.Helper()
	s := e.siteOf(host)
	now := time.Now()
	d := sessionData{ID: "session of " + sub, Sub: sub, AuthTime: now, Issued: now, Expires: now.Add(time.Hour)}
	sealed, err := s.sessions.Seal(d.payload())
	if err != nil {
		t.Fatal(err)
	}
	return s.jar.CookieName() + "=" + sealed
}

// navigate opens a page of the standalone service.
func (e *Engine) navigate(host, target string, cookies ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r.Host = host
	r.Header = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": {strings.Join(cookies, "; ")}}
	w := httptest.NewRecorder()
	e.ForwardAuth().ServeHTTP(w, r)
	return w
}

// A person who may not pass where the login is made may still pass where they came from: that site judges.
func TestLoginOfAnotherSiteIsNotJudgedHere(t *testing.T) {
	t.Parallel()
	e := shared(t, func(first, second *Config) { first.Allow, second.Allow = []string{"the-chair"}, []string{"anyone"} })
	member := e.sessionOf(t, "a.club.example", "a-member")
	for rd, want := range map[string]string{
		"https://b.club.example/x?y": "https://b.club.example/x?y",
		"/":                          "",
		"https://evil.example/":      "",
	} {
		w := e.navigate("login.club.example", "/_vipps/login?rd="+url.QueryEscape(rd), member)
		if got := w.Header().Get("Location"); got != want || want == "" && w.Code != http.StatusForbidden {
			t.Errorf("rd=%s: %d to %q", rd, w.Code, got)
		}
	}
	var hints []string
	for round := range 5 { // nor does a session that only this host sees go round for ever
		w := e.navigate("login.club.example", "/_vipps/login?rd=https%3A%2F%2Fb.club.example%2F", append(hints, member)...)
		if w.Code != http.StatusFound {
			return
		}
		if round == 4 {
			t.Error("the fifth round goes on")
		}
		hints = nil
		for _, line := range w.Header()["Set-Cookie"] {
			pair, _, _ := strings.Cut(line, ";")
			hints = append(hints, pair)
		}
	}
}

// C-031: a neighbour in the domain plants a second hint. What a logout left is not forgotten for that: the next login
// still waits for its click.
func TestSec_C031_LogoutIsRememberedBesidePlantedHint(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	s, now := e.siteOf("login.club.example"), time.Now()
	cookie := func(h hint) string {
		sealed, err := s.hints.Seal(h.payload())
		if err != nil {
			t.Fatal(err)
		}
		return s.hintJar.CookieName() + "=" + sealed
	}
	own := cookie(hint{Logout: waitsForClick, LoggedOutAt: now})
	old := cookie(hint{MissUntil: now.Add(time.Minute)})
	garbage := strings.Repeat("A", 200)
	for name, cookies := range map[string][]string{
		"alone":          {own},
		"garbage first":  {s.hintJar.CookieName() + "=1" + garbage, own},
		"garbage last":   {own, s.hintJar.CookieName() + "=1" + garbage},
		"an older first": {old, own},
		"an older last":  {own, old},
	} {
		if h := e.hint(s, http.Header{"Cookie": {strings.Join(cookies, "; ")}}); h.Logout != waitsForClick || !h.loggedOutSince(now.Add(-time.Second)) {
			t.Errorf("%s: %+v", name, h)
		}
		if w := e.navigate("login.club.example", "/_vipps/login?rd=/", cookies...); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "/_vipps/login") {
			t.Errorf("%s: %d to %s", name, w.Code, w.Header().Get("Location"))
		}
	}
}

// A session of another instance that asks for less doesn't open, although domain, client and keys are the same.
func TestSec_B077_SharedSessionIsBoundToWhatItIsWorth(t *testing.T) {
	t.Parallel()
	var firstConfig Config
	e := shared(t, func(first, _ *Config) { firstConfig = *first })
	cookie := e.sessionOf(t, "a.club.example", "somebody")
	for name, tt := range map[string]struct {
		change func(*Config)
		opens  bool
	}{
		"the same":  {func(*Config) {}, true},
		"drop":      {func(c *Config) { c.EmailUnverified = EmailUnverifiedDrop }, true},
		"pass":      {func(c *Config) { c.EmailUnverified = EmailUnverifiedPass }, false},
		"certainty": {func(c *Config) { c.Client = clientWith(t, "urn:vipps:high") }, false},
		"no domain": {func(c *Config) { c.CookieDomain, c.AuthURL = "", "" }, false},
	} {
		cfg := firstConfig
		cfg.Sites = nil
		tt.change(&cfg)
		other, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		// The name of the cookie is as the other instance would read it.
		_, value, _ := strings.Cut(cookie, "=")
		s := other.siteOf("a.club.example")
		h := http.Header{"Cookie": {s.jar.CookieName() + "=" + value}}
		if op, _ := other.session(s, h, time.Now()); (op != nil) != tt.opens {
			t.Errorf("%s: opens %t", name, op != nil)
		}
	}
}

// Attack: what one site has sealed is brought to another one, or to another purpose. Sites that share their sessions share
// these and the hints, and nothing that belongs to a login: that is bound to the place where it was begun.
func TestSec_B074_B077_C030_WhatIsSharedAndWhatIsNot(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	a, b := e.siteOf("a.club.example"), e.siteOf("b.club.example")
	boxes := func(s *site) []*session.Box {
		return []*session.Box{s.sessions, s.hints, s.pending, s.confirms, s.states, s.results}
	}
	for i, box := range boxes(a) {
		sealed, err := box.Seal([]byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range boxes(b) {
			if _, err := other.Open(sealed); (err == nil) != (i == j && i < 2) {
				t.Errorf("what box %d has sealed, box %d of the other site opens with %v", i, j, err)
			}
		}
		for j, other := range boxes(a) {
			if _, err := other.Open(sealed); (err == nil) != (i == j) {
				t.Errorf("what box %d has sealed, box %d opens with %v", i, j, err)
			}
		}
	}
}

// Attack: a client names another site in X-Forwarded-Host, itself or in front of what its proxy says, and is judged there.
func TestSec_C060_SiteIsNotTheClients(t *testing.T) {
	t.Parallel()
	e := shared(t, func(first, _ *Config) {
		first.TrustedProxies, first.ProxySecret = []string{"loopback"}, "a secret of the proxy"
	})
	const own, other, secret = "a.club.example", "b.club.example", "a secret of the proxy"
	for _, tt := range []struct {
		peer, secret string
		hosts        []string
		want         string
	}{
		{"127.0.0.1:1", secret, []string{other}, other},
		{"127.0.0.1:1", secret, []string{"B.club.example"}, other},
		{"127.0.0.1:1", secret, []string{other, own}, own},
		{"127.0.0.1:1", secret, []string{other + ", " + own}, own},
		{"127.0.0.1:1", secret, []string{"evil.example"}, own},
		{"127.0.0.1:1", "another", []string{other}, own},
		{"127.0.0.1:1", "", []string{other}, own},
		{"203.0.113.7:1", secret, []string{other}, own},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://"+own+"/", http.NoBody)
		r.RemoteAddr = tt.peer
		r.Header = http.Header{"X-Forwarded-Host": tt.hosts, "X-Forwarded-Proto": {"http"}, headerProxySecret: {tt.secret}}
		wantScheme := "http"
		if tt.peer != "127.0.0.1:1" || tt.secret != secret {
			wantScheme = "https"
		}
		if o := e.browserRequest(r); o.Host != tt.want || o.Scheme != wantScheme {
			t.Errorf("%s with secret %q, X-Forwarded-Host %q: %s://%s", tt.peer, tt.secret, tt.hosts, o.Scheme, o.Host)
		}
	}
}

// Attack: a person who may pass at one site asks another one's own pages, through the same handler. Each site's pages are
// those of its own rules.
func TestSec_E09_OwnPagesAreTheSites(t *testing.T) {
	t.Parallel()
	e := shared(t, func(first, second *Config) { first.Allow, second.Allow = []string{"anyone"}, []string{"the-chair"} })
	member := e.sessionOf(t, "a.club.example", "a-member")
	protected := e.Protect(http.NotFoundHandler())
	for _, path := range []string{"/_vipps/me", "/x"} {
		r := httptest.NewRequest(http.MethodGet, "https://b.club.example"+path, http.NoBody)
		r.Header = http.Header{"Cookie": {member}}
		w := httptest.NewRecorder()
		if protected.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// Attack: a copy of the cookie is used at another site of the domain once its person has logged out.
func TestSec_A132_LogoutEndsTheSharedSession(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	cookie := http.Header{"Cookie": {e.sessionOf(t, "a.club.example", "somebody")}}
	a, b, now := e.siteOf("a.club.example"), e.siteOf("b.club.example"), time.Now()
	if op, _ := b.engine.session(b, cookie, now); op == nil {
		t.Fatal("the session isn't shared")
	}
	a.engine.endSessions(a, cookie, now)
	if op, why := b.engine.session(b, cookie, now); op != nil || why != cookieRevoked {
		t.Errorf("the other site still has a session, %d", why)
	}
}

// Attack: a login is asked to come back to a host that only begins or ends like a site of the domain, or is in it and no
// site.
func TestSec_C001_B002_B069_B100_ReturnToOfSharedSites(t *testing.T) {
	t.Parallel()
	s := shared(t, func(_, _ *Config) {}).siteOf("a.club.example")
	for rd, want := range map[string]string{
		"https://b.club.example/x?y":              "https://b.club.example/x?y",
		"https://a.club.example/x":                "/x",
		"https://b.club.example.evil.example/":    "/",
		"https://b.club.example@evil.example/":    "/",
		"https://b.club.example:pw@evil.example/": "/",
		"https://b.club.example:8443/":            "/",
		"https://b.club.example":                  "/",
		"https://b.club.example//evil.example":    "/",
		"https://b.club.example/\\evil.example":   "/",
		"http://b.club.example/":                  "/",
		"https://evil.example/":                   "/",
		"https://club.example/":                   "/",
		"https://c.club.example/":                 "/",
		"https://evilclub.example/":               "/",
		"https://a.evilclub.example/":             "/",
		"https://xa.club.example/":                "/",
		"https://a.club.example.evil.example/":    "/",
		"https://a-club.example/":                 "/",
		"https://A.CLUB.EXAMPLE/":                 "/",
		"https://b.club.example/_vipps/logout":    "/",
		"https://b.club.example/x#y":              "/",
	} {
		if got := s.returnTo(rd); got != want {
			t.Errorf("returnTo(%q) = %q, want %q", rd, got, want)
		}
	}
	for _, line := range corpus(t, "testdata/hostile/redirect.txt") {
		for _, own := range []string{"a.club.example", "b.club.example"} {
			raw := strings.ReplaceAll(line, "app.example", own)
			want := "/"
			if raw == "https://b.club.example/" {
				want = raw
			}
			if got := s.returnTo(raw); got != want {
				t.Errorf("returnTo(%.100q) = %.100q, want %q", raw, got, want)
			}
			if got := s.returnTo("https://b.club.example" + line); got != "/" {
				t.Errorf("returnTo(%.100q) behind an origin = %.100q", line, got)
			}
		}
	}
	if got := s.returnToOf(url.Values{"rd": {"/x", "/y"}}); got != "/" { // V6: nobody knows which one a proxy has looked at
		t.Errorf("of two places to come back to, %q", got)
	}
}

// Attack: a header that only the first site is configured for is sent to another one, whose proxy may not copy it. The one
// that is asked about refuses, in every dialect.
func TestSec_E09_AliasesAreThoseOfTheSiteAskedAbout(t *testing.T) {
	t.Parallel()
	e := shared(t, func(first, _ *Config) {
		first.Headers, first.TrustedProxies = []string{"default", "Remote-User=sub"}, []string{"loopback"}
	})
	for host, want := range map[string]int{"a.club.example": http.StatusOK, "b.club.example": http.StatusForbidden} {
		h := http.Header{
			"Remote-User": {"somebody"}, "X-Original-Method": {"GET"}, "X-Original-Url": {"https://" + host + "/x"},
			"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {"/x"},
			"Cookie": {e.sessionOf(t, host, "a-member")},
		}
		for _, path := range []string{"forward-auth", "auth-request", "ext-authz/default/x"} {
			r := httptest.NewRequest(http.MethodGet, "https://"+host+pathAuthz+path, http.NoBody)
			r.RemoteAddr, r.RequestURI, r.Header = "127.0.0.1:1", pathAuthz+path, h
			w := httptest.NewRecorder()
			if e.ForwardAuth().ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s, %s: %d", host, path, w.Code)
			}
		}
		w := httptest.NewRecorder()
		if e.Judge(w, Original{Method: "GET", Scheme: "https", Host: host, URI: "/x", Header: h}, "127.0.0.1:1"); w.Code != want {
			t.Errorf("%s, Judge: %d", host, w.Code)
		}
	}
}

// What every answer shares stays as it is, however often a proxy with a secret asks.
func TestAlsoSecretLeavesWhatIsShared(t *testing.T) {
	t.Parallel()
	empty := emptyHeaders([]string{"X-Vipps-Sub"}, func(int) string { return "" })
	if got := alsoSecret(empty); empty[0] != "X-Vipps-Sub" || got[0] != "X-Vipps-Sub,"+headerProxySecret {
		t.Errorf("%q becomes %q", empty, got)
	}
}

func clientWith(t *testing.T, acr string) *vipps.Client {
	t.Helper()
	c, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "a", ClientSecret: "b", ACRValues: acr})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
