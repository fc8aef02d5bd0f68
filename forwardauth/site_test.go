package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// The attacks of this file: what is true at one site of an engine is brought to another one.

const secondSite = "second.localhost:1"

// besides adds a second site to the lab, with the same app and provider, that differs in what change sets.
func besides(change func(*forwardauth.Config)) func(*forwardauth.Config) {
	return func(c *forwardauth.Config) {
		second := *c
		second.PublicURLs = []string{"http://" + secondSite}
		change(&second)
		c.Sites = []forwardauth.Config{second}
	}
}

// Attack: an identity header that only a neighbouring site is configured for is sent to this one, whose app may be the
// same and believes it. Every site of an instance removes, clears and refuses the headers of all of them.
func TestSec_E09_HeadersOfAnotherSite(t *testing.T) {
	t.Parallel()
	l := newLab(t, besides(func(c *forwardauth.Config) {
		c.Headers = []string{"default", "Remote-User=phone_number", "X-Vipps-Birthdate=birthdate"}
	}))
	b := l.loggedIn(phoneAase)
	for _, name := range []string{"Remote-User", "remote_user", "REMOTE.USER"} {
		h := navigation()
		h[name] = []string{phonePer}
		if a := b.send("GET", "/x", h, ""); a.StatusCode != http.StatusOK {
			t.Fatalf("%d", a.StatusCode)
		}
		for got := range l.last().Header {
			if strings.EqualFold(strings.NewReplacer("_", "-", ".", "-").Replace(got), "Remote-User") {
				t.Errorf("%s reaches the app", name)
			}
		}
	}
	a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/x"), "")
	if got := a.Header["Remote-User"]; a.StatusCode != http.StatusOK || len(got) != 1 || got[0] != "" {
		t.Errorf("forward-auth: %d, and a proxy that copies has nothing to clear the client's header with: %q", a.StatusCode, got)
	}
	// Whether the proxy of this site copies what only the neighbour has, nobody knows.
	for _, name := range []string{"Remote-User", "Remote_user", "X-Vipps-Birthdate"} {
		h := l.judged("/x")
		h[name] = []string{phonePer}
		if a := b.send("GET", "/_vipps/authz/forward-auth", h, ""); a.StatusCode != http.StatusForbidden || a.Header.Get("X-Vipps-Sub") != "" {
			t.Errorf("%s in forward-auth: %d", name, a.StatusCode)
		}
	}
}

// Attack: a proxy that is trusted hands on the X-Forwarded-Host of the client, who is somebody at one site, with the Host
// of another one: the app, which may tell its sites apart by Host, gets the one that was judged.
func TestSec_B035_AppGetsTheSiteThatWasJudged(t *testing.T) {
	t.Parallel()
	l := newLab(t, besides(func(c *forwardauth.Config) { c.Allow = []string{phonePer} }))
	b := l.loggedIn(phoneAase)
	first := l.site.Listener.Addr().String()
	for _, host := range []string{secondSite, "Second.Localhost:1", "intern.example"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.site.URL+"/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header = http.Header{"X-Forwarded-Host": {first}, "X-Forwarded-Proto": {"http"}, "Cookie": {"vippsauth=" + b.cookie("vippsauth")}}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if got := l.last().Host; a.StatusCode != http.StatusOK || got != first {
			t.Errorf("judged as %s: %d, and the app gets Host %s", first, a.StatusCode, got)
		}
	}
}

// Attack: a login at a site that shares its session, but asks for less certainty of who it is, is used at one that asks
// for more. What a login is good for must be the same where it counts.
func TestSharedSessionsRefused(t *testing.T) {
	t.Parallel()
	client := func(acr string) *vipps.Client {
		c, err := vipps.New(vipps.Config{Issuer: "https://op.example", ClientID: "a", ClientSecret: "s", ACRValues: acr})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, tt := range map[string]struct {
		change func(first, second *forwardauth.Config)
		want   string
	}{
		"more certainty": {func(_, b *forwardauth.Config) { b.Client = client("urn:vipps:high") }, "must have the same acr_values"},
		"silent elsewhere": {func(a, b *forwardauth.Config) {
			a.AuthURL, b.AuthURL, b.Silent = "https://login.example.com", "https://login.example.com", "off"
		}, "must have the same silent"},
		"logs in at a site that doesn't share": {func(a, b *forwardauth.Config) {
			b.CookieDomain, b.AuthURL = "", ""
			a.AuthURL = "https://b.example.com"
		}, "auth_url: https://b.example.com doesn't share"},
		"logs in at a site of another domain": {func(a, b *forwardauth.Config) {
			a.CookieDomain, a.AuthURL = "", ""
			a.PublicURLs = []string{"https://evil.example"}
			b.AuthURL = "https://evil.example"
		}, "https://evil.example doesn't share"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := forwardauth.Config{Client: client(""), Keys: session.Keys{labKey()}, PublicURLs: []string{"https://a.example.com"}, CookieDomain: "example.com"}
			second := first
			second.PublicURLs = []string{"https://b.example.com"}
			tt.change(&first, &second)
			first.Sites = []forwardauth.Config{second}
			if _, err := forwardauth.New(first); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New says %v, want %q", err, tt.want)
			}
		})
	}
}

// The place where logins are made may have a section of its own, wherever that stands.
func TestAuthURLIsASiteOfItsOwn(t *testing.T) {
	t.Parallel()
	client, err := vipps.New(vipps.Config{Issuer: "https://op.example", ClientID: "a", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	first := forwardauth.Config{
		Client: client, Keys: session.Keys{labKey()}, PublicURLs: []string{"https://a.example.com"},
		CookieDomain: "example.com", AuthURL: "https://login.example.com",
	}
	second := first
	second.PublicURLs, second.SiteName = []string{"https://Login.example.com:443/"}, "The door"
	first.Sites = []forwardauth.Config{second}
	e, err := forwardauth.New(first)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.RedirectURIs(); len(got) != 1 || got[0] != "https://login.example.com/_vipps/callback" {
		t.Errorf("redirect URIs: %v", got)
	}
}
