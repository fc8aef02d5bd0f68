package forwardauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Where all logins are made at a site that has a configuration of its own, logins land there too, and operators come back from there.
// A site that shares no sessions has neither.
func TestLandingsWhereLoginsAreMade(t *testing.T) {
	t.Parallel()
	client, err := vipps.New(vipps.Config{Issuer: "https://op.example/", ClientID: "shop", ClientSecret: "shop secret"})
	if err != nil {
		t.Fatal(err)
	}
	at := func(origin, domain, auth string) forwardauth.Config {
		return forwardauth.Config{
			Client: client, Keys: session.Keys{labKey()}, PublicURLs: []string{origin}, CookieDomain: domain, AuthURL: auth, WithoutSession: forwardauth.WithoutSessionPage, Silent: forwardauth.SilentOff,
		}
	}
	cfg := at("https://a.example.com", "example.com", "https://b.example.com")
	cfg.Landings = []forwardauth.Landing{{Path: landingPath, Finish: func(context.Context, url.Values) (*vipps.Login, string, error) {
		return ola(), "https://a.example.com/x", nil
	}}}
	cfg.Sites = []forwardauth.Config{at("https://b.example.com", "example.com", "https://b.example.com"), at("https://c.example.net", "", "")}
	e, err := forwardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	people, err := e.ForPeople([]string{ola().User.Sub}, func(http.ResponseWriter, *http.Request, forwardauth.Person) {})
	if err != nil {
		t.Fatal(err)
	}
	get := func(h http.Handler, address string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", address, http.NoBody), httptest.NewRecorder()
		r.Header = navigation()
		h.ServeHTTP(w, r)
		return w
	}
	for _, origin := range []string{"https://a.example.com", "https://b.example.com"} {
		if w := get(e.ForwardAuth(), origin+landingPath+"?code=c"); !strings.HasPrefix(w.Header().Get("Location"), origin+"/_vipps/result?t=") {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
	if w := get(e.ForwardAuth(), "https://c.example.net"+landingPath+"?code=c"); w.Code != http.StatusNotFound {
		t.Errorf("a site of its own: %d", w.Code)
	}
	first := get(people, "https://a.example.com/_vipps/merchant/")
	second := get(e.ForwardAuth(), first.Header().Get("Location"))
	third := get(e.ForwardAuth(), second.Header().Get("Location"))
	if !strings.Contains(third.Body.String(), `name="rd" value="https://a.example.com/_vipps/merchant/"`) {
		t.Errorf("an operator's login comes back elsewhere: %s, %s", first.Header().Get("Location"), second.Header().Get("Location"))
	}
	for _, rd := range []string{"https://b.example.com/_vipps/merchant/", "https://c.example.net/_vipps/merchant/", "/_vipps/merchant/"} {
		if w := get(e.ForwardAuth(), "https://b.example.com/_vipps/login?mode=page&rd="+url.QueryEscape(rd)); !strings.Contains(w.Body.String(), `name="rd" value="/"`) {
			t.Errorf("a login comes back to %s: %d", rd, w.Code)
		}
	}
}
