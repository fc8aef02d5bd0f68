package forwardauth_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

const extAuthz = "/_vipps/authz/ext-authz/default"

// envoys are the headers of a question of Envoy's about a navigation: the client's, and the scheme.
func envoys() http.Header {
	h := navigation()
	h.Set("X-Forwarded-Proto", "http")
	return h
}

// rawAnswer sends bytes as they are, which no client of Go's would, and reads the answer.
func (b *browser) rawAnswer(method, target string, lines ...string) answer {
	b.t.Helper()
	host := b.lab.site.Listener.Addr().String()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	if cookie := b.cookie("vippsauth"); cookie != "" {
		request += "Cookie: vippsauth=" + cookie + "\r\n"
	}
	for _, line := range lines {
		request += line + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		b.t.Fatal(err)
	}
	w, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		b.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil && method != http.MethodConnect {
		b.t.Fatal(err)
	}
	return answer{w, string(text)}
}

// Allow is exactly 200, empty, with every header; those without a value are to be removed, and no others: Envoy removes
// after it has set.
func TestExtAuthzAllows(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Headers = []string{"default", "X-Vipps-Gender=gender", "X-Vipps-Zone=zoneinfo"}
	})
	b := l.loggedIn(phoneAase)
	h := envoys()
	h.Set("If-None-Match", "*")
	h.Set("Range", "bytes=0-1")
	a := b.send("GET", extAuthz+"/a?b", h, "")
	if a.StatusCode != 200 || a.text != "" || len(a.Header["X-Vipps-Sub"]) != 1 || a.Header.Get("X-Vipps-Name") != "Åse Ødegård" || a.Header.Get("X-Vipps-Auth") != "authenticated" {
		t.Errorf("%d %q %v", a.StatusCode, a.text, a.Header)
	}
	if gender := a.Header["X-Vipps-Gender"]; len(gender) != 1 || gender[0] != "" {
		t.Errorf("an absent claim is sent as %q", gender)
	}
	if got := a.Header["X-Envoy-Auth-Headers-To-Remove"]; len(got) != 1 || got[0] != "X-Vipps-Gender,X-Vipps-Zone" {
		t.Errorf("to be removed: %q", got)
	}
	h.Set("X-Vipps-Proxy-Secret", "the client's, or the proxy's")
	if got := b.send("GET", extAuthz+"/a?b", h, "").Header["X-Envoy-Auth-Headers-To-Remove"]; len(got) != 1 || got[0] != "X-Vipps-Gender,X-Vipps-Zone,X-Vipps-Proxy-Secret" {
		t.Errorf("to be removed, with a secret: %q", got)
	}
	if a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/a?b"), ""); a.Header["X-Envoy-Auth-Headers-To-Remove"] != nil {
		t.Errorf("forward-auth speaks to Envoy: %v", a.Header)
	}
	if a := b.send("POST", extAuthz+"/a", envoys(), strings.Repeat("x", 1<<20)); a.StatusCode != 200 {
		t.Errorf("with a body that is nobody's business: %d", a.StatusCode)
	}
}

// An anonymous visitor's identity headers are all empty, and so to be removed; that they are anonymous is said.
func TestExtAuthzAnonymous(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.WithoutSession = forwardauth.WithoutSessionAnonymous
		c.Scopes = []string{"openid", "name"}
	})
	h := envoys()
	h.Set("Sec-Fetch-Mode", "cors")
	a := l.browser().send("GET", extAuthz+"/", h, "")
	if got := a.Header.Get("X-Envoy-Auth-Headers-To-Remove"); a.StatusCode != 200 || a.Header.Get("X-Vipps-Auth") != "anonymous" ||
		got != "X-Vipps-Sub,X-Vipps-Name,X-Vipps-Given-Name,X-Vipps-Family-Name" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// Every method is judged as itself, and its answer is HTTP that a proxy can pass on.
func TestExtAuthzMethods(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	in := l.loggedIn(phoneAase)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "M-SEARCH"} {
		if a := in.rawAnswer(method, extAuthz+"/x", "X-Forwarded-Proto: http", "Sec-Fetch-Mode: cors"); a.StatusCode != 200 || a.Header.Get("X-Vipps-Sub") == "" {
			t.Errorf("%s with a session: %d", method, a.StatusCode)
		}
		if a := l.browser().rawAnswer(method, extAuthz+"/x", "X-Forwarded-Proto: http", "Sec-Fetch-Mode: cors"); a.StatusCode != 401 || a.Header.Get("X-Vipps-Sub") != "" {
			t.Errorf("%s without: %d", method, a.StatusCode)
		}
	}
	if a := in.rawAnswer("get", extAuthz+"/x", "X-Forwarded-Proto: http"); a.StatusCode != 401 {
		t.Errorf("a method in lower case: %d", a.StatusCode)
	}
	post := envoys()
	if a := l.browser().send("POST", extAuthz+"/x", post, "a=b"); a.StatusCode != 401 || !strings.Contains(a.text, "Nothing was sent") {
		t.Errorf("a form's POST: %d %s", a.StatusCode, a.text)
	}
}

// Sec_V2: path and query are the client's, to the byte: nothing is decoded, cleaned or redirected, and nothing in them is
// an option, another policy or another endpoint.
func TestSec_B015_B086_ExtAuthzPathIsOpaque(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	in, out := l.loggedIn(phoneAase), l.browser()
	for _, path := range []string{
		"/", "//", "/a%2Fb", "/a%2fb", "//evil.example/x", "/a//b", "/./a", "/a/../b", "/../../../../healthz", "/..%2f..%2f", "/%2e%2e/b", "/a;x=1/b", "/a;b",
		"/x?q=%zz", "/a?policy=other&optional=1&rd=https://evil.example/&auto=1", "/a?b?c/d", "/_vipps/login", "/_vipps/authz/forward-auth", "/a%20b", "/å", "/a|b",
		"/default/a", "/a:b@c", "/" + strings.Repeat("a", 8000),
	} {
		a := out.rawAnswer("GET", extAuthz+path, "X-Forwarded-Proto: http", "Accept: text/html")
		location, err := url.Parse(a.Header.Get("Location"))
		if err != nil || a.StatusCode != 302 || location.Path != "/_vipps/login" || location.Scheme+"://"+location.Host != l.site.URL {
			t.Errorf("%.40q without a session: %d to %q", path, a.StatusCode, a.Header.Get("Location"))
			continue
		}
		// What is no safe place to come back to becomes the site's root; all else comes back as it was written.
		if rd := location.Query().Get("rd"); rd != path && rd != "/" && rd != strings.ReplaceAll(path, "å", "%C3%A5") {
			t.Errorf("%.40q comes back to %.60q", path, rd)
		}
		if a := in.rawAnswer("GET", extAuthz+path, "X-Forwarded-Proto: http"); a.StatusCode != 200 || a.text != "" {
			t.Errorf("%.40q with a session: %d %.80s", path, a.StatusCode, a.text)
		}
	}
}

// Sec_B060: what Envoy doesn't say plainly is refused: never a guess, never a pass.
func TestSec_B060_ExtAuthzRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	proto := "X-Forwarded-Proto: http"
	for name, tt := range map[string]struct {
		target string
		lines  []string
		want   int
	}{
		"no scheme":              {extAuthz + "/a", nil, 401},
		"two schemes":            {extAuthz + "/a", []string{proto, proto}, 401},
		"schemes in one line":    {extAuthz + "/a", []string{"X-Forwarded-Proto: http, http"}, 401},
		"another scheme":         {extAuthz + "/a", []string{"X-Forwarded-Proto: javascript"}, 401},
		"an empty scheme":        {extAuthz + "/a", []string{"X-Forwarded-Proto: "}, 401},
		"no policy":              {"/_vipps/authz/ext-authz", []string{proto}, 401},
		"an empty policy":        {"/_vipps/authz/ext-authz/", []string{proto}, 401},
		"an empty policy, path":  {"/_vipps/authz/ext-authz//default/a", []string{proto}, 403},
		"the path as policy":     {"/_vipps/authz/ext-authz/orders/1", []string{proto}, 403},
		"a policy in disguise":   {"/_vipps/authz/ext-authz/%64efault/a", []string{proto}, 403},
		"a policy, then OPTIONS": {extAuthz + "*", []string{proto}, 401},
		"no path":                {extAuthz, []string{proto}, 401},
		"no path but a query":    {extAuthz + "?x=/a", []string{proto}, 401},
		"absolute":               {l.site.URL + extAuthz + "/a", []string{proto}, 401},
		"a fragment":             {extAuthz + "/a#b", []string{proto}, 401},
		"a broken escape":        {extAuthz + "/a%zz", []string{proto}, 400},
		"17 KB":                  {extAuthz + "/" + strings.Repeat("a", 17<<10), []string{proto}, 401},
		"64 KB":                  {extAuthz + "/" + strings.Repeat("a", 64<<10), []string{proto}, 401},
		"64 KB of query":         {extAuthz + "/?" + strings.Repeat("a", 64<<10), []string{proto}, 401},
		"an alias":               {extAuthz + "/a", []string{proto, "X_Vipps_Sub: evil"}, 403},
		"an unused header":       {extAuthz + "/a", []string{proto, "X-Vipps-Nin: evil"}, 403},
		"another dialect's":      {extAuthz + "/a", []string{"X-Forwarded-Method: GET", "X-Original-URL: http://a/b", "X-Forwarded-Uri: /a"}, 401},
	} {
		a := b.rawAnswer("GET", tt.target, tt.lines...)
		if a.StatusCode != tt.want || a.Header.Get("X-Vipps-Sub") != "" || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d, want %d: %.100s", name, a.StatusCode, tt.want, a.text)
		}
	}
	if a := b.rawAnswer("GET", extAuthz+"/a", proto, "X-Vipps-Sub: evil"); a.StatusCode != 200 || strings.Contains(a.Header.Get("X-Vipps-Sub"), "evil") {
		t.Errorf("a header that is overwritten: %d %v", a.StatusCode, a.Header)
	}
}

// The other site's host, and an untrusted peer, are as in the other dialects.
func TestExtAuthzHostAndPeer(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	r := l.loggedIn(phoneAase)
	conn, err := net.Dial("tcp", l.site.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "GET "+extAuthz+"/ HTTP/1.1\r\nHost: other.example\r\nX-Forwarded-Host: "+l.site.Listener.Addr().String()+
		"\r\nX-Forwarded-Proto: http\r\nCookie: vippsauth="+r.cookie("vippsauth")+"\r\n\r\n")
	w, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	if w.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", w.StatusCode)
	}
	l = newLab(t, func(c *forwardauth.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} })
	if a := l.loggedIn(phoneAase).send("GET", extAuthz+"/", envoys(), ""); a.StatusCode != 403 || a.Header.Get("X-Vipps-Sub") != "" {
		t.Errorf("an untrusted peer: %d", a.StatusCode)
	}
}

// The policy is the word behind ext-authz, and nothing that a client writes.
func TestExtAuthzPolicies(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Policies = []forwardauth.Policy{{Name: "board", Allow: []string{phonePer}}}
	})
	in := l.loggedIn(phoneAase)
	for path, want := range map[string]int{
		"/_vipps/authz/ext-authz/default/board/a": 200, "/_vipps/authz/ext-authz/board/default/a": 403, "/_vipps/authz/ext-authz/board/a?policy=default": 403,
		"/_vipps/authz/ext-authz/board/../default/a": 403, "/_vipps/authz/ext-authz/nobody/a": 403,
	} {
		if a := in.rawAnswer("GET", path, "X-Forwarded-Proto: http", "X-Forwarded-Uri: /_vipps/authz/ext-authz/default/a"); a.StatusCode != want || (want == 403) != (a.Header.Get("X-Vipps-Sub") == "") {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, want)
		}
	}
}
