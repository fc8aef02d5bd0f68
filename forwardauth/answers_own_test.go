package forwardauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack, by accident: a Go program or a Caddy with middleware around us that changes the headers of an answer where they
// stand, as Caddy's own replacements do. What it writes into the answer to one request is the identity in that to the next
// one, or that of everybody without one, or a race of two requests. Every answer has header values of its own.
func TestSec_D35_AnswersShareNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Policies = []forwardauth.Policy{{Name: "open", WithoutSession: forwardauth.WithoutSessionAnonymous}}
	})
	cookie := "vippsauth=" + l.loggedIn(phoneAase).cookie("vippsauth")
	app := l.engine.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { spoil(r.Header) }))
	ask := func(path, cookie string) http.Header {
		r := httptest.NewRequest("GET", l.site.URL+path, http.NoBody)
		r.RemoteAddr, r.RequestURI = "127.0.0.1:40000", path
		r.Header = l.judged("/x")
		r.Header.Set("X-Forwarded-Proto", "http")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		} else {
			r.Header.Del("Sec-Fetch-Mode") // no silent login is due
		}
		w := httptest.NewRecorder()
		if handler := l.engine.ForwardAuth(); strings.HasPrefix(path, "/_vipps/authz/") {
			handler.ServeHTTP(w, r)
		} else {
			app.ServeHTTP(w, r)
		}
		return w.Header()
	}
	questions := map[string]string{
		"/_vipps/authz/forward-auth": cookie, "/_vipps/authz/auth-request": cookie, "/_vipps/authz/forward-auth/open": "",
		"/_vipps/authz/forward-auth?":       "",
		"/_vipps/authz/ext-authz/default/x": cookie, "/_vipps/authz/ext-authz/open/x": "",
		"/_vipps/me": cookie, "/_vipps/me?": "", "/x": "", "/x?": cookie, "/_vipps/login": "",
	}
	before := map[string]http.Header{}
	for path, cookie := range questions {
		before[path] = ask(path, cookie).Clone()
	}
	var asking sync.WaitGroup
	for path, cookie := range questions {
		for range 4 {
			asking.Go(func() {
				for range 20 {
					spoil(ask(path, cookie))
				}
			})
		}
	}
	asking.Wait()
	for path, cookie := range questions {
		after := ask(path, cookie)
		for name, values := range before[path] {
			if name == "Location" || name == "Set-Cookie" || name == "X-Request-Id" {
				continue
			}
			if got := strings.Join(after[name], "|"); got != strings.Join(values, "|") {
				t.Errorf("%s: %s is %q, and was %q", path, name, got, values)
			}
		}
	}
}

// spoil changes every value of a header where it stands.
func spoil(h http.Header) {
	for name, values := range h {
		for i := range values {
			values[i] = "somebody else"
		}
		h[name] = append(values, "more")
	}
}
