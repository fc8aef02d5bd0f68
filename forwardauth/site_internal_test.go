package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// shared is an engine of two sites that share their session and log in at a third host; change may change the second site.
func shared(t *testing.T, change func(first, second *Config)) *Engine {
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
	sealed, err := s.sessions.Seal(d.append(nil))
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

// A session of another instance that asks for less doesn't open, although domain, client and keys are the same.
func TestSharedSessionIsBoundToWhatItIsWorth(t *testing.T) {
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

func clientWith(t *testing.T, acr string) *vipps.Client {
	t.Helper()
	c, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "a", ClientSecret: "b", ACRValues: acr})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
