package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"
)

// Attack: methods that show a client what a proxy has added (TRACE, TRACK), that make a tunnel (CONNECT), or that nobody has
// thought of, at our own endpoints. None does anything there, whoever asks.
func TestSec_C051_OwnEndpointsTakeFewMethods(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	in := l.loggedIn(phoneAase)
	for _, b := range []*browser{in, l.browser()} {
		for path, takes := range map[string]string{
			"/_vipps/login": "GET, HEAD, POST", "/_vipps/callback": "GET", "/_vipps/result": "GET, HEAD, POST", "/_vipps/logout": "GET, HEAD, POST", "/_vipps/me": "GET, HEAD",
		} {
			for _, method := range []string{"TRACE", "TRACK", "PROPFIND", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "POST", "get", "BREW"} {
				if strings.Contains(takes, method) {
					continue
				}
				a := b.send(method, path, navigation(), "")
				if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" || len(a.Header["Set-Cookie"]) > 0 || strings.Contains(a.text, "Sec-Fetch") {
					t.Errorf("%s %s: %d %v", method, path, a.StatusCode, a.Header)
				}
			}
		}
	}
	if a := in.send("GET", "/", navigation(), ""); a.StatusCode != http.StatusOK {
		t.Errorf("the session afterwards: %d", a.StatusCode)
	}
}

// A request that would change something gets 401 without a session, in a form that suits whoever asks, and the application
// never hears of it: not then, and not after a login.
func TestSec_C052_MutatingWithoutSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	body := strings.Repeat("x", 100<<10)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, header := range []http.Header{{"Sec-Fetch-Mode": {"cors"}}, {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Content-Type": {"text/plain"}}, {}} {
			if a := b.send(method, "/change", header, body); a.StatusCode != http.StatusUnauthorized || a.Header.Get("Location") != "" {
				t.Errorf("%s %v: %d %q", method, header, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
	if l.hits() != 0 {
		t.Errorf("the app got %d of them", l.hits())
	}
	l.as(phoneAase)
	if a := b.visit("/"); a.StatusCode != http.StatusOK || l.hits() != 1 || l.last().Method != "GET" {
		t.Errorf("after the login: %d, the app got %d requests", a.StatusCode, l.hits())
	}
}
