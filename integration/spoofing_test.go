package integration_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Attack: a client sends identity headers of its own, in every spelling that an app may fold into ours.
func spoofedIdentity(t *testing.T, f *front) {
	names := []string{
		"X-Vipps-Sub", "x-vipps-sub", "X-VIPPS-SUB", "x_vipps_sub", "X_Vipps_Sub", "X-Vipps_Sub", "X.Vipps.Sub", "X-Vipps.Sub", "X-Vipps~Sub", "X-Vipps!Sub",
		"X-Vipps'Sub", "X-Vipps-Auth", "X-Vipps-Name", "x_vipps_name", "X-Vipps-Nin", "X-Vipps-Birthdate", "X-Vipps-Assertion",
	}
	in := f.loggedIn()
	for _, who := range []*browser{in, f.browser()} {
		for _, name := range names {
			hits := f.app.hits()
			a := who.send(http.MethodGet, f.origin+"/spoof", with(fetching(), name, "evil"), nil)
			for _, got := range f.app.since(hits) {
				for key, values := range got.Header {
					if strings.Contains(strings.ToLower(key), "vipps") && strings.Contains(strings.Join(values, " "), "evil") {
						t.Errorf("%s arrives as %s: %q", name, key, values)
					}
				}
				if subs := folded(got.Header, "X-Vipps-Sub"); who == in && len(subs) != 1 { // C-012
					t.Errorf("with %s a CGI app gets X-Vipps-Sub %q", name, subs)
				}
			}
			switch {
			case who != in && a.StatusCode < 400:
				t.Errorf("%s opens the app: %d", name, a.StatusCode)
			case who == in && a.StatusCode != http.StatusOK && a.StatusCode != http.StatusForbidden:
				t.Errorf("%s with a session: %d", name, a.StatusCode)
			}
		}
	}
}

// Attack: a client has the proxy take our headers out as hop-by-hop. Only HTTP/1 has Connection, and each site speaks it.
func spoofedConnection(t *testing.T, f *front) {
	in := f.loggedIn().overHTTP1(f)
	for _, line := range []string{"close, X-Vipps-Sub", "X-VIPPS-SUB", "keep-alive, x-vipps-sub, x-vipps-auth"} {
		hits := f.app.hits()
		a := in.send(http.MethodGet, f.origin+"/spoof", with(fetching(), "Connection", line), nil)
		for _, got := range f.app.since(hits) {
			if len(got.Header["X-Vipps-Sub"]) != 1 || got.Header.Get("X-Vipps-Auth") != "authenticated" {
				t.Errorf("Connection: %s takes our headers away: %v", line, got.Header)
			}
		}
		if a.StatusCode != http.StatusOK {
			t.Errorf("Connection: %s: %d", line, a.StatusCode)
		}
	}
}

// folded gives the values of every header that an app behind CGI, FastCGI or WSGI reads as name: there only letters and
// digits are told apart (RFC 3875, section 4.1.18, and what servers make of it).
func folded(h http.Header, name string) []string {
	fold := func(name string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, strings.ToLower(name))
	}
	var values []string
	for key := range h {
		if fold(key) == fold(name) {
			values = append(values, h[key]...)
		}
	}
	return values
}

// Attack: a client says itself which request is to be judged, and where the login comes back to.
func spoofedForwarded(t *testing.T, f *front) {
	h := with(navigation(),
		"X-Original-URL", "https://evil.example/x", "X-Original-Method", "OPTIONS", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "javascript",
		"X-Forwarded-Uri", "/public", "X-Forwarded-Method", "OPTIONS", "X-Forwarded-Prefix", "//evil.example", "X-Forwarded-For", "203.0.113.7",
		"Forwarded", "host=evil.example;proto=https", "X-Original-URI", "/public", "X-Rewrite-URL", "/public",
	)
	a := f.browser().send(http.MethodGet, f.origin+"/secret?x=1", h, nil)
	if to := a.Header.Get("Location"); a.StatusCode != http.StatusFound || to != f.origin+"/_vipps/login?rd="+url.QueryEscape("/secret?x=1") {
		t.Errorf("%d to %q", a.StatusCode, to)
	}
	b := f.loggedIn()
	if a = b.send(http.MethodGet, f.origin+"/secret?x=1", h, nil); a.StatusCode != http.StatusOK {
		t.Fatalf("with a session: %d %s", a.StatusCode, a.text)
	}
	got := f.app.last()
	if got.URI != "/secret?x=1" || got.Header.Get("X-Vipps-Sub") == "" {
		t.Errorf("the app gets %s %v", got.URI, got.Header)
	}
}

// Attack: the client's query says what the decision should be.
func queryIsNotOurs(t *testing.T, f *front) {
	hits := f.app.hits()
	a := f.browser().send(http.MethodGet, f.origin+"/p?policy=x&optional=1&rd=https://evil.example/&allow=anyone", fetching(), nil)
	if a.StatusCode != http.StatusUnauthorized || f.app.hits() != hits {
		t.Errorf("%d", a.StatusCode)
	}
	a = f.browser().send(http.MethodGet, f.origin+"/p?rd=https://evil.example/", navigation(), nil)
	if to := a.Header.Get("Location"); to != f.origin+"/_vipps/login?rd="+url.QueryEscape("/p?rd=https://evil.example/") {
		t.Errorf("to %q", to)
	}
}
