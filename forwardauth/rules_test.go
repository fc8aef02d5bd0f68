package forwardauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The stories of this file: several policies at one site, and several sites in one engine.

// behindProxy puts a proxy in front of the lab that asks for the policy that the first segment of a path names.
func (l *lab) behindProxy() {
	authz := l.engine.ForwardAuth()
	l.takeTurns(func(path string) http.Handler {
		if strings.HasPrefix(path, "/_vipps/") {
			return authz
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ask := r.Clone(r.Context())
			ask.Method, ask.RequestURI = http.MethodGet, ""
			ask.URL.RawQuery, ask.URL.Path = "", "/_vipps/authz/forward-auth/"+strings.Split(path, "/")[1]
			ask.Header.Set("X-Forwarded-Method", r.Method)
			ask.Header.Set("X-Forwarded-Proto", "http")
			ask.Header.Set("X-Forwarded-Host", r.Host)
			ask.Header.Set("X-Forwarded-Uri", r.RequestURI)
			answer := httptest.NewRecorder()
			authz.ServeHTTP(answer, ask)
			if answer.Code != http.StatusOK {
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
				return
			}
			for name, values := range answer.Header() {
				if strings.HasPrefix(name, "X-Vipps-") || name == "Remote-User" {
					r.Header[name] = values
				}
			}
			l.app(w, r)
		})
	})
}

func policies(c *forwardauth.Config) {
	c.Policies = []forwardauth.Policy{
		{Name: "board", Allow: []string{phoneAase}, Headers: []string{"default", "Remote-User=phone_number"}},
		{Name: "open", WithoutSession: forwardauth.WithoutSessionAnonymous},
		{Name: "door", WithoutSession: forwardauth.WithoutSessionPage},
		{Name: "bare", Headers: []string{"X-Vipps-Given-Name=given_name"}},
	}
}

// One session, judged by each policy in its own way. A header that another policy has is sent empty.
func TestPoliciesOfOneSite(t *testing.T) {
	t.Parallel()
	l := newLab(t, policies)
	l.behindProxy()
	l.as(phoneAase)
	aase := l.browser()
	if a := aase.visit("/default/"); a.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", a.StatusCode, a.text)
	}
	l.as(phonePer)
	per := l.browser()
	if a := per.visit("/default/"); a.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", a.StatusCode, a.text)
	}
	for range 2 { // the second time from the cache
		for _, tt := range []struct {
			who    *browser
			policy string
			status int
			user   string
			name   string
		}{
			{aase, "default", 200, "", "Åse Ødegård"},
			{aase, "board", 200, phoneAase, "Åse Ødegård"},
			{aase, "bare", 200, "", ""},
			{aase, "open", 200, "", "Åse Ødegård"},
			{per, "default", 200, "", "Per Hansen"},
			{per, "board", 403, "", ""},
			{per, "door", 200, "", "Per Hansen"},
		} {
			a := tt.who.send("GET", "/_vipps/authz/forward-auth/"+tt.policy, l.judged("/x"), "")
			user, sent := a.Header["Remote-User"]
			if a.StatusCode != tt.status || a.Header.Get("Remote-User") != tt.user || tt.status == 200 && (!sent || len(user) != 1 || a.Header.Get("X-Vipps-Sub") == "") {
				t.Errorf("%s: %d, Remote-User %q", tt.policy, a.StatusCode, user)
			}
			if name := a.Header.Get("X-Vipps-Name"); tt.name != name && !(tt.policy != "bare" && strings.HasPrefix(name, tt.name[:3])) {
				t.Errorf("%s: X-Vipps-Name %q, want %q", tt.policy, name, tt.name)
			}
		}
	}
	if a := aase.send("GET", "/_vipps/authz/forward-auth/bare", l.judged("/x"), ""); a.Header.Get("X-Vipps-Given-Name") != "Åse" {
		t.Errorf("the policy's own header: %v", a.Header)
	}
}

// Whatever the policies say of those without a session happens through the login and back.
func TestPoliciesWithoutSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, policies)
	l.behindProxy()
	l.as(phoneAase)
	l.silent(emulator.NoDialogMiss)

	b := l.browser()
	if a := b.visit("/open/news"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "auth=anonymous") || b.asked(0).Get("requested_flow") != "no_dialog" {
		t.Errorf("a page that may be read anonymously: %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	if a := b.visit("/open/news"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("the second visit: %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
	}
	if a := b.visit("/default/x"); !strings.Contains(a.text, "auth=authenticated") || b.asked(0).Has("requested_flow") {
		t.Errorf("then a page that needs a login: %d %s", a.StatusCode, a.text)
	}
	if a := b.visit("/open/news"); !strings.Contains(a.text, "auth=authenticated") {
		t.Errorf("then the first again: %s", a.text)
	}

	b = l.browser()
	door := b.visit("/door/x")
	if door.StatusCode != http.StatusOK || !strings.Contains(door.text, "Log in") || b.passed("/oauth2/auth") != 1 {
		t.Errorf("a page with a button: %d\n%s", door.StatusCode, strings.Join(b.trail, "\n"))
	}
	if a := b.click("/_vipps/login", map[string][]string{"rd": {"/door/x"}}); !strings.Contains(a.text, "GET /door/x auth=authenticated") {
		t.Errorf("its button: %d %s", a.StatusCode, a.text)
	}
}

// On a site that is read anonymously by default a policy may want a login.
func TestPolicyNeedsLoginWhereTheSiteDoesNot(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		anonymous(c)
		c.Policies = []forwardauth.Policy{{Name: "members", WithoutSession: forwardauth.WithoutSessionLogin}}
	})
	l.behindProxy()
	l.as(phoneAase)
	l.silent(emulator.NoDialogMiss)
	b := l.browser()
	if a := b.visit("/members/x"); !strings.Contains(a.text, "auth=authenticated") || b.passed("/oauth2/auth") != 2 {
		t.Errorf("%d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	b = l.browser()
	if a := b.visit("/default/x"); !strings.Contains(a.text, "auth=anonymous") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// V2: an unknown policy is refused, in every dialect, and the log says which there are.
func TestSec_B015_C021_UnknownPolicy(t *testing.T) {
	t.Parallel()
	l := newLab(t, policies)
	b := l.loggedIn(phoneAase)
	for _, path := range []string{"forward-auth/", "forward-auth/Board", "forward-auth/board/", "forward-auth/nobody", "forward-auth/%62oard", "forward-auth/default/board"} {
		if a := b.send("GET", "/_vipps/authz/"+path, l.judged("/x"), ""); a.StatusCode != 403 || a.Header.Get("X-Vipps-Sub") != "" {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for _, path := range []string{"auth-request/nobody", "challenge/nobody"} {
		if a := b.send("GET", "/_vipps/authz/"+path, l.original("/x"), ""); a.StatusCode != 403 || a.Header.Get("X-Vipps-Sub") != "" {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if l.log.FilterMessageSnippet("unknown policy").FilterField(zapString("cure", "use default, board, open, door, bare, or add it to policies")).Len() == 0 {
		t.Error("the log doesn't say which policies there are")
	}
	d := l.engine.Decide(forwardauth.Original{Method: "GET", Scheme: "http", Host: l.site.Listener.Addr().String(), URI: "/", Policy: "nobody", Header: http.Header{}})
	if d.Verdict != forwardauth.Deny {
		t.Errorf("Decide says %v", d.Verdict)
	}
}

// What is wrong with several sites, a shared session or a policy is said before anything runs.
func TestSeveralSitesRefused(t *testing.T) {
	t.Parallel()
	client := func(id, issuer string) *vipps.Client {
		c, err := vipps.New(vipps.Config{Issuer: issuer, ClientID: id, ClientSecret: "s"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	otherKey, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	base := func() forwardauth.Config {
		return forwardauth.Config{Client: client("a", "https://op.example"), Keys: session.Keys{labKey()}, PublicURLs: []string{"https://a.example.com"}}
	}
	other := func(change func(*forwardauth.Config)) func(*forwardauth.Config) {
		return func(c *forwardauth.Config) {
			c.CookieDomain = "example.com"
			second := base()
			second.PublicURLs, second.CookieDomain = []string{"https://b.example.com"}, "example.com"
			change(&second)
			c.Sites = []forwardauth.Config{second}
		}
	}
	for name, tt := range map[string]struct {
		change func(*forwardauth.Config)
		want   string
	}{
		"outside the domain":   {func(c *forwardauth.Config) { c.CookieDomain = "example.org" }, "cookie_domain: doesn't hold https://a.example.com"},
		"only looks inside":    {func(c *forwardauth.Config) { c.CookieDomain = "ample.com" }, "cookie_domain: doesn't hold"},
		"a public suffix":      {func(c *forwardauth.Config) { c.CookieDomain = "com" }, "public suffix"},
		"co.uk":                {func(c *forwardauth.Config) { c.CookieDomain, c.PublicURLs = "co.uk", []string{"https://a.co.uk"} }, "public suffix"},
		"a dot in front":       {func(c *forwardauth.Config) { c.CookieDomain = ".example.com" }, "without a dot in front"},
		"upper case":           {func(c *forwardauth.Config) { c.CookieDomain = "Example.com" }, "lower case"},
		"attributes":           {func(c *forwardauth.Config) { c.CookieDomain = "example.com; Path=/x" }, "must be a domain"},
		"a port":               {func(c *forwardauth.Config) { c.CookieDomain = "example.com:8443" }, "must be a domain"},
		"auth_url alone":       {func(c *forwardauth.Config) { c.AuthURL = "https://login.example.com" }, "auth_url: needs cookie_domain"},
		"auth_url elsewhere":   {func(c *forwardauth.Config) { c.CookieDomain, c.AuthURL = "example.com", "https://login.example.org" }, "doesn't hold https://login.example.org"},
		"auth_url on http":     {func(c *forwardauth.Config) { c.CookieDomain, c.AuthURL = "example.com", "http://login.example.com" }, "auth_url: must be https"},
		"app_cookies":          {func(c *forwardauth.Config) { c.CookieDomain, c.AppCookies = "example.com", []string{"PHPSESSID"} }, "app_cookies: can't be used together"},
		"another client":       {other(func(c *forwardauth.Config) { c.Client = client("b", "https://op.example") }), "must have the same client_id"},
		"another auth_url":     {other(func(c *forwardauth.Config) { c.AuthURL = "https://b.example.com" }), "must have the same auth_url"},
		"other scopes":         {other(func(c *forwardauth.Config) { c.Scopes = []string{"name"} }), "must have the same scopes"},
		"unverified addresses": {other(func(c *forwardauth.Config) { c.EmailUnverified = "pass" }), "must have the same email_unverified"},
		"the same host twice":  {other(func(c *forwardauth.Config) { c.PublicURLs = []string{"https://A.example.com:443"} }), "listed twice"},
		"a site's own fault":   {other(func(c *forwardauth.Config) { c.WithoutSession = "maybe" }), "sites: https://b.example.com: without_session"},
		"a policy's name":      {func(c *forwardauth.Config) { c.Policies = []forwardauth.Policy{{Name: "a/b"}} }, "policy 1: its name"},
		"default twice":        {func(c *forwardauth.Config) { c.Policies = []forwardauth.Policy{{Name: "default"}} }, "policy 1: its name"},
		"another provider":     {other(func(c *forwardauth.Config) { c.Client = client("a", "https://other.example") }), "must have the same client_id and provider"},
		"another key":          {other(func(c *forwardauth.Config) { c.Keys = session.Keys{otherKey} }), "must have the same cookie_keys"},
		"a longer session":     {other(func(c *forwardauth.Config) { c.SessionTTL = 300 * time.Hour }), "must have the same session_ttl"},
		"never idle":           {other(func(c *forwardauth.Config) { c.SessionIdle = time.Minute }), "must have the same session_idle"},
		"with the browser":     {other(func(c *forwardauth.Config) { c.SessionPersist = "off" }), "must have the same session_persist"},
		"nobody is asked":      {other(func(c *forwardauth.Config) { c.ConfirmPerson = "never" }), "must have the same confirm_person"},
		"another scheme": {func(c *forwardauth.Config) {
			second := *c
			c.PublicURLs, c.CookieDomain = []string{"https://a.club.localhost"}, "club.localhost"
			second.PublicURLs, second.CookieDomain = []string{"http://b.club.localhost"}, "club.localhost"
			c.Sites = []forwardauth.Config{second}
		}, "must have the same scheme"},
		"two schemes": {func(c *forwardauth.Config) {
			c.PublicURLs, c.CookieDomain = []string{"https://a.club.localhost", "http://b.club.localhost"}, "club.localhost"
		}, "can't be shared between https and http"},
		"two ports": {func(c *forwardauth.Config) {
			c.PublicURLs, c.CookieDomain = []string{"https://a.example.com", "https://a.example.com:8443"}, "example.com"
		}, "can't be shared by two ports"},
		"who logs in anybody": {func(c *forwardauth.Config) { c.Emulator = true }, "environment: `emulator` logs in anybody"},
		"the same name twice": {func(c *forwardauth.Config) {
			c.Policies = []forwardauth.Policy{{Name: "x"}, {Name: "x", Allow: []string{"x1234"}}}
		}, "policy 2: its name"},
		"a policy's rule": {func(c *forwardauth.Config) { c.Policies = []forwardauth.Policy{{Name: "x", WithoutSession: "maybe"}} }, "policies: x: without_session"},
		"what it inherits": {func(c *forwardauth.Config) {
			c.Allow, c.WithoutSession, c.Policies = []string{"@/nowhere"}, "maybe", []forwardauth.Policy{{Name: "x", HeaderEncoding: "percent"}}
		}, "allow: entry 1"},
		"a policy's numbers": {func(c *forwardauth.Config) {
			c.Policies = []forwardauth.Policy{{Name: "x", Allow: []string{phoneAase}}}
		}, "lacks phoneNumber"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := base()
			tt.change(&cfg)
			_, err := forwardauth.New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New says %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "policies: x: allow") {
				t.Errorf("what a policy inherits is found wrong again: %v", err)
			}
			if _, ok := errors.AsType[*vipps.ConfigError](err); err != nil && !ok {
				t.Errorf("%v is no ConfigError", err)
			}
		})
	}
}
