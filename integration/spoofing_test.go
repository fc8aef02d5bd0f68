package integration_test

import (
	"net/http"
	"net/url"
	"slices"
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

// foldedName is a header's name for an app behind CGI, FastCGI or WSGI: there only letters and digits are told apart
// (RFC 3875, section 4.1.18, and what servers make of it).
func foldedName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

// folded gives the values of every header that such an app reads as name.
func folded(h http.Header, name string) []string {
	var values []string
	for key := range h {
		if foldedName(key) == foldedName(name) {
			values = append(values, h[key]...)
		}
	}
	return values
}

// claimed is what a client says of its own request: every header that some proxy's dialect reads, or that steers one.
var claimed = [][2]string{
	{"X-Original-URL", "https://evil.example/x"},
	{"X-Original-Method", "OPTIONS"},
	{"X-Original-URI", "/public"},
	{"X-Original-Host", "evil.example"},
	{"X-Rewrite-URL", "/public"},
	{"X-Forwarded-Host", "evil.example"},
	{"X-Forwarded-Proto", "javascript"},
	{"X-Forwarded-Uri", "/public"},
	{"X-Forwarded-Method", "OPTIONS"},
	{"X-Forwarded-Prefix", "//evil.example"},
	{"X-Forwarded-For", "203.0.113.7"},
	{"X-Forwarded-Port", "1337"},
	{"Forwarded", "host=evil.example;proto=https"},
	{"X-Vipps-Proxy-Secret", "evil"},
}

// Attack: a client says itself which request is to be judged, and where the login comes back to.
func spoofedForwarded(t *testing.T, f *front) {
	var all []string
	for _, line := range claimed {
		all = append(all, line[0], line[1])
	}
	in, out := f.loggedIn(), f.browser()
	forwardedClaim(t, f, in, out, "all at once", with(navigation(), all...))
	for _, line := range claimed {
		for name, spell := range map[string]string{"as it is": line[0], "with _": strings.ReplaceAll(line[0], "-", "_"), "with .": strings.ReplaceAll(line[0], "-", ".")} {
			values := map[string][]string{"": {line[1]}}
			if name == "as it is" {
				values = map[string][]string{"": {line[1]}, ", doubled": {line[1], line[1]}, ", empty": {""}, ", empty, then not": {"", line[1]}}
			}
			for how, lines := range values {
				h := navigation()
				h[spell] = lines
				forwardedClaim(t, f, in, out, line[0]+" "+name+how, h)
			}
		}
	}
}

// forwardedClaim sends header lines along once with a session and once without. The app gets the request that was sent and
// nobody's identity but ours, and a login comes back to it. An alias of a header of ours may be refused instead.
func forwardedClaim(t *testing.T, f *front, in, out *browser, what string, h http.Header) {
	t.Helper()
	const target = "/secret?x=1"
	aliased := func(a answer) bool {
		return a.StatusCode == http.StatusForbidden && strings.HasPrefix(what, "X-Vipps-Proxy-Secret with ")
	}
	hits := f.app.hits()
	a := out.send(http.MethodGet, f.origin+target, h, nil)
	if to := a.Header.Get("Location"); !aliased(a) && (a.StatusCode != http.StatusFound || to != f.origin+"/_vipps/login?rd="+url.QueryEscape(target)) {
		t.Errorf("%s: %d to %q", what, a.StatusCode, to)
	}
	if f.app.hits() != hits {
		t.Errorf("%s opens the app", what)
	}
	if a = in.send(http.MethodGet, f.origin+target, h, nil); a.StatusCode != http.StatusOK {
		if !aliased(a) || f.app.hits() != hits {
			t.Errorf("%s, with a session: %d %s", what, a.StatusCode, a.words())
		}
		return
	}
	got := f.app.last()
	if got.URI != target || len(got.Header["X-Vipps-Sub"]) != 1 || got.Header.Get("X-Vipps-Sub") == "" {
		t.Errorf("%s: the app gets %s %v", what, got.URI, got.Header)
	}
	for name, values := range got.Header {
		if strings.Contains(strings.ToLower(name), "vipps") && slices.Contains(values, "evil") {
			t.Errorf("%s arrives as %s: %q", what, name, values)
		}
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
