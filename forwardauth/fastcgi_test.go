package forwardauth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
)

// apacheAsks are the variables that Apache makes of a navigation (peers: what mod_authnz_fcgi sends), with more or others.
func (l *lab) apacheAsks(uri string, more ...string) *fcgi.Request {
	all := []string{
		"FCGI_ROLE", "AUTHORIZER", "FCGI_APACHE_ROLE", "AUTHENTICATOR", "GATEWAY_INTERFACE", "CGI/1.1", "SERVER_PROTOCOL", "HTTP/1.1", "REQUEST_METHOD", "GET",
		"QUERY_STRING", "policy=x", "REQUEST_URI", uri, "REQUEST_SCHEME", "http", "HTTP_HOST", l.site.Listener.Addr().String(), "REMOTE_ADDR", "203.0.113.7",
		"PATH", "/usr/bin", "DOCUMENT_ROOT", "/var/www", "HTTP_CONNECTION", "close", "HTTP_ACCEPT", "text/html", "HTTP_SEC_FETCH_MODE", "navigate", "HTTP_SEC_FETCH_DEST", "document",
	}
	q := &fcgi.Request{RemoteAddr: "127.0.0.1:40000"}
	for i := 0; i < len(more); i += 2 {
		if at := slices.Index(all, more[i]); at >= 0 && at%2 == 0 {
			all = slices.Delete(all, at, at+2)
		}
	}
	for all = append(all, more...); len(all) > 0; all = all[2:] {
		if all[1] != "\x00" {
			q.Params = append(q.Params, fcgi.Param{Name: all[0], Value: all[1]})
		}
	}
	return q
}

// cookieLine is what a browser sends to the lab's site.
func (b *browser) cookieLine() string {
	var pairs []string
	for _, name := range sortedNames(b.own()) {
		pairs = append(pairs, name+"="+b.own()[name])
	}
	return strings.Join(pairs, "; ")
}

// A request that passes is answered with its variables, every one, and with nothing that would reach the browser.
func TestFastCGIAllows(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Headers = []string{"default", "X-Vipps-Gender=gender", "Remote-User=phone_number"}
	})
	cookies := l.loggedIn(phoneAase).cookieLine()
	for _, more := range [][]string{nil, {"REQUEST_METHOD", "POST"}, {"REQUEST_SCHEME", "https"}, {"HTTP_IF_NONE_MATCH", "*"}, {"HTTP_X_VIPPS_SUB", "evil"}, {"VIPPS_POLICY", "default", "HTTP_VIPPS_POLICY", "evil"}} {
		a := l.engine.FastCGI(l.apacheAsks("/a?b", append(more, "HTTP_COOKIE", cookies)...))
		variable := func(name string) []string { return a.Header["Variable-VIPPS_"+name] }
		if sub := variable("SUB"); a.Status != http.StatusOK || len(a.Body) > 0 || len(sub) != 1 || sub[0] == "" || sub[0] == "evil" {
			t.Fatalf("%q: %d %v", more, a.Status, a.Header)
		}
		for name, want := range map[string]string{
			"AUTH": "authenticated", "NAME": "Åse Ødegård", "PHONE_NUMBER": phoneAase, "GENDER": "", "REMOTE_USER": phoneAase,
		} {
			if got := variable(name); len(got) != 1 || got[0] != want {
				t.Errorf("%q: VIPPS_%s is %q, want %q", more, name, got, want)
			}
		}
		for name := range a.Header {
			if !strings.HasPrefix(name, "Variable-VIPPS_") {
				t.Errorf("%q: %s goes to the browser", more, name)
			}
		}
	}
}

// Behind a load balancer that ends TLS Apache's own scheme is http; the site's is that of its public_url.
func TestFastCGIBehindTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.PublicURLs = append(c.PublicURLs, "https://app.example", "https://app.example:8443")
		c.Emulator = false
	})
	for _, host := range []string{"app.example", "APP.example", "app.example:443", "app.example:8443"} {
		a := l.engine.FastCGI(l.apacheAsks("/x", "HTTP_HOST", host))
		want := "https://" + strings.TrimSuffix(strings.ToLower(host), ":443") + "/_vipps/login?rd=%2Fx"
		if a.Status != http.StatusFound || a.Header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", host, a.Status, a.Header.Get("Location"), want)
		}
	}
}

// Attack: the hostile table of every dialect, in Apache's words, with a session. Nobody passes by it.
func TestSec_B060_FastCGI(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	cookies := l.loggedIn(phoneAase).cookieLine()
	host := l.site.Listener.Addr().String()
	for _, tt := range []struct {
		want int
		more []string
	}{
		{401, []string{"REQUEST_METHOD", "\x00"}},
		{401, []string{"REQUEST_SCHEME", "\x00"}},
		{401, []string{"REQUEST_URI", "\x00"}},
		{401, []string{"HTTP_HOST", "\x00"}},
		{401, []string{"REQUEST_METHOD", ""}},
		{401, []string{"REQUEST_SCHEME", ""}},
		{401, []string{"REQUEST_URI", ""}},
		{401, []string{"HTTP_HOST", ""}},
		{401, []string{"REQUEST_METHOD", "GET", "REQUEST_METHOD", "GET"}},
		{401, []string{"REQUEST_SCHEME", "http", "REQUEST_SCHEME", "http"}},
		{401, []string{"REQUEST_URI", "/", "REQUEST_URI", "/"}},
		{401, []string{"HTTP_HOST", host, "HTTP_HOST", host}},
		{401, []string{"REQUEST_METHOD", "get"}},
		{401, []string{"REQUEST_SCHEME", "javascript"}},
		{401, []string{"REQUEST_SCHEME", "https,http"}},
		{401, []string{"REQUEST_URI", "*"}},
		{401, []string{"REQUEST_URI", "http://evil.example/"}},
		{401, []string{"REQUEST_URI", "/a b"}},
		{401, []string{"REQUEST_URI", "/\r\nX: y"}},
		{401, []string{"REQUEST_URI", "/" + strings.Repeat("a", 64<<10)}},
		{401, []string{"HTTP_HOST", host + ", evil.example"}},
		{401, []string{"HTTP_HOST", "a@" + host}},
		{421, []string{"HTTP_HOST", "evil.example"}},
		{421, []string{"HTTP_HOST", "evil.example", "SERVER_NAME", host, "HTTP_X_FORWARDED_HOST", host}},
		{403, []string{"HTTP_X_VIPPS_NIN", "evil"}},
		{403, []string{"VIPPS_POLICY", ""}},
		{403, []string{"VIPPS_POLICY", "unknown"}},
		{403, []string{"VIPPS_POLICY", "default", "VIPPS_POLICY", "default"}},
		{403, []string{"HTTP_x_vipps_sub", "evil", "HTTP_X_Vipps_Other", "evil"}},
		{403, []string{"HTTP_X.VIPPS.SUB", "evil"}},
		{403, []string{"HTTP_X_VIPPS_", "evil"}},
	} {
		a := l.engine.FastCGI(l.apacheAsks("/", append(slices.Clone(tt.more), "HTTP_COOKIE", cookies)...))
		if a.Status != tt.want || len(a.Header["Location"]) > 0 {
			t.Errorf("%.80q: %d, want %d", tt.more, a.Status, tt.want)
		}
		for name := range a.Header {
			if strings.HasPrefix(name, "Variable-") {
				t.Errorf("%.80q: %s", tt.more, name)
			}
		}
	}
	if a := l.engine.FastCGI(&fcgi.Request{RemoteAddr: "127.0.0.1:1"}); a.Status != http.StatusUnauthorized {
		t.Errorf("nothing at all: %d", a.Status)
	}
}

// Attack: somebody who isn't the proxy asks, or doesn't know its secret.
func TestSec_C060_FastCGIPeers(t *testing.T) {
	t.Parallel()
	const proxySecret = "correct horse battery"
	l := newLab(t, func(c *forwardauth.Config) { c.ProxySecret = proxySecret })
	for _, tt := range []struct {
		peer string
		more []string
		want int
	}{
		{"127.0.0.1:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret}, 302},
		{"[::ffff:127.0.0.1]:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret}, 302},
		{"127.0.0.1:1", nil, 403},
		{"127.0.0.1:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", ""}, 403},
		{"127.0.0.1:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret + ", " + proxySecret}, 403},
		{"127.0.0.1:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret, "HTTP_X_VIPPS_PROXY_SECRET", "wrong"}, 403},
		{"127.0.0.1:1", []string{"X_VIPPS_PROXY_SECRET", proxySecret}, 403},
		{"192.0.2.1:1", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret}, 403},
		{"", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret}, 403},
		{"nonsense", []string{"HTTP_X_VIPPS_PROXY_SECRET", proxySecret, "REMOTE_ADDR", "127.0.0.1"}, 403},
	} {
		q := l.apacheAsks("/", tt.more...)
		q.RemoteAddr = tt.peer
		if a := l.engine.FastCGI(q); a.Status != tt.want {
			t.Errorf("%s %q: %d, want %d", tt.peer, tt.more, a.Status, tt.want)
		}
	}
}

// The three kinds of request without a session.
func TestFastCGIRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	a := l.engine.FastCGI(l.apacheAsks("/a?b=%26"))
	if want := l.site.URL + "/_vipps/login?rd=%2Fa%3Fb%3D%2526"; a.Status != http.StatusFound || a.Header.Get("Location") != want || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a navigation: %d %v", a.Status, a.Header)
	}
	a = l.engine.FastCGI(l.apacheAsks("/a", "REQUEST_METHOD", "POST"))
	if a.Status != http.StatusUnauthorized || !strings.Contains(string(a.Body), "</html>") {
		t.Errorf("a form: %d %s", a.Status, a.Body)
	}
	a = l.engine.FastCGI(l.apacheAsks("/a", "HTTP_SEC_FETCH_MODE", "cors", "HTTP_REFERER", l.site.URL+"/<b>&\u00e6"))
	if a.Status != http.StatusUnauthorized || !strings.Contains(string(a.Body), "login_required") || strings.ContainsAny(string(a.Body), "<>&æ") {
		t.Errorf("a script: %d %s", a.Status, a.Body)
	}
}

// A header of the operator's own whose variable is that of one of ours doesn't say who somebody is.
func TestSec_FastCGIVariablesAreOurs(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Headers = []string{"default", "Sub=phone_number", "Auth=phone_number", "Policy=name"}
	})
	cookies := l.loggedIn(phoneAase).cookieLine()
	for range 20 { // the order of headers is another each time
		a := l.engine.FastCGI(l.apacheAsks("/", "HTTP_COOKIE", cookies))
		variable := func(name string) []string { return a.Header["Variable-VIPPS_"+name] }
		if sub := variable("SUB"); len(sub) != 1 || sub[0] == phoneAase || !slices.Equal(variable("AUTH"), []string{"authenticated"}) {
			t.Fatalf("%v", a.Header)
		}
		if policy := variable("POLICY"); policy != nil { // a name would choose who may pass
			t.Fatalf("VIPPS_POLICY: %q", policy)
		}
	}
}
